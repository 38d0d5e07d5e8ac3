"""A sync of the configuration, as far as whoever enqueues it must know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Sync:
    """What an enqueuing of the sync means when it says nothing else, and what else it may say."""

    name: str
    connection: str
    streams: tuple[str, ...]
    """In the order in which they are pulled."""
    known: tuple[str, ...]
    """Every stream of the connection."""
    windowed: tuple[str, ...]
    """Those of `known` that can be pulled for a span of time."""
    max_attempts: int
    time_limit: timedelta | None = None
