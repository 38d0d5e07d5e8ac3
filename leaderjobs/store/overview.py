"""Everything that `status` asks the database, in one round trip.

Read together, so that the parts fit each other and a watch costs the server one transaction a look. Imports
little: this is on the way of a command that people wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leaderjobs.model.job import Job, JobState
from leaderjobs.model.marker import Marker
from leaderjobs.model.quota import QuotaUse
from leaderjobs.model.schedule import Fire, Schedule
from leaderjobs.store import queries
from leaderjobs.store.holds import StoredHold
from leaderjobs.store.jobs import job_of
from leaderjobs.store.pool import Database, rows_of
from leaderjobs.store.terms import StoredTerm

SHOWN_DISCARDED = 5
_SQL = queries.load("overview")
_TERMS = queries.load("terms")
_JOBS = queries.load("jobs")
_MARKERS = queries.load("markers")
_HOLDS = queries.load("holds")
_QUOTAS = queries.load("quotas")
_EFFECTS = queries.load("effects")
_SCHEDULES = queries.load("schedules")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database knows of a cluster, as of one transaction."""

    now: datetime | None = None
    """By the database's clock; None when it was not asked."""
    term: StoredTerm | None = None
    jobs: Mapping[JobState, int] = field(default_factory=dict)
    """How many are in each state; every state is there."""
    queues: Mapping[str, Mapping[JobState, int]] = field(default_factory=dict)
    """Jobs that have not ended, by connection and state."""
    running: tuple[Job, ...] = ()
    """The oldest attempt first."""
    discarded: tuple[Job, ...] = ()
    """The newest SHOWN_DISCARDED."""
    markers: tuple[Marker, ...] = ()
    holds: tuple[StoredHold, ...] = ()
    quotas: tuple[QuotaUse, ...] = ()
    effects_uncertain: int = 0
    effects_contradicted: int = 0
    schedules: tuple[Schedule, ...] = ()
    """By name."""
    last_fires: Mapping[str, Fire] = field(default_factory=dict)
    """The newest decided one of each schedule that has any."""


class Overview:
    """One cluster at a glance. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def look(self, partition: int) -> Seen:
        """What is there now; StoreUnavailable, or SchemaMismatch where it is not migrated."""
        who = {"cluster": self._cluster, "partition": partition, "limit": SHOWN_DISCARDED}
        with self._database.transaction() as connection:
            clock = connection.execute(_SCHEDULES["clock"])
            term = connection.execute(_TERMS["current"], who)
            counts = connection.execute(_SQL["jobs_of_connections"], who)
            running = connection.execute(_JOBS["running"], who)
            discarded = connection.execute(_JOBS["discarded"], who)
            markers = connection.execute(_MARKERS["all"], who)
            holds = connection.execute(_HOLDS["all"], who)
            quotas = connection.execute(_QUOTAS["all"], who)
            effects = connection.execute(_EFFECTS["counts"], who)
            schedules = connection.execute(_SCHEDULES["all"], who)
            fires = connection.execute(_SQL["last_fires"], who)
        jobs, queues = _counted(rows_of(counts))
        of_effects = rows_of(effects)[0]
        return Seen(
            now=rows_of(clock)[0]["now"],
            term=next((StoredTerm(**row) for row in rows_of(term)), None),
            jobs=jobs,
            queues=queues,
            running=tuple(job_of(row) for row in rows_of(running)),
            discarded=tuple(job_of(row) for row in rows_of(discarded)),
            markers=tuple(Marker(**row) for row in rows_of(markers)),
            holds=tuple(StoredHold(**row) for row in rows_of(holds)),
            quotas=tuple(QuotaUse(**row) for row in rows_of(quotas)),
            effects_uncertain=int(of_effects["uncertain"]),
            effects_contradicted=int(of_effects["contradicted"]),
            schedules=_schedules(rows_of(schedules)),
            last_fires=_fires(rows_of(fires)),
        )

    def last_fires(self) -> dict[str, Fire]:
        """The newest decided fire time of each schedule that has any."""
        return _fires(self._database.rows(_SQL["last_fires"], {"cluster": self._cluster}))


def _counted(rows: list[dict[str, Any]]) -> tuple[dict[JobState, int], dict[str, dict[JobState, int]]]:
    jobs = dict.fromkeys(JobState, 0)
    queues: dict[str, dict[JobState, int]] = {}
    for row in rows:
        state = JobState(row["state"])
        jobs[state] += row["jobs"]
        if not state.final:
            queues.setdefault(row["connection"], {})[state] = row["jobs"]
    return jobs, queues


def _schedules(rows: list[dict[str, Any]]) -> tuple[Schedule, ...]:
    if not rows:
        return ()
    from leaderjobs.store.schedules import schedule_of

    return tuple(schedule_of(row) for row in rows)


def _fires(rows: list[dict[str, Any]]) -> dict[str, Fire]:
    if not rows:
        return {}
    from leaderjobs.store.schedules import fire_of

    return {row["schedule"]: fire_of(row) for row in rows}
