"""Putting a sync into the queue, by anybody: with a key it is there once until it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from leaderjobs.errors import Refused
from leaderjobs.model.job import JobState, NewJob, OnConflict
from leaderjobs.store import queries
from leaderjobs.store.pool import Database
from leaderjobs.store.text import checked

MOST_TRIES = 10
LONGEST_DELAY = timedelta(days=3650)
"""Longer delays are taken as this: Postgres has no instants without end."""
_SQL = queries.load("enqueueing")


def enqueue(
    database: Database, cluster: str, new: NewJob, on_conflict: OnConflict
) -> tuple[Mapping[str, Any], bool]:
    """Store a job and wake the leader: its row, and whether it is new.

    Atomic; the job may run before this returns. Where an unfinished job has the key, that one comes back
    (SKIP), or it is Refused (ERROR), or it becomes what is asked for (REPLACE): atomically, and unless it
    runs, then it comes back as it is. Refused also where it cannot become that, being of another target.
    """
    parameters = _parameters(cluster, new)
    insert = "enqueue_or_replace" if on_conflict is OnConflict.REPLACE and new.key is not None else "enqueue"
    for _ in range(MOST_TRIES):
        for name in (insert, "unfinished"):
            found = database.rows(_SQL[name], parameters)
            if found and not (name == "unfinished" and _replaceable(found[0], new, on_conflict)):
                _refuse_other(found[0], new, on_conflict)
                return found[0], bool(found[0]["created"])
        # The job with our key ended between the two statements: the key is free now. Or it ran then and waits
        # now: it can be replaced.
    raise Refused(f"jobs with the key {new.key!r} come and go too fast; enqueue again")


def _replaceable(row: Mapping[str, Any], new: NewJob, on_conflict: OnConflict) -> bool:
    """Whether the statement that replaces would take this job, if it came now."""
    same = (row["target"], row["connection"]) == (new.target, new.connection)
    return (
        on_conflict is OnConflict.REPLACE and same and row["state"] != JobState.RUNNING and not row["effect"]
    )


def _refuse_other(row: Mapping[str, Any], new: NewJob, on_conflict: OnConflict) -> None:
    """What the policy does not want of the unfinished job that has the key."""
    if row["created"]:
        return
    if on_conflict is OnConflict.ERROR:
        raise Refused(
            f"job {row['id']} ({row['target']}) has the key {new.key!r} and is {row['state']}; "
            "wait until it has ended, or enqueue with on_conflict skip or replace"
        )
    if on_conflict is OnConflict.REPLACE and (row["target"], row["connection"]) != (
        new.target,
        new.connection,
    ):
        raise Refused(
            f"job {row['id']} has the key {new.key!r} and is of {row['target']}, not of {new.target}; "
            "choose another key"
        )


def _parameters(cluster: str, new: NewJob) -> dict[str, object]:
    return {
        "cluster": cluster,
        "target": checked(new.target, "target"),
        "connection": checked(new.connection, "connection"),
        "streams": list(new.streams),
        "key": None if new.key is None else checked(new.key, "key"),
        "priority": new.priority,
        "max_attempts": new.max_attempts,
        "at": new.at,
        "delay": None if new.delay is None else min(new.delay, LONGEST_DELAY),
        "full": new.full,
        "since": new.window.since if new.window else None,
        "until": new.window.until if new.window else None,
        "time_limit": new.time_limit,
        "schedule": new.schedule,
        "fire_time": new.fire_time,
    }
