"""The queue: enqueue by anybody, everything else by the leader under its term."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from leaderjobs.errors import Refused
from leaderjobs.model.job import (
    Cancelled,
    Completed,
    Discard,
    GiveBack,
    Hold,
    Job,
    JobState,
    NewJob,
    Outcome,
    Postpone,
    Progress,
    Retry,
    Uncertain,
    Window,
)
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced, rows_of
from leaderjobs.store.text import checked, storable
from leaderjobs.store.waker import Waker

__all__ = ["MOST_RESCUES", "Jobs", "Waker"]

MOST_RESCUES = 100
"""Leaders that a job may outlive without a committed page in between."""
MOST_ENQUEUE_TRIES = 10
MOST_OPERATIONS = 4
"""Operations of one connection that run at a time."""
MOST_WAIT = timedelta(days=3650)
"""Longer delays are taken as this: Postgres has no instants without end."""
_SQL = queries.load("jobs")
_HOLDS = queries.load("holds")


class Jobs:
    """The queue of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    # -- anybody -------------------------------------------------------------------------------------------

    def enqueue(self, new: NewJob) -> tuple[Job, bool]:
        """Store a job and wake the leader; True when it is new, False for the unfinished one of its key.

        Atomic; the job may run before this returns.
        """
        parameters = {
            "cluster": self._cluster,
            "target": checked(new.target, "target"),
            "connection": checked(new.connection, "connection"),
            "streams": list(new.streams),
            "key": None if new.key is None else checked(new.key, "key"),
            "priority": new.priority,
            "max_attempts": new.max_attempts,
            "at": new.at,
            "delay": None if new.delay is None else min(new.delay, MOST_WAIT),
            "full": new.full,
            "since": new.window.since if new.window else None,
            "until": new.window.until if new.window else None,
            "time_limit": new.time_limit,
            "schedule": new.schedule,
            "fire_time": new.fire_time,
        }
        for _ in range(MOST_ENQUEUE_TRIES):
            for created, name in ((True, "enqueue"), (False, "unfinished")):
                found = self._rows(name, **parameters)
                if found:
                    return found[0], created
            # The job with our key ended between the two statements: the key is free now.
        raise Refused(f"jobs with the key {new.key!r} come and go too fast; enqueue again")

    def get(self, job_id: int) -> Job:
        """The job as it is now; Refused when this cluster has none of that id."""
        found = self._rows("get", id=job_id)
        if not found:
            raise Refused(f"cluster {self._cluster} has no job {job_id}")
        return found[0]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state is there."""
        counted = {
            row["state"]: row["jobs"]
            for row in self._database.rows(_SQL["counts"], {"cluster": self._cluster})
        }
        return {state: counted.get(state.value, 0) for state in JobState}

    def running(self) -> list[Job]:
        """What the leader works on, the oldest attempt first."""
        return self._rows("running")

    def discarded(self, limit: int) -> list[Job]:
        """The newest failures."""
        return self._rows("discarded", limit=limit)

    def next_due(self) -> timedelta | None:
        """How long until a job that is not due yet becomes due, holds counted; None when none waits.

        Jobs that are due already do not count: the caller has just claimed, so they wait for a free place.
        """
        found = self._database.rows(_SQL["next_due"], {"cluster": self._cluster})
        wait: timedelta | None = found[0]["wait"]
        return wait

    # -- the leader ----------------------------------------------------------------------------------------

    def claim(
        self,
        connections: TermConnections,
        term: Term,
        limit: int,
        busy: Collection[str],
        operating: Mapping[str, int] | None = None,
    ) -> list[Job]:
        """Start due jobs under `term`, at most one per lane, the most urgent first.

        Due by the database's clock; in order of priority, then time, then id. `busy` must name the lane
        of EVERY attempt of this term that is under way, until `finish` has returned or raised for it: a job
        that the database shows running under this term in a lane that is not busy is taken for one
        whose claim or finish was never acknowledged, and is handed out again within the same attempt.
        `operating` counts the operations under way by connection; at most MOST_OPERATIONS of one run at once.
        """
        counts = operating or {}
        with fenced(connections, term) as connection:
            cursor = connection.execute(
                _SQL["claim"],
                {
                    "cluster": self._cluster,
                    "number": term.number,
                    "member": term.member,
                    "limit": limit,
                    "busy": list(busy),
                    "operating": list(counts),
                    "counts": list(counts.values()),
                    "operations": MOST_OPERATIONS,
                },
            )
        return [_job(row) for row in rows_of(cursor)]

    def finish(self, connections: TermConnections, term: Term, job: Job, outcome: Outcome) -> JobState:
        """Record how an attempt ended; the state that the job is in afterwards.

        Nothing changes when the job is no longer run by this attempt of this term (a finish whose
        acknowledgement was lost and that is sent again): the state is then the one it has.
        """
        ours = {
            "cluster": self._cluster,
            "connection": job.connection,
            "id": job.id,
            "number": term.number,
            "attempt": job.attempt,
        }
        ending = _ending(outcome)
        with fenced(connections, term) as connection:
            if job.effect is not None:
                connection.execute(_SQL["hold_effect"], {"effect": job.effect})
            if isinstance(outcome, Hold):
                connection.execute(
                    _HOLDS["hold"],
                    {**ours, **ending, "code": storable(outcome.code), "person": outcome.person},
                )
            if isinstance(outcome, Completed):
                connection.execute(_HOLDS["clear"], ours)
            ended = connection.execute(_SQL["finish"], {**ours, **ending})
            stored = connection.execute(_SQL["state"], ours)
        found = rows_of(ended) or rows_of(stored)
        if not found:
            raise Refused(f"cluster {self._cluster} has no job {job.id}")
        return JobState(found[0]["state"])

    def rescue(self, connections: TermConnections, term: Term) -> int:
        """Take every job that an older term left running back into the queue, unspent; how many (I6).

        A job that was rescued MOST_RESCUES times without committing a page is discarded: it may be what
        kills its leaders.
        """
        reason = f"given up: {MOST_RESCUES} leaders in a row ended while it ran, without one committed page"
        with fenced(connections, term) as connection:
            cursor = connection.execute(
                _SQL["rescue"],
                {"cluster": self._cluster, "number": term.number, "most": MOST_RESCUES, "reason": reason},
            )
        return cursor.rowcount

    def prune(
        self, connections: TermConnections, term: Term, ages: Mapping[JobState, timedelta], most: int
    ) -> int:
        """Delete jobs that ended longer ago than their state's age, at most `most`; how many."""
        parameters = {
            "cluster": self._cluster,
            "states": [state.value for state in ages],
            "ages": list(ages.values()),
            "most": most,
        }
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["prune"], parameters)
        return cursor.rowcount

    def _rows(self, name: str, **parameters: object) -> list[Job]:
        return [
            _job(row) for row in self._database.rows(_SQL[name], {**parameters, "cluster": self._cluster})
        ]


def _ending(outcome: Outcome) -> dict[str, object]:
    """What `finish` writes; `spends` may exhaust the attempts, `back` is the attempt given back."""
    match outcome:
        case Completed():
            return _end(JobState.COMPLETED)
        case Retry(delay, error):
            return _end(JobState.RETRYABLE, spends=True, delay=delay, error=error)
        case Hold(delay, _, error, _):
            return _end(JobState.RETRYABLE, back=1, delay=delay, error=error)
        case Discard(error):
            return _end(JobState.DISCARDED, error=error)
        case GiveBack():
            return _end(JobState.AVAILABLE, back=1)
        case Postpone(delay, error, seen):
            return {**_end(JobState.RETRYABLE, back=1, delay=delay, error=error), "seen": seen}
        case Uncertain(delay, error, seen):
            return {**_end(JobState.UNCERTAIN, back=1, delay=delay, error=error), "seen": seen}
        case Cancelled():
            return _end(JobState.CANCELLED)


def _end(
    state: JobState,
    *,
    spends: bool = False,
    back: int = 0,
    delay: timedelta | None = None,
    error: str | None = None,
) -> dict[str, object]:
    return {
        "state": state.value,
        "spends": spends,
        "back": back,
        "delay": None if delay is None else min(delay, MOST_WAIT),
        "error": None if error is None else storable(error),
        "seen": None,
    }


def _job(row: Mapping[str, Any]) -> Job:
    return Job(
        id=row["id"],
        target=row["target"],
        connection=row["connection"],
        streams=tuple(row["streams"]),
        state=JobState(row["state"]),
        key=row["key"],
        priority=row["priority"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        scheduled_at=row["scheduled_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        term=row["term"],
        member=row["member"],
        error=row["error"],
        progress=Progress(
            row["progress_stream"],
            row["progress_pages"],
            row["progress_rows"],
            row["progress_stream_rows"],
            row["progress_total"],
        ),
        effect=row["effect"],
        full=row["full_pull"],
        window=Window(row["since"], row["until"]) if row["since"] or row["until"] else None,
        begun=tuple(row["begun"]),
        started_rows=row["started_rows"],
        time_limit=row["time_limit"],
        schedule=row["schedule"],
        fire_time=row["fire_time"],
        cancel_requested_at=row["cancel_requested_at"],
    )
