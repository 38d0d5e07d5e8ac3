"""What a destination table still lacks when pages land in it already: values of older rows, and indexes."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg import sql

from leaderjobs import clock
from leaderjobs.store import queries
from leaderjobs.store.deadline import answered_within
from leaderjobs.store.faults import translated
from leaderjobs.store.pool import ANSWER_SLACK, Connection, Database, milliseconds
from leaderjobs.store.table_changes import IN_USE, LOCK_PATIENCE, formatted, method, value, view
from leaderjobs.store.table_names import index_name
from leaderjobs.store.table_state import Described, Standing, Table, Wanted

MOST_STEP_ROWS = 2000
LEAST_STEP_ROWS = 10
"""Short enough a step for documents of any size."""
LONG_STEP = timedelta(milliseconds=200)
"""A page that comes upon the rows of a step waits for its end; the next one takes fewer rows."""
STEP_STATEMENT = timedelta(seconds=30)
INDEX_LOCK_PATIENCE = timedelta(minutes=15)
LONGEST_INDEX = timedelta(hours=6)
CANCEL_SECONDS = 5.0
_SQL = queries.load("tables")


class Fill:
    """Goes through the rows of tables, a few at a time. One thread at a time works; any may interrupt."""

    def __init__(self, database: Database) -> None:
        """Begins with few rows and takes more as long as steps stay short."""
        self._database = database
        self._rows = MOST_STEP_ROWS // 4
        self._lock = threading.Lock()
        self._building: Connection | None = None

    def step(self, connection: Connection, schema: str, table: Table) -> bool:
        """Fill the next rows of a table, or say that all are; False when somebody else is in the way."""
        began = clock.elapsed()
        try:
            with connection.transaction():
                done = _step(connection, schema, table, self._rows)
        except (*IN_USE, psycopg.errors.QueryCanceled):
            done = False
        seconds = clock.elapsed() - began
        if seconds > LONG_STEP.total_seconds():
            self._rows = max(self._rows // 2, LEAST_STEP_ROWS)
        elif seconds < LONG_STEP.total_seconds() / 4:
            self._rows = min(self._rows * 2, MOST_STEP_ROWS)
        return done

    def build_index(self, described: Described) -> bool:
        """Build one index that is lacking, whatever an earlier try has left; False when it cannot be had."""
        connection = self._database.connect()
        with self._lock:
            self._building = connection
        try:
            with translated(), answered_within(connection, LONGEST_INDEX + ANSWER_SLACK):
                try:
                    return _build(connection, described, described.unindexed[0])
                except (*IN_USE, psycopg.errors.QueryCanceled):
                    return False
        finally:
            with self._lock:
                self._building = None
            connection.close()

    def interrupt(self) -> None:
        """End the building of an index at once; what there is of it is dropped by the next try."""
        with self._lock:
            building = self._building
            if building is not None:
                with contextlib.suppress(psycopg.Error):
                    building.cancel_safe(timeout=CANCEL_SECONDS)


def _step(connection: Connection, schema: str, table: Table, rows: int) -> bool:
    bounds = milliseconds(LOCK_PATIENCE, STEP_STATEMENT)
    connection.execute(formatted("begin_step", **{each: sql.Literal(ms) for each, ms in bounds.items()}))
    turn = connection.execute(_SQL["try_turn"]).fetchone()
    if not (turn and turn["got"]):
        return False
    asked = {"schema": schema, "name": table.name}
    unfilled = connection.execute(_SQL["unfilled"], asked).fetchall()
    if {row["name"] for row in unfilled} != {column.name for column in table.unfilled}:
        # Somebody has changed the table since it was looked at.
        return False
    query = _fill(schema, table, unfilled[0]["passed"], rows)
    found = connection.execute(query).fetchone()
    if found is None or not found["seen"]:
        _end(connection, schema, table)
    elif found["filled"] < found["wrong"]:
        # Somebody holds the others, a page perhaps, which is soon over: the same rows are asked for again.
        return bool(found["filled"])
    else:
        connection.execute(_SQL["pass"], {**asked, "passed": found["last"]})
    return True


def _fill(schema: str, table: Table, passed: list[str] | None, rows: int) -> sql.Composed:
    columns = table.unfilled
    after = formatted("after_none")
    if passed is not None:
        place = zip(("cluster", "connection", "id"), passed, strict=True)
        after = formatted("after_row", **{name: sql.Literal(text) for name, text in place})
    return formatted(
        "fill",
        table=sql.Identifier(schema, table.name),
        wrong=sql.SQL(" OR ").join(_each("differs", columns)),
        values=sql.SQL(", ").join(_each("sets", columns)),
        after=after,
        rows=sql.Literal(rows),
    )


def _each(template: str, columns: tuple[Standing, ...]) -> list[sql.Composed]:
    return [
        formatted(template, column=sql.Identifier(column.name), value=value(column, "t"))
        for column in columns
    ]


def _end(connection: Connection, schema: str, table: Table) -> None:
    """The walk has passed every row: the columns are complete, and the view need not compute them."""
    statement = formatted("end_fill", schema=sql.Literal(schema), name=sql.Literal(table.name))
    connection.execute(statement)
    if table.view is not None and table.view_is_ours():
        whole = tuple(replace(column, filled=True) for column in table.columns)
        connection.execute(view(schema, replace(table, columns=whole)))


def _build(connection: Connection, described: Described, column: Wanted) -> bool:
    schema, table = described.schema, described.table
    asked = {"schema": schema, "name": table.name}
    bounds = milliseconds(INDEX_LOCK_PATIENCE, LONGEST_INDEX)
    building = connection.execute(_SQL["being_built"], asked).fetchone()
    if building and building["found"]:
        return False
    standing = next(each for each in table.columns if each.name == column.name)
    short = standing.reader == "json_short_text"
    if standing.generated:
        found = connection.execute(_SQL["is_short"], {**asked, "column": column.name}).fetchone()
        short = bool(found and found["short"])
    connection.execute(_SQL["bound_index"], bounds)
    try:
        left = table.invalid.get(column.name)
        if left is not None:
            connection.execute(formatted("drop_index", index=sql.Identifier(schema, left)))
        connection.execute(
            formatted(
                "build_index",
                index=sql.Identifier(index_name(table.name, column.name)),
                table=sql.Identifier(schema, table.name),
                method=method(column, short=short),
            )
        )
    finally:
        if not connection.closed:
            connection.execute(_SQL["unbound_index"])
    return True
