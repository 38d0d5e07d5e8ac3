"""What is known of a job or a schedule that does not run, as of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leaderjobs.model.job import Job, JobState
from leaderjobs.model.schedule import Fire, FireOutcome, Schedule
from leaderjobs.store import queries
from leaderjobs.store.holds import StoredHold
from leaderjobs.store.jobs import job_of
from leaderjobs.store.pool import Database
from leaderjobs.store.schedules import schedule_of
from leaderjobs.store.terms import StoredTerm

MOST_AHEAD = 10_000
"""Jobs before this one are counted up to here: an answer must not cost a walk through the whole queue."""
MOST_RUNNING = 512
"""Twice what a leader may run at once."""
_SQL = queries.load("why")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """Another job that runs."""

    id: int
    target: str
    connection: str
    operation: bool
    started_at: datetime


@dataclass(frozen=True, slots=True)
class EffectFacts:
    """The effect of an operation's job."""

    state: str
    code: str
    reason: str
    first_sent_at: datetime | None
    looked_up_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Everything that decides about one job; instants are aware UTC, by the database's clock."""

    now: datetime
    job: Job | None
    """None: there is no such job in this cluster."""
    term: StoredTerm | None = None
    """The newest; None when nobody ever led."""
    cancelled_by: str = ""
    hold: StoredHold | None = None
    """Of its connection, also one that is over and waits for its probe."""
    effect: EffectFacts | None = None
    last_outcome: str = ""
    """How the last attempt ended that did not complete it; empty when there was none, or it is not known."""
    last_attempt: int = 0
    running: tuple[RunningJob, ...] = ()
    """Of the whole cluster, the longest first."""
    ahead: int = 0
    """Due jobs of its kind and connection that come first; MOST_AHEAD + 1 means more than MOST_AHEAD."""
    connection_known: bool | None = None
    """Whether a sync of the member that led last uses its connection; None where it told no syncs."""


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """Everything that decides about one schedule; instants as in `JobFacts`."""

    now: datetime
    schedule: Schedule | None
    term: StoredTerm | None = None
    fire: Fire | None = None
    """Of the instant that was asked about, else the newest that was no backfill."""
    job_state: JobState | None = None
    """Of the fire's job; None when there is none, or it has been pruned."""
    job_finished_at: datetime | None = None
    job_error: str = ""


class Whys:
    """Reads the facts of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str, partition: int) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._who = {"cluster": cluster, "partition": partition}

    def job(self, job_id: int) -> JobFacts:
        """The facts of a job, in one short transaction."""
        bounds = {"id": job_id, "most_ahead": MOST_AHEAD + 1, "most_running": MOST_RUNNING}
        (row,) = self._database.rows(_SQL["job"], {**self._who, **bounds})
        if row["id"] is None:
            return JobFacts(row["now"], None, _term(row))
        return JobFacts(
            now=row["now"],
            job=job_of(row),
            term=_term(row),
            cancelled_by=row["cancelled_by"],
            hold=_hold(row),
            effect=_effect(row),
            last_outcome=row["last_outcome"] or "",
            last_attempt=row["last_attempt"] or 0,
            running=tuple(_running(each) for each in row["running"] if each["id"] != job_id),
            ahead=row["ahead"],
            connection_known=row["connection_known"] if row["syncs_known"] else None,
        )

    def schedule(self, name: str, at: datetime | None) -> ScheduleFacts:
        """The facts of a schedule, and of its fire in the minute of the aware instant `at`, as `job`."""
        minute = at and at.replace(second=0, microsecond=0)
        (row,) = self._database.rows(_SQL["schedule"], {**self._who, "name": name, "at": minute})
        return ScheduleFacts(
            now=row["now"],
            schedule=None if row["name"] is None else schedule_of(row),
            term=_term(row),
            fire=_fire(row, name),
            job_state=row["job_state"] and JobState(row["job_state"]),
            job_finished_at=row["job_finished_at"],
            job_error=row["job_error"] or "",
        )


def _term(row: Mapping[str, Any]) -> StoredTerm | None:
    if row["term_number"] is None:
        return None
    names = ("partition", "number", "token", "origin", "member", "raised_at")
    return StoredTerm(**{name: row[f"term_{name}"] for name in names})


def _hold(row: Mapping[str, Any]) -> StoredHold | None:
    if row["hold_code"] is None:
        return None
    return StoredHold(
        connection=row["connection"],
        code=row["hold_code"],
        message=row["hold_message"],
        since=row["hold_since"],
        until=row["hold_until"],
        person=row["hold_person"],
    )


def _effect(row: Mapping[str, Any]) -> EffectFacts | None:
    if row["effect_state"] is None:
        return None
    return EffectFacts(
        row["effect_state"],
        row["effect_code"],
        row["effect_reason"],
        row["effect_first_sent_at"],
        row["effect_looked_up_at"],
    )


def _running(row: Mapping[str, Any]) -> RunningJob:
    started_at = datetime.fromisoformat(row["started_at"]).astimezone(UTC)
    return RunningJob(row["id"], row["target"], row["connection"], row["operation"], started_at)


def _fire(row: Mapping[str, Any], schedule: str) -> Fire | None:
    if row["fire_outcome"] is None:
        return None
    return Fire(
        schedule,
        row["fire_time"],
        row["fire_time_zone"],
        FireOutcome(row["fire_outcome"]),
        row["fire_decided_at"],
        row["fire_term"],
        row["fire_job"],
        row["fire_reason"],
        row["fire_backfill"],
    )
