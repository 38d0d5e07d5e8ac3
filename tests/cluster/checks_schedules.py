"""I5, judged from the database: a fire time yields at most one job, and under `catch_up = all` none is lost.

Each check is a pure function over what was read; `read` takes it all in one snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import dict_row

from leaderjobs.cron import Expression
from leaderjobs.model.schedule import CatchUp, FireOutcome, Schedule
from leaderjobs.store.pool import Database
from leaderjobs.store.schedules import Schedules
from tests.cluster.history import Violation

RULE: Final = "I5"


@dataclass(frozen=True)
class FireRow:
    """A decided fire time."""

    schedule: str
    fire_time: datetime
    outcome: FireOutcome
    job: int | None


@dataclass(frozen=True)
class JobRow:
    """A job that a schedule asked for; one that was triggered by hand has no fire time."""

    id: int
    schedule: str
    fire_time: datetime | None


@dataclass(frozen=True)
class Stored:
    """What a cluster's database holds of schedules."""

    cluster: str
    schedules: Sequence[Schedule]
    fires: Sequence[FireRow]
    jobs: Sequence[JobRow]


def read(url: str, cluster: str) -> Stored:
    """Everything of a cluster; who decides meanwhile is seen entirely or not at all, but for the schedules."""
    with closing(Database(url, application="judge")) as database:
        schedules = Schedules(database, cluster).all()
    with closing(psycopg.connect(url, row_factory=dict_row)) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        fires = connection.execute(
            "SELECT schedule, fire_time, outcome, job FROM leaderjobs.fires WHERE cluster = %s ORDER BY fire_time",
            (cluster,),
        ).fetchall()
        jobs = connection.execute(
            "SELECT id, schedule, fire_time FROM leaderjobs.jobs WHERE cluster = %s AND schedule IS NOT NULL ORDER BY id",
            (cluster,),
        ).fetchall()
    return Stored(
        cluster,
        schedules,
        [FireRow(**{**row, "outcome": FireOutcome(row["outcome"])}) for row in fires],
        [JobRow(**row) for row in jobs],
    )


def check_fires(stored: Stored) -> None:
    """At most one job for each fire time, and each of the two knows the other."""
    fires = {(fire.schedule, fire.fire_time): fire for fire in stored.fires}
    made = Counter((job.schedule, job.fire_time) for job in stored.jobs if job.fire_time is not None)
    for (schedule, fire_time), count in made.items():
        if count > 1:
            raise Violation(RULE, f"{count} jobs of {schedule} for {fire_time}")
    by_id = {job.id: job for job in stored.jobs}
    for job in stored.jobs:
        if job.fire_time is None:
            continue
        fire = fires.get((job.schedule, job.fire_time))
        if fire is None or fire.job != job.id:
            raise Violation(RULE, f"job {job.id} of {job.schedule} for {job.fire_time} has no row of its own")
    for fire in stored.fires:
        if (fire.job is not None) != (fire.outcome is FireOutcome.ENQUEUED):
            raise Violation(RULE, f"{fire.schedule} for {fire.fire_time} is {fire.outcome}, job {fire.job}")
        found = by_id.get(fire.job or 0)
        if found is not None and (found.schedule, found.fire_time) != (fire.schedule, fire.fire_time):
            raise Violation(RULE, f"{fire.schedule} for {fire.fire_time} names job {found.id} of another")


def check_none_lost(stored: Stored, since: Mapping[str, datetime]) -> None:
    """Under `catch_up = all` each fire time after `since`, by the schedule's name, is decided and has a row.

    For schedules that were neither edited nor paused since then, nor late by more than their window.
    """
    for schedule in stored.schedules:
        spec = schedule.spec
        if spec.catch_up is not CatchUp.ALL or spec.name not in since:
            continue
        rows = {fire.fire_time for fire in stored.fires if fire.schedule == spec.name}
        for fire_time in Expression.of(spec, stored.cluster).after(since[spec.name], schedule.decided_until):
            if fire_time not in rows:
                raise Violation(
                    RULE,
                    f"{spec.name} is decided until {schedule.decided_until}, and {fire_time} has no row",
                )
