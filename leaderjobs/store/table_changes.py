"""The statements that bring one destination table nearer to its description.

Each change is one short transaction that waits for one lock only, and not for long: a page, or a reader, that
comes behind it waits no longer than that. What cannot be had now is tried again later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import LiteralString

import psycopg
from psycopg import sql

from leaderjobs.model.stream import Stream
from leaderjobs.store import queries
from leaderjobs.store.pool import Connection, milliseconds
from leaderjobs.store.table_names import VIEW_ENDING, cut, stored
from leaderjobs.store.table_state import Described, Standing, Table, Wanted, describe, look

TURN_PATIENCE = timedelta(seconds=5)
"""For other members that change tables; this holds nobody else up."""
CREATION_PATIENCE = timedelta(seconds=30)
"""The same, where nothing can be done without the tables that they may be making."""
LOCK_PATIENCE = timedelta(milliseconds=200)
"""For a lock on a live table; below `deadlock_timeout`, so that we give up before a page is made to."""
CHANGE_STATEMENT = timedelta(seconds=60)
IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Somebody else has the table; later it may go."""
MOST_REWRITTEN_BYTES = 8 * 1024 * 1024
"""A smaller table is rewritten with a new generated column, in a few tenths of a second at most."""
_SQL = queries.load("tables")


class Change(Enum):
    """What a table can lack, in the order in which it is mended."""

    COLUMNS = "columns to add"
    VIEW = "a view to bring up to date"
    COMMENTS = "comments to bring up to date"


def lacking(described: Described) -> list[Change]:
    """What is lacking of a table that exists; indexes and fills apart."""
    table, found = described.table, []
    if table.lost or described.new:
        found.append(Change.COLUMNS)
    if table.view is None or (table.view_is_ours() and table.viewed() != table.view.columns):
        found.append(Change.VIEW)
    if _comments(described):
        found.append(Change.COMMENTS)
    return found


@contextmanager
def changing(connection: Connection, turn: timedelta) -> Iterator[None]:
    """A transaction in which nobody else changes tables."""
    bounds = milliseconds(LOCK_PATIENCE, CHANGE_STATEMENT)
    bounds["turn_ms"] = milliseconds(turn, CHANGE_STATEMENT)["lock_ms"]
    with connection.transaction():
        connection.execute(
            formatted("begin_change", **{name: sql.Literal(ms) for name, ms in bounds.items()})
        )
        yield


def create(connection: Connection, schema: str, streams: Sequence[Stream]) -> None:
    """Make the tables that are not there, whole; in one transaction."""
    with changing(connection, CREATION_PATIENCE):
        found = connection.execute(_SQL["schema_exists"], {"schema": schema}).fetchone()
        if not (found and found["found"]):
            connection.execute(formatted("create_schema", schema=sql.Identifier(schema)))
        fresh = [each for each in _look(connection, schema, streams) if not each.table.exists]
        made = [each.stream for each in fresh]
        _run(connection, (text for each in fresh for text in _creation(each)))
        _run(connection, (view(schema, each.table) for each in _look(connection, schema, made)))
        _run(connection, (text for each in _look(connection, schema, made) for text in _comments(each)))


def apply(connection: Connection, schema: str, stream: Stream, change: Change) -> None:
    """Make one change where it is still lacking; one of IN_USE when the table stays in use."""
    with changing(connection, TURN_PATIENCE):
        described = _look(connection, schema, [stream])[0]
        if not described.table.exists or change not in lacking(described):
            return
        if change is Change.COLUMNS:
            statements = _addition(connection, described)
        elif change is Change.VIEW:
            statements = [view(schema, described.table)]
        else:
            statements = _comments(described)
        _run(connection, statements)


def view(schema: str, table: Table) -> sql.Composed:
    """The view that shows a table's live rows, with the right value of columns that are being filled."""
    standing = {column.name: column for column in table.columns}
    options = [option.partition("=") for option in table.view.options] if table.view else []
    given = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, _, value in options
    )
    return formatted(
        "create_view",
        view=sql.Identifier(schema, table.name + VIEW_ENDING),
        options=sql.SQL("WITH ({})").format(given) if options else sql.SQL(""),
        columns=sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(_shown(standing[name]), sql.Identifier(name))
            for name in table.viewed()
        ),
        table=sql.Identifier(schema, table.name),
    )


def value(column: Wanted | Standing, *row: str) -> sql.Composed:
    """What a column reads from the document of a `row` (an alias, or none where a table is described)."""
    return formatted(
        "value",
        reader=sql.Identifier("leaderjobs", column.reader),
        doc=sql.Identifier(*row, "doc"),
        path=sql.Literal(list(column.path)),
    )


def method(column: Wanted, *, short: bool) -> sql.Composed:
    """How a column is indexed; `short` where it holds no text that is too long for a b-tree."""
    name = "gin" if column.type == "jsonb" else "btree" if short or column.type != "text" else "hash"
    return formatted(name, column=sql.Identifier(column.name))


def formatted(template: str, **parts: sql.Composable) -> sql.Composed:
    """A template of `sql/tables.sql`, filled."""
    text: LiteralString = _SQL[template]
    return sql.SQL(text).format(**parts)


def _look(connection: Connection, schema: str, streams: Sequence[Stream]) -> list[Described]:
    there = look(connection, schema, [stream.name for stream in streams])
    return [describe(schema, stream, there[stream.name]) for stream in streams]


def _creation(described: Described) -> list[sql.Composed]:
    columns = sql.SQL("").join(sql.SQL(", {}").format(_generated(column)) for column in described.wanted)
    return [
        # A table of this name may have been dropped by hand.
        _of_table("forget_lost", described),
        formatted("create_table", table=_name(described), columns=columns),
        *_indexes(described),
    ]


def _addition(connection: Connection, described: Described) -> list[sql.Composed]:
    """Generated columns where a rewrite is short, else plain ones, kept by a trigger and filled later."""
    table, new = described.table, described.new
    asked = {"schema": described.schema, "name": table.name}
    size = connection.execute(_SQL["size"], asked).fetchone()
    small = size is not None and size["bytes"] <= MOST_REWRITTEN_BYTES
    # Before a column of the same name is there again.
    statements = [_of_table("forget_lost", described)] if table.lost else []
    if new:
        made = [_generated(column) if small else _plain(column) for column in new]
        columns = sql.SQL(", ").join(formatted("add_column", column=column) for column in made)
        # Before the trigger: from here on nobody else is in the table, so nobody runs it as it was.
        statements.append(formatted("add_columns", table=_name(described), columns=columns))
    if small:
        statements += _indexes(described)
    else:
        statements += [_kept(described, column) for column in new]
    if table.lost or not small:
        kept: list[Wanted | Standing] = [*table.kept, *(() if small else new)]
        statements += _keeper(connection, described, kept)
    return statements


def _keeper(
    connection: Connection, described: Described, columns: Sequence[Wanted | Standing]
) -> list[sql.Composed]:
    assignments = sql.SQL("").join(
        sql.SQL("{};\n    ").format(
            formatted("assignment", column=sql.Identifier(column.name), value=value(column, "new"))
        )
        for column in columns
    )
    body = formatted("keeper_body", assignments=assignments).as_string(connection)
    keeper = sql.Identifier(described.schema, cut(described.table.name, "_columns"))
    return [
        formatted("keeper", keeper=keeper, body=sql.Literal(body)),
        formatted("keep", keeper=keeper, table=_name(described)),
    ]


def _kept(described: Described, column: Wanted) -> sql.Composed:
    return formatted(
        "keep_column",
        schema=sql.Literal(described.schema),
        name=sql.Literal(described.table.name),
        column=sql.Literal(column.name),
        reader=sql.Literal(column.reader),
        path=sql.Literal(list(column.path)),
    )


def _generated(column: Wanted) -> sql.Composed:
    return formatted(
        "column_generated", column=sql.Identifier(column.name), type=_type(column), value=value(column)
    )


def _plain(column: Wanted) -> sql.Composed:
    return formatted("column_plain", column=sql.Identifier(column.name), type=_type(column))


def _type(column: Wanted) -> sql.Identifier:
    return sql.Identifier("pg_catalog", column.type)


def _indexes(described: Described) -> list[sql.Composed]:
    """Of columns that are new, so what is too long for a b-tree is left out of them."""
    return [
        formatted("create_index", table=_name(described), method=method(column, short=True))
        for column in described.new
        if column.indexed
    ]


def _comments(described: Described) -> list[sql.Composed]:
    """For the comments that are not as they should be, where the table is ours to comment on."""
    table, told = described.table, stored(described.stream.comment)
    found: list[sql.Composed] = []
    if not table.owned:
        return found
    if table.comment != told:
        found.append(formatted("comment_table", table=_name(described), comment=sql.Literal(told)))
    told += ": live rows"
    if table.view and table.view_is_ours() and table.view.comment != told:
        view_name = sql.Identifier(described.schema, table.name + VIEW_ENDING)
        found.append(formatted("comment_view", view=view_name, comment=sql.Literal(told)))
    for name, comment in described.comments.items():
        column, text = sql.Identifier(name), sql.Literal(comment)
        found.append(formatted("comment_column", table=_name(described), column=column, comment=text))
    return found


def _shown(column: Standing) -> sql.Composable:
    name = sql.Identifier("t", column.name)
    if column.filled:
        return name
    return formatted("value_of_filled", column=name, value=value(column, "t"))


def _of_table(template: str, described: Described) -> sql.Composed:
    return formatted(template, schema=sql.Literal(described.schema), name=sql.Literal(described.table.name))


def _name(described: Described) -> sql.Identifier:
    return sql.Identifier(described.schema, described.table.name)


def _run(connection: Connection, statements: Iterable[sql.Composed]) -> None:
    """All of them in one round trip."""
    text = sql.SQL(";\n").join(statements)
    if text.as_string(connection):
        connection.execute(text)
