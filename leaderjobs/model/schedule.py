"""Cron entries and what became of their fire times.

A schedule's fire times are decided one after another, in their order, by the leader: `decided_until` is the
last one that was. Whatever was decided is a row of `fires`, made in the same transaction as the job, and
unique by schedule and fire time: so no fire time yields two jobs, whoever leads, and none is forgotten (I5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class CatchUp(StrEnum):
    """What becomes of fire times that came due while nobody could decide them."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a fire time while a job of an earlier one has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_RUNNING = "cancel_running"


class Source(StrEnum):
    """Who owns a schedule: the configuration of the member that leads, or whoever added it by hand."""

    FILE = "file"
    PERSON = "person"


class FireOutcome(StrEnum):
    """How a fire time was decided."""

    ENQUEUED = "enqueued"
    MISSED = "missed"
    """It came due while nobody led, and `catch_up` does not want it any more."""
    OVERLAPPED = "overlapped"
    """An earlier job had not ended, and `overlap` is skip."""
    QUEUE_FULL = "queue_full"
    """Too many jobs of the schedule wait already."""
    REFUSED = "refused"
    """It could not be enqueued: its sync is not configured, its operation does not take the arguments."""


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What a schedule says; all of it checked."""

    name: str
    target: str
    """A sync by its name, or an operation as CONNECTION.OPERATION."""
    cron: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Of an operation; `{fire_time}` is the fire time in UTC, `{fire_date}` its date in the zone."""
    time_zone: str = "UTC"
    jitter: timedelta = timedelta(0)
    """A job runs up to so much later than its fire time; the same for the same fire time."""
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta = timedelta(days=1)
    overlap: Overlap = Overlap.SKIP
    pause_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as stored; instants are aware UTC, by the database's clock."""

    spec: ScheduleSpec
    source: Source
    version: int
    """Rises with every change but those of deciding."""
    created_at: datetime
    decided_until: datetime
    paused_at: datetime | None = None
    paused_by: str = ""
    paused_reason: str = ""
    counts: Mapping[FireOutcome, int] = field(default_factory=dict)
    """How many fire times were decided so, since the schedule is there."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One decided fire time."""

    schedule: str
    fire_time: datetime
    time_zone: str
    outcome: FireOutcome
    decided_at: datetime
    term: int | None
    """None: a person's backfill."""
    job: int | None = None
    reason: str = ""
    backfill: bool = False
