"""A table-like part of a connector, and the table it lands in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Types of typed columns; each reads its JSON value tolerantly (a misfit becomes NULL)."""

    TEXT = "text"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamptz"
    JSON = "jsonb"
    """Whatever stands there, as it came."""


class CursorKind(StrEnum):
    """What a later sync asks the provider for."""

    FULL = "full"
    """Everything, each time; what is no longer there becomes deleted."""
    CHANGES = "changes"
    """What the provider itself lists as changed and deleted since."""
    NEWER = "newer"
    """What has been made, or is newer by one of its values, since; changes of older rows are not seen."""
    WINDOW = "window"
    """A span of days up to now, which takes the place of what those days held."""


@dataclass(frozen=True, slots=True)
class Column:
    """A typed column that reads the document at `path` (member names from the top)."""

    name: str
    type: ColumnType
    path: tuple[str, ...]
    comment: str = ""
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream is called, which members of a row are its key, and what people query.

    The destination is the table `<schema>.<name>`, keyed by (cluster, connection, id).
    """

    name: str
    key: tuple[str, ...]
    """Members at the top of a row that together tell it from all others of the connection."""
    comment: str
    columns: tuple[Column, ...] = ()
    cursor: CursorKind = CursorKind.FULL
    cost: str = ""
    """What a sync of it takes at the provider, in a sentence for people."""
    windowed: bool = False
    """Whether `enqueue --since/--until` can ask for a span of it."""

    def id_of(self, row: Mapping[str, object]) -> str:
        """The row's id in the table: the key's text, or a JSON array of texts where it has several members.

        KeyError where one is missing; the store refuses a value that is neither text nor a number.
        """
        if len(self.key) == 1:
            return str(row[self.key[0]])
        return json.dumps([str(row[name]) for name in self.key], ensure_ascii=False)
