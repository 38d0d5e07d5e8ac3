"""A destination table as it stands, and what a description of its stream finds lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderjobs.errors import Refused
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store import queries
from leaderjobs.store.pool import Connection
from leaderjobs.store.table_names import OWN_COLUMNS, VIEW_ENDING, column_name, stored

MOST_COLUMNS = 1500
"""Postgres holds 1600, and counts those that were dropped."""
VIEW_COLUMNS = ("connection", "id", "doc", "synced_at")
"""The first columns of a view: what a row has without a description."""
_READERS: dict[ColumnType, str] = {
    ColumnType.TEXT: "json_text",
    ColumnType.NUMERIC: "json_numeric",
    ColumnType.BOOLEAN: "json_boolean",
    ColumnType.DATE: "json_date",
    ColumnType.TIMESTAMP: "json_timestamptz",
    ColumnType.JSON: "json_json",
}
_SQL = queries.load("tables")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column as a table should have it."""

    name: str
    type: str
    """As pg_type calls it."""
    reader: str
    """Our function that reads it from the document at `path`."""
    path: tuple[str, ...]
    comment: str
    indexed: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A column that a table has."""

    name: str
    type: str
    generated: bool
    comment: str
    reader: str = ""
    """What the trigger keeps it with; empty where it is generated, or not of our making."""
    path: tuple[str, ...] = ()
    filled: bool = True

    @property
    def ours(self) -> bool:
        """Whether it was made from a description: people may add columns of their own."""
        return self.generated or bool(self.reader)

    def reads(self, wanted: Wanted) -> bool:
        """Whether it is the wanted column; what a generated one reads never changes, so its type tells."""
        return self.ours and self.type == wanted.type and (self.generated or self.path == wanted.path)


@dataclass(frozen=True, slots=True)
class View:
    """The view of a table's live rows."""

    columns: tuple[str, ...]
    comment: str
    options: tuple[str, ...]
    """What its owner has set, `name=value`."""


@dataclass(frozen=True, slots=True)
class Table:
    """A destination table; `exists` is false where there is none yet."""

    name: str
    exists: bool
    owned: bool
    """Whether this user may change it; who may not can still lead where nothing is lacking."""
    comment: str
    columns: tuple[Standing, ...]
    lost: bool
    """Whether a column that the trigger keeps was dropped: it would fail every page."""
    indexed: frozenset[str]
    invalid: Mapping[str, str]
    """Column -> index that was left unfinished."""
    view: View | None

    @property
    def unfilled(self) -> tuple[Standing, ...]:
        """Columns that older rows may still lack."""
        return tuple(column for column in self.columns if not column.filled)

    @property
    def kept(self) -> tuple[Standing, ...]:
        """Columns that the trigger keeps."""
        return tuple(column for column in self.columns if column.reader)

    def viewed(self) -> tuple[str, ...]:
        """The columns that its view shows: those that it has first, because a view only grows at its end."""
        names = [column.name for column in self.columns if column.ours]
        there = self.view.columns if self.view else VIEW_COLUMNS
        return (*there, *(name for name in names if name not in there))

    def view_is_ours(self) -> bool:
        """Whether the view shows nothing but the table: one that people have changed is left to them."""
        known = {*VIEW_COLUMNS, *(column.name for column in self.columns)}
        return self.view is None or (
            known.issuperset(self.view.columns) and self.view.columns[: len(VIEW_COLUMNS)] == VIEW_COLUMNS
        )


def look(connection: Connection, schema: str, names: Sequence[str]) -> dict[str, Table]:
    """The tables of these names as they stand, in one round trip and without a lock on any.

    Refused where something else has the name of a table or view.
    """
    asked = {"schema": schema, "names": list(names), "views": [name + VIEW_ENDING for name in names]}
    return {row["name"]: _table(schema, row) for row in connection.execute(_SQL["look"], asked)}


@dataclass(frozen=True, slots=True)
class Described:
    """A table beside the description of its stream."""

    schema: str
    stream: Stream
    table: Table
    wanted: tuple[Wanted, ...]
    """The stream's columns, under the names that they have in the table, or will have."""

    @property
    def new(self) -> list[Wanted]:
        """Columns that the table lacks."""
        names = {column.name for column in self.table.columns}
        return [column for column in self.wanted if column.name not in names]

    @property
    def comments(self) -> dict[str, str]:
        """Comments that columns lack; a description without one leaves what is there."""
        told = OWN_COLUMNS | {column.name: column.comment for column in self.wanted if column.comment}
        return {
            column.name: told[column.name]
            for column in self.table.columns
            if column.comment != told.get(column.name, column.comment)
        }

    @property
    def unindexed(self) -> list[Wanted]:
        """Columns that should have an index and can get one: they are there, and filled."""
        filled = {column.name for column in self.table.columns if column.filled}
        return [
            column
            for column in self.wanted
            if column.indexed and column.name in filled and column.name not in self.table.indexed
        ]


def describe(schema: str, stream: Stream, table: Table) -> Described:
    """Find the stream's columns in `table`, or names for them; Refused where there is none.

    A name that already reads something else, or is a column of somebody's own, gets the type as its ending:
    a provider that turns a number into a text gets a second column, and the first keeps its meaning.
    """
    standing = {column.name: column for column in table.columns}
    found: dict[str, Wanted] = {}
    for column in stream.columns:
        base = column_name(column.name)
        for name in (base, column_name(f"{column.name}__{column.type.value}")):
            made = _wanted(name, column)
            there, same = standing.get(name), found.get(name, made)
            if (there is None or there.reads(made)) and (same.type, same.path) == (made.type, made.path):
                found.setdefault(name, made)
                break
        else:
            raise Refused(
                f"column {stored(column.name)[:40]!r} of {schema}.{stream.name} cannot be added: "
                f"{base} and {name} read something else; rename it"
            )
    count = len(standing) + sum(name not in standing for name in found)
    if count > MOST_COLUMNS:
        raise Refused(f"{schema}.{stream.name} would have {count} columns; at most {MOST_COLUMNS} fit")
    return Described(schema, stream, table, tuple(found.values()))


def _wanted(name: str, column: Column) -> Wanted:
    short = column.indexed and column.type is ColumnType.TEXT
    return Wanted(
        name=name,
        type="bool" if column.type is ColumnType.BOOLEAN else column.type.value,
        reader="json_short_text" if short else _READERS[column.type],
        path=tuple(stored(step) for step in column.path),
        comment=stored(column.comment),
        indexed=column.indexed,
    )


def _table(schema: str, row: dict[str, Any]) -> Table:
    own_name = row["name"]
    if row["kind"] not in {None, "r", "p"} or row["view_kind"] not in {None, "v"}:
        odd = own_name if row["kind"] not in {None, "r", "p"} else own_name + VIEW_ENDING
        raise Refused(f"{schema}.{odd} is something else already; rename it, or the stream")
    view = View(tuple(row["view_columns"]), row["view_comment"], tuple(row["view_options"]))
    return Table(
        name=own_name,
        exists=row["kind"] is not None,
        owned=row["owned"],
        comment=row["comment"],
        columns=tuple(
            Standing(name, type_, generated, comment, reader, tuple(path), filled)
            for name, type_, generated, comment, reader, path, filled in row["columns"]
        ),
        lost=row["lost"],
        indexed=frozenset(row["indexed"]),
        invalid=row["invalid"],
        view=view if row["view_kind"] else None,
    )
