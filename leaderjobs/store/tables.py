"""The tables that pages land in: `<schema>.<stream>`, and a view of its live rows beside each.

A table is made from the stream's description and only ever grows, while pages land in it and people read
it: what a newer description adds is added, what it drops stays, and streams that share a table get the union.
What a column reads never changes; one of another type gets another name. How columns are called is told in
`table_names`.

A new table has generated columns: they can never disagree with the document. A column that comes later is
generated too where the table is small; elsewhere that would rewrite the table and lock everybody out. So
there it is a plain column, which a trigger keeps, and older rows are filled in steps (`fill_some`); until
then the view computes what is missing. Grants, and views that people have changed, are left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.model.stream import Stream
from leaderjobs.store import table_changes, table_names
from leaderjobs.store.pool import Connection, Database
from leaderjobs.store.table_changes import IN_USE, Change
from leaderjobs.store.table_fill import Fill
from leaderjobs.store.table_state import Described, describe, look

MOST_PATIENCE = timedelta(seconds=4)
"""How long `ensure` tries in all to change tables that are in use: whoever calls it wants to lead."""
_BACKOFF = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=1))


class Tables:
    """Makes destination tables and keeps them up with their streams. Any thread, any number of processes."""

    def __init__(self, database: Database) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._fill = Fill(database)
        self._filling = threading.Lock()

    def ensure(self, schema: str, streams: Sequence[Stream]) -> bool:
        """Make the tables and views that are not there, and add what others lack; within seconds.

        One question and nothing more when all is there. False when something is left to `fill_some`, and
        pages can land all the same: older rows to fill, an index to build, a table that stayed in use.
        Refused when a name cannot be used; StoreError when the user may not create what is missing.
        """
        merged = _merged(schema, streams)
        with self._database.session() as connection:
            there = _look(connection, schema, merged)
            if any(not each.table.exists for each in there):
                table_changes.create(connection, schema, [each.stream for each in there])
                there = _look(connection, schema, merged)
            lacking = [each.stream for each in there if table_changes.lacking(each)]
            if lacking:
                _change(connection, schema, lacking)
                there = _look(connection, schema, merged)
        return not any(_left(each) for each in there)

    def pending(self, schema: str, streams: Sequence[Stream]) -> list[str]:
        """What is left to `fill_some`, one line each, for people; empty when the tables are as described."""
        merged = _merged(schema, streams)
        with self._database.session() as connection:
            there = _look(connection, schema, merged)
        return [f"{schema}.{each.table.name}: {what}" for each in there for what in _left(each)]

    def fill_some(self, schema: str, streams: Sequence[Stream]) -> bool:
        """Do one step of what is pending: call it again at once while it is True, and after a while when not.

        A step takes a fraction of a second, but for the building of an index, which takes what it takes and
        ends when `interrupt` is called. Pages land meanwhile, other members may do the same, and whoever is
        killed has lost nothing: the next step goes on after the last one that was committed. False when
        nothing is pending, somebody else is at it, or a table stays in use.
        """
        merged = _merged(schema, streams)
        if not self._filling.acquire(blocking=False):
            return False
        try:
            with self._database.session() as connection:
                there = _look(connection, schema, merged)
                if any(self._some(connection, each) for each in there):
                    return True
            return any(self._fill.build_index(each) for each in there if each.unindexed)
        finally:
            self._filling.release()

    def interrupt(self) -> None:
        """End a step that takes long, the building of an index, so that `fill_some` returns; any thread."""
        self._fill.interrupt()

    def _some(self, connection: Connection, described: Described) -> bool:
        """One step for one table; whether there was anything to do, and it could be done."""
        table = described.table
        if not table.exists:
            return False
        changes = table_changes.lacking(described)
        if changes:
            return _tried(connection, described.schema, described.stream, changes[:1])
        return bool(table.unfilled) and self._fill.step(connection, described.schema, table)


def _merged(schema: str, streams: Sequence[Stream]) -> dict[str, Stream]:
    """By the names of their tables; streams that share one have its columns in common."""
    found: dict[str, Stream] = {}
    for stream in streams:
        other = found.get(stream.name)
        found[stream.name] = replace(other, columns=other.columns + stream.columns) if other else stream
    table_names.check(schema, list(found))
    return found


def _look(connection: Connection, schema: str, merged: Mapping[str, Stream]) -> list[Described]:
    there = look(connection, schema, list(merged))
    return [describe(schema, stream, there[name]) for name, stream in merged.items()]


def _change(connection: Connection, schema: str, streams: Sequence[Stream]) -> None:
    """Add what tables lack, as far as they are not in use for long."""
    deadline = clock.elapsed() + MOST_PATIENCE.total_seconds()
    waiting, attempt, pause = list(streams), 0, threading.Event()
    while waiting and clock.elapsed() < deadline:
        if attempt:
            pause.wait(_BACKOFF.delay(attempt).total_seconds())
        attempt += 1
        waiting = [
            stream
            for stream in waiting
            if clock.elapsed() >= deadline or not _tried(connection, schema, stream, list(Change))
        ]


def _tried(connection: Connection, schema: str, stream: Stream, changes: Sequence[Change]) -> bool:
    """Make the changes one after the other; False when the table stayed in use."""
    try:
        for change in changes:
            table_changes.apply(connection, schema, stream, change)
    except IN_USE:
        return False
    return True


def _left(described: Described) -> list[str]:
    if not described.table.exists:
        return ["to be made"]
    return [
        *(change.value for change in table_changes.lacking(described)),
        *(f"column {column.name} to fill" for column in described.table.unfilled),
        *(f"index on {column.name} to build" for column in described.unindexed),
    ]
