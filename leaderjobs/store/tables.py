"""The tables that pages land in: `<connector>.<stream>`, and a view of its live rows beside each.

A table is made from the stream's description and only ever grows: a column that a newer description adds
is added (which rewrites the table), one that it drops stays. What a column reads never changes; a column
with another meaning needs another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from leaderjobs.errors import Refused
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store import queries
from leaderjobs.store.pool import Connection, Database

MOST_NAME_BYTES = 63
"""Postgres cuts longer names in silence, and two could become one."""
VIEW_SUFFIX = "_current"
_OWN_SCHEMAS = frozenset({"leaderjobs", "information_schema", "public"})
_OWN_COLUMNS = {
    "cluster": "The leaderjobs cluster that pulled the row",
    "connection": "The account at the third party",
    "id": "The row's key at the third party",
    "doc": "The row as it came",
    "ord": "The marker sequence of the batch that wrote the row last",
    "deleted_at": "When the row was found gone at the third party; empty while it is there",
    "synced_at": "When the row last changed here",
}
_READERS: dict[ColumnType, str] = {
    ColumnType.TEXT: "json_text",
    ColumnType.NUMERIC: "json_numeric",
    ColumnType.BOOLEAN: "json_boolean",
    ColumnType.DATE: "json_date",
    ColumnType.TIMESTAMP: "json_timestamptz",
}
_SQL = queries.load("tables")


class Tables:
    """Makes destination tables. Any thread, any number of processes."""

    def __init__(self, database: Database) -> None:
        """Nothing is asked before the first call."""
        self._database = database

    def ensure(self, connector: str, streams: Sequence[Stream]) -> None:
        """Make the tables and views of a connector, or add the columns they lack; nothing when all is there.

        Refused when a name cannot be used; StoreError when the user may not create what is missing.
        """
        for stream in streams:
            _check_names(connector, stream)
        with self._database.session() as connection:
            lacking = [stream for stream in streams if _lacks(connection, connector, stream)]
            if not lacking:
                return
            with connection.transaction():
                connection.execute(_SQL["bound"])
                connection.execute(_SQL["lock"])
                found = connection.execute(_SQL["schema_exists"], {"schema": connector}).fetchone()
                if not (found and found["found"]):
                    connection.execute(_format("create_schema", schema=sql.Identifier(connector)))
                for stream in lacking:
                    _make(connection, connector, stream)


def _make(connection: Connection, schema: str, stream: Stream) -> None:
    table = sql.Identifier(schema, stream.name)
    view = sql.Identifier(schema, stream.name + VIEW_SUFFIX)
    connection.execute(_format("create_table", table=table))
    there = _columns(connection, schema, stream.name)
    for column in stream.columns:
        if column.name not in there:
            connection.execute(_add_column(table, column))
        if column.indexed:
            name = f"{stream.name}_{column.name}"[: MOST_NAME_BYTES - 4] + "_idx"
            connection.execute(
                _format(
                    "create_index",
                    index=sql.Identifier(name),
                    table=table,
                    column=sql.Identifier(column.name),
                )
            )
    generated = [name for name, made in _columns(connection, schema, stream.name).items() if made]
    # In the table's own order: a view can be replaced only by one that adds columns at its end.
    listed = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in generated)
    connection.execute(_format("create_view", view=view, table=table, columns=listed))
    connection.execute(_format("comment_table", table=table, comment=sql.Literal(stream.comment)))
    connection.execute(
        _format("comment_view", view=view, comment=sql.Literal(f"{stream.comment}: live rows"))
    )
    comments = {
        **_OWN_COLUMNS,
        **{column.name: column.comment for column in stream.columns if column.comment},
    }
    for name, comment in comments.items():
        connection.execute(
            _format("comment_column", table=table, column=sql.Identifier(name), comment=sql.Literal(comment))
        )


def _add_column(table: sql.Identifier, column: Column) -> sql.Composed:
    reader = _READERS[column.type]
    if column.indexed and column.type is ColumnType.TEXT:
        reader = "json_short_text"
    arguments = sql.SQL(", ").join([sql.Identifier("doc"), *(sql.Literal(step) for step in column.path)])
    return _format(
        "add_column",
        table=table,
        column=sql.Identifier(column.name),
        type=sql.Identifier("pg_catalog", "bool" if column.type is ColumnType.BOOLEAN else column.type.value),
        reader=sql.Identifier("leaderjobs", reader),
        arguments=arguments,
    )


def _format(template: str, **parts: sql.Composable) -> sql.Composed:
    text: LiteralString = _SQL[template]
    return sql.SQL(text).format(**parts)


def _lacks(connection: Connection, schema: str, stream: Stream) -> bool:
    there = _columns(connection, schema, stream.name)
    return (
        not there
        or not _columns(connection, schema, stream.name + VIEW_SUFFIX)
        or any(column.name not in there for column in stream.columns)
    )


def _columns(connection: Connection, schema: str, name: str) -> dict[str, bool]:
    """Names of a table's columns in their order, and whether each is generated; empty where there is none."""
    cursor = connection.execute(_SQL["columns"], {"schema": schema, "name": name})
    return {row["name"]: row["generated"] for row in cursor}


def _check_names(connector: str, stream: Stream) -> None:
    names = [connector, stream.name, stream.name + VIEW_SUFFIX, *(column.name for column in stream.columns)]
    for name in names:
        if not name or "\0" in name or len(name.encode("utf-8", "replace")) > MOST_NAME_BYTES:
            raise Refused(
                f"{name[:MOST_NAME_BYTES]!r} cannot name a table or column: 1 to {MOST_NAME_BYTES} bytes"
            )
    if connector in _OWN_SCHEMAS or connector.startswith("pg_"):
        raise Refused(f"connector {connector} cannot have the schema of that name; it is taken")
    own = [column.name for column in stream.columns if column.name in _OWN_COLUMNS]
    if own:
        raise Refused(
            f"column {own[0]} of {connector}.{stream.name} has the name of one of our own; choose another"
        )
