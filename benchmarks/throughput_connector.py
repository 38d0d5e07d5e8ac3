"""A connector that does nothing but note when it was asked: the job of `throughput` whose start is timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.pacing import Paces
from leaderjobs.model.batch import Batch
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream


class NoopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to note it."""

    notes: str


class Noop(Connector):
    """One stream without rows."""

    name: ClassVar[str] = "noop"
    settings: ClassVar[type[msgspec.Struct]] = NoopSettings
    streams = (Stream("nothing", ("id",), "No rows"),)

    def __init__(self, connection: str, options: NoopSettings, paces: Paces) -> None:
        """Nothing is opened."""
        del connection, paces
        self._notes = Path(options.notes)

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """A line with the instant, on the clock that all processes of a machine share; no page."""
        del stream, cursor, context
        with self._notes.open("a", encoding="ascii") as notes:
            notes.write(f"{time.monotonic()}\n")
        return iter(())

    def check(self) -> None:
        """Nothing to prove."""

    def close(self) -> None:
        """Nothing to let go of."""
