"""What people are told about jobs that fail, and that work again: once per breach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HookEvent(StrEnum):
    """What a hook can be told."""

    FAILURE = "failure"
    """A job of a target was discarded, and none was before it since the last one completed."""
    RECOVERY = "recovery"
    """A job of the target completed after that."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell, kept in Postgres until every hook that wants it was told."""

    id: int
    event: HookEvent
    target: str
    """The sync or operation."""
    schedule: str | None
    job: int
    attempt: int
    term: int
    member: str
    error: str
    """Empty for a recovery."""
    at: datetime
    since: datetime
    """When the breach began."""
