"""A table-like part of a connector, and the table it lands in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Types of generated columns; each reads its JSON value tolerantly (a misfit becomes NULL)."""

    TEXT = "text"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamptz"


@dataclass(frozen=True, slots=True)
class Column:
    """A typed column generated from the document at `path` (member names from the top)."""

    name: str
    type: ColumnType
    path: tuple[str, ...]
    comment: str = ""
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream is called, which member of a row is its key, and what people query.

    The destination is the table `<connector>.<name>`, keyed by (cluster, connection, id).
    """

    name: str
    key: str
    comment: str
    columns: tuple[Column, ...] = ()
