"""The queue: enqueue by anybody, everything else by the leader under its term."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from leaderjobs.errors import Refused
from leaderjobs.model.job import Job, JobState, NewJob, OnConflict, Progress, Window
from leaderjobs.model.term import Term
from leaderjobs.store import enqueueing, queries
from leaderjobs.store.pool import Database, TermConnections, fenced, rows_of
from leaderjobs.store.waker import Waker

__all__ = ["MOST_RESCUES", "Jobs", "Waker"]

MOST_RESCUES = 100
"""Leaders that a job may outlive without a committed page in between."""
FIRES_KEPT = timedelta(days=90)
"""How long decided fire times are kept."""
_SQL = queries.load("jobs")


class Jobs:
    """The queue of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    # -- anybody -------------------------------------------------------------------------------------------

    def enqueue(self, new: NewJob, on_conflict: OnConflict = OnConflict.SKIP) -> tuple[Job, bool]:
        """Store a job and wake the leader; True when it is new. As `enqueueing.enqueue`."""
        row, created = enqueueing.enqueue(self._database, self._cluster, new, on_conflict)
        return job_of(row), created

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

    # -- the leader ----------------------------------------------------------------------------------------

    def rescue(self, connections: TermConnections, term: Term) -> int:
        """Take every job that an older term left running back into the queue, unspent; how many (I6).

        A sync that was rescued MOST_RESCUES times without committing a page is discarded: it may be what
        kills its leaders. One that a person has cancelled meanwhile ends so.
        """
        reason = f"given up: {MOST_RESCUES} leaders in a row ended while it ran, without one committed page"
        with fenced(connections, term) as connection:
            cursor = connection.execute(
                _SQL["rescue"],
                {"cluster": self._cluster, "number": term.number, "most": MOST_RESCUES, "reason": reason},
            )
        return int(rows_of(cursor)[0]["jobs"])

    def prune(
        self,
        connections: TermConnections,
        term: Term,
        ages: Mapping[JobState, timedelta],
        *,
        after: int,
        most: int,
    ) -> int | None:
        """Of the `most` jobs that follow the id `after`, delete those that ended longer ago than their age.

        With them goes what is kept of their attempts. The id to go on after; None at the end of the table. A
        walk that begins (`after` 0) also deletes decided fire times that are of no use any more.
        """
        parameters = {
            "cluster": self._cluster,
            "states": [state.value for state in ages],
            "ages": list(ages.values()),
            "after": after,
            "most": most,
        }
        with fenced(connections, term) as connection:
            if after == 0:
                connection.execute(_SQL["prune_fires"], {**parameters, "age": FIRES_KEPT})
            cursor = connection.execute(_SQL["prune"], parameters)
        (bite,) = rows_of(cursor)
        last: int = bite["last"]
        return last if bite["jobs"] == most else None

    def _rows(self, name: str, **parameters: object) -> list[Job]:
        return [
            job_of(row) for row in self._database.rows(_SQL[name], {**parameters, "cluster": self._cluster})
        ]


def job_of(row: Mapping[str, Any]) -> Job:
    """The job of a row of the table."""
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
