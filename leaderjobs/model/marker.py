"""How far a stream has come, as committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Cursor: TypeAlias = Mapping[str, object]
"""A connector's own note of where to go on: a small JSON object, opaque to everyone else."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The one durable record of a stream's progress; Postgres is the truth, replicas are copies.

    `sequence` counts committed batches of this stream and rises by exactly one with each (I4).
    `rows` counts rows received over all batches, deletions included.
    """

    connection: str
    stream: str
    sequence: int
    rows: int
    cursor: Cursor
    committed_at: datetime
    term: int
    resets: int = 0
    """How often the cursor was forgotten; the sequence goes on over that."""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the marker within its cluster."""
        return (self.connection, self.stream)
