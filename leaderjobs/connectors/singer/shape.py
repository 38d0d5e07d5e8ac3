"""From the JSON schema of a SCHEMA message to a stream's key and typed columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping

from leaderjobs.connectors.documents import rows, table, text
from leaderjobs.model.stream import Column, ColumnType, Stream

MOST_COLUMNS = 500
"""Of one stream; what a schema has besides is in the document only."""
MOST_NESTING = 10
_SIMPLE = {
    "number": ColumnType.NUMERIC,
    "integer": ColumnType.NUMERIC,
    "boolean": ColumnType.BOOLEAN,
    "object": ColumnType.JSON,
    "array": ColumnType.JSON,
}
_FORMATS = {
    "date-time": ColumnType.TIMESTAMP,
    "date": ColumnType.DATE,
    "singer.decimal": ColumnType.NUMERIC,
}
_WORDS = frozenset({ColumnType.TEXT, ColumnType.TIMESTAMP, ColumnType.DATE})


def shaped(
    stream: Stream, schema: Mapping[str, object], key: tuple[str, ...], fields: Collection[str]
) -> Stream:
    """`stream` with this key, and the columns that the schema's members call for added to its own.

    A column is never dropped and keeps its type: where a member has got another type, a second column named
    `MEMBER__TYPE` reads it (as the store calls it where the first one is of an earlier run). `fields`, unless
    empty, are the members that were asked for.
    """
    columns = {column.name: column for column in stream.columns}
    for member, described in table(schema.get("properties")).items():
        if (fields and member not in fields and member not in key) or len(columns) >= MOST_COLUMNS:
            continue
        column = _column(member, table(described))
        known = columns.get(column.name)
        if known is not None and known.type is not column.type:
            column = dataclasses.replace(column, name=f"{column.name}__{column.type.value}")
        columns.setdefault(column.name, column)
    return dataclasses.replace(stream, key=key, columns=tuple(columns.values()))


def _column(member: str, described: Mapping[str, object]) -> Column:
    return Column(member, _type(described), (member,), text(described.get("description")))


def _type(described: Mapping[str, object]) -> ColumnType:
    """The one type that all that the schema allows can be read as."""
    found = set(_types(described, MOST_NESTING))
    if len(found) == 1:
        return found.pop()
    return ColumnType.TEXT if found and found <= _WORDS else ColumnType.JSON


def _types(described: Mapping[str, object], depth: int) -> Iterator[ColumnType]:
    for choice in ("anyOf", "oneOf", "allOf"):
        for inner in rows(described.get(choice)) if depth else ():
            yield from _types(table(inner), depth - 1)
    kind = described.get("type")
    for name in kind if isinstance(kind, list) else [kind]:
        if name == "string":
            yield _FORMATS.get(str(described.get("format")), ColumnType.TEXT)
        elif isinstance(name, str) and name in _SIMPLE:
            yield _SIMPLE[name]


def key_of(named: Iterable[str] | None) -> tuple[str, ...]:
    """The members that a SCHEMA message names as the key, each once."""
    return tuple(dict.fromkeys(named or ()))
