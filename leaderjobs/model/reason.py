"""The one true reason why something does not happen, or what it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ReasonCode(StrEnum):
    """A word for scripts for each reason there is; the engine's `why` has their order."""

    UNKNOWN_JOB = "unknown_job"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """It runs under a term that is over: the next leader takes it up."""
    CANCELLING = "cancelling"
    RUNNING = "running"
    UNCERTAIN = "uncertain"
    UNKNOWN_LEADER = "unknown_leader"
    """The coordinator cannot be asked."""
    NO_LEADER = "no_leader"
    NOT_SERVED = "not_served"
    """Somebody claims to lead and cannot begin."""
    NEEDS_USER = "needs_user"
    PROVIDER_WAITS = "provider_waits"
    """The provider has told to wait: a rate, or a quota that is used up."""
    NOT_CONFIGURED = "not_configured"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    """It waits because its last attempt failed."""
    CONNECTION_BUSY = "connection_busy"
    """An earlier sync of its connection runs, and they run one at a time."""
    OPERATIONS_BUSY = "operations_busy"
    """As many operations of its connection run as may at once."""
    CONNECTION_LIMIT = "connection_limit"
    PROVIDER_LIMIT = "provider_limit"
    CONCURRENCY = "concurrency"
    BEHIND = "behind"
    """Others of its connection come first."""
    STARTING = "starting"
    """Nothing is in its way."""

    UNKNOWN_SCHEDULE = "unknown_schedule"
    NOT_STORED = "not_stored"
    """It is in this machine's file, and nobody has led with that yet."""
    REMOVED = "removed"
    PAUSED = "paused"
    ENQUEUED = "enqueued"
    MISSED = "missed"
    OVERLAPPED = "overlapped"
    QUEUE_FULL = "queue_full"
    REFUSED = "refused"
    NO_FIRE_TIME = "no_fire_time"
    """The expression does not mean this instant."""
    UNDECIDED = "undecided"
    """It is a fire time that has come, and nobody has decided it yet."""
    BEFORE = "before"
    """It is a fire time from before the schedule was there, or before its time began to count."""
    WAITING = "waiting"
    """The next fire time has not come yet."""
    NEVER = "never"
    """No fire time is left."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence for people and a word for scripts."""

    code: ReasonCode
    message: str
    until: datetime | None = None
    """When this reason is over by itself, or is looked at again; aware UTC, by the database's clock."""
