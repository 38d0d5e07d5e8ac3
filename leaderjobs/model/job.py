"""Queued work: a job, its states, and how one attempt at it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

PRIORITIES = range(10)
"""0 runs first, 9 last."""
DEFAULT_PRIORITY = 5


class JobState(StrEnum):
    """The River/Oban set, and `uncertain` for an operation whose outcome only evidence can settle."""

    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"
    UNCERTAIN = "uncertain"

    @property
    def final(self) -> bool:
        """Whether nothing moves the job on by itself any more."""
        return self in _FINAL


_FINAL = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Progress:
    """What the running attempt has committed so far."""

    stream: str = ""
    pages: int = 0
    rows: int = 0
    stream_rows: int = 0
    """Of the stream that is being pulled."""
    total: int | None = None
    """Rows that the stream will bring in all, where the provider tells."""


@dataclass(frozen=True, slots=True)
class Window:
    """The span that a pull is about, instead of going on from the marker; aware UTC, either may be open."""

    since: datetime | None = None
    until: datetime | None = None
    """Excluded."""


class OnConflict(StrEnum):
    """What becomes of a request whose key an unfinished job has already."""

    ERROR = "error"
    SKIP = "skip"
    """The unfinished job stands for both."""
    REPLACE = "replace"
    """The unfinished job becomes what is asked for now, unless it is running: then as `skip`."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A request to run `target` (a sync by name); `key` makes it unique among jobs not yet final."""

    target: str
    connection: str
    streams: tuple[str, ...]
    key: str | None = None
    at: datetime | None = None
    """Not before this instant; None means now, by the database's clock."""
    delay: timedelta | None = None
    """Not before this long from now, by the database's clock; excludes `at`."""
    priority: int = DEFAULT_PRIORITY
    max_attempts: int = 20
    full: bool = False
    """Forget the streams' markers first and pull everything again; excludes `window`."""
    window: Window | None = None
    """Pull this span only, and leave the markers where they are."""
    time_limit: timedelta | None = None
    """Longest time that one attempt may take; None: no limit."""
    schedule: str | None = None
    """Whose fire time, or manual trigger, this is."""
    fire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One queued execution, as stored."""

    id: int
    target: str
    connection: str
    streams: tuple[str, ...]
    state: JobState
    key: str | None
    priority: int
    attempt: int
    max_attempts: int
    scheduled_at: datetime
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    term: int | None = None
    member: str | None = None
    error: str | None = None
    progress: Progress = field(default_factory=Progress)
    effect: UUID | None = None
    """The effect that this job is to bring about; None for a sync."""
    full: bool = False
    """As in `NewJob`."""
    window: Window | None = None
    begun: tuple[str, ...] = ()
    """Streams whose full pull this job has begun."""
    started_rows: int = 0
    """Rows that earlier attempts had committed when this one began."""
    time_limit: timedelta | None = None
    schedule: str | None = None
    fire_time: datetime | None = None
    cancel_requested_at: datetime | None = None
    """When a person asked to cancel it while it ran; it ends at the next page's end."""

    @property
    def lane(self) -> str:
        """What runs one attempt at a time: a connection's syncs together, every operation by itself."""
        return self.connection if self.effect is None else str(self.effect)


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt did all of its work."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed in a way that may pass; run again after `delay`, until attempts are spent."""

    delay: timedelta
    error: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A person must act, or a quota be renewed: the job waits, and so does its connection's every other.

    The hold is probed again after `delay`, so mending the account is enough; no attempt is spent.
    """

    delay: timedelta
    code: str
    error: str
    person: bool = True
    """Whether a person must act; else it passes by itself when `delay` is over."""


@dataclass(frozen=True, slots=True)
class Discard:
    """The attempt failed for good."""

    error: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The attempt was interrupted through no fault of the job: it is available again, unspent (I7)."""


@dataclass(frozen=True, slots=True)
class Postpone:
    """There is nothing to do before `delay` has passed; no attempt is spent."""

    delay: timedelta
    error: str
    seen: int | None = None
    """The effect's version that was looked at: where it has changed meanwhile, the job is due at once."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Whether the effect happened is unknown and must not be tried again; look again after `delay`."""

    delay: timedelta
    error: str
    seen: int | None = None
    """As in `Postpone`."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A person took the job back before it did anything."""


Outcome: TypeAlias = Completed | Retry | Hold | Discard | GiveBack | Postpone | Uncertain | Cancelled
