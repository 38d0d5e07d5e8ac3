"""Collect what `leaderjobs status` shows: only reads, each server asked on its own and allowed to be down."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from leaderjobs import clock
from leaderjobs.coordination.base import Coordinator
from leaderjobs.errors import ConfigError, CoordinatorUnavailable, SchemaMismatch, StoreError
from leaderjobs.model.job import Job, JobState
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition, Role
from leaderjobs.model.quota import QuotaUse
from leaderjobs.model.report import (
    CoordinatorReport,
    DatabaseReport,
    LagReport,
    LeaderReport,
    MarkerReport,
    MemberReport,
    Problem,
    ProgressReport,
    QuotaReport,
    Reach,
    RunningReport,
    StatusReport,
)

if TYPE_CHECKING:
    from leaderjobs.engine.stores import Stores
    from leaderjobs.store.holds import StoredHold
    from leaderjobs.store.terms import StoredTerm

COORDINATOR_PATIENCE = timedelta(seconds=3)
SHOWN_DISCARDED = 5
FRESH_LEADER = timedelta(seconds=5)
"""How long a leader may take from its claim to its fence before that counts as a problem."""


@dataclass
class CoordinatorView:
    """What the coordinator said, or why it said nothing."""

    kind: str
    error: str = "it was not asked"
    leader: LeaderInfo | None = None
    members: list[Member] = field(default_factory=list)
    origin: str = ""


@dataclass
class DatabaseView:
    """What Postgres said, or why it said nothing."""

    state: Reach = Reach.UNREACHABLE
    error: str = ""
    jobs: dict[JobState, int] = field(default_factory=dict)
    running: list[Job] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    holds: list[StoredHold] = field(default_factory=list)
    quotas: list[QuotaUse] = field(default_factory=list)
    discarded: list[Job] = field(default_factory=list)
    effects_uncertain: int = 0
    effects_contradicted: int = 0
    term: StoredTerm | None = None


def collect(
    cluster: str,
    coordinator: Coordinator,
    open_stores: Callable[[], Stores],
    partition: int,
    max_lag: timedelta,
) -> StatusReport:
    """The report of this moment; raises nothing for a server that is down. The caller closes both.

    `open_stores` is called while the coordinator is being asked, so that loading the one client's code
    overlaps with waiting for the other's server.
    """
    view = CoordinatorView(coordinator.kind)
    asking = threading.Thread(
        target=_ask_coordinator, args=(coordinator, partition, view), name="ask-coordinator", daemon=True
    )
    asking.start()
    database = _ask_database(open_stores(), partition)
    asking.join(COORDINATOR_PATIENCE.total_seconds() * 2)
    return report(cluster, view, database, max_lag, clock.now())


def report(
    cluster: str, view: CoordinatorView, database: DatabaseView, max_lag: timedelta, instant: datetime
) -> StatusReport:
    """Put two views together; pure."""
    members = tuple(_member(member, view, database, instant) for member in view.members)
    leader = view.leader
    return StatusReport(
        cluster=cluster,
        coordinator=CoordinatorReport(view.kind, Reach.UNREACHABLE if view.error else Reach.REACHABLE),
        database=DatabaseReport(database.state),
        leader=_leader(leader, instant) if leader else None,
        members=members,
        jobs={state.value: count for state, count in database.jobs.items()},
        running=tuple(
            RunningReport(job.id, job.target, job.attempt, job.started_at, _progress(job, instant))
            for job in database.running
        ),
        markers=tuple(
            MarkerReport(marker.connection, marker.stream, marker.sequence, marker.rows, marker.committed_at)
            for marker in database.markers
        ),
        quotas=tuple(
            QuotaReport(quota.name, quota.used, quota.limit, quota.resets_at) for quota in database.quotas
        ),
        problems=(
            *_server_problems(view, database),
            *_leader_problems(view, database, instant),
            *_member_problems(members, max_lag),
            *_effect_problems(database),
            *_work_problems(database),
        ),
    )


def unreachable(cluster: str, why: str) -> StatusReport:
    """The report when it is not even known where the servers are (the embedded ones do not run)."""
    return report(
        cluster,
        CoordinatorView("zookeeper", error=why),
        DatabaseView(error=why),
        timedelta(0),
        clock.now(),
    )


# -- asking ------------------------------------------------------------------------------------------------


def _ask_coordinator(coordinator: Coordinator, partition: int, view: CoordinatorView) -> None:
    try:
        coordinator.connect(COORDINATOR_PATIENCE)
        view.origin = coordinator.origin()
        view.leader = coordinator.leader(partition)
        view.members = coordinator.members()
        view.error = ""
    except (CoordinatorUnavailable, ConfigError) as error:
        view.error = str(error)


def _ask_database(stores: Stores, partition: int) -> DatabaseView:
    view = DatabaseView()
    try:
        view.term = stores.terms.current(partition)
        view.jobs = stores.jobs.counts()
        view.running = stores.jobs.running()
        view.markers = stores.markers.all()
        view.holds = stores.holds.all()
        view.quotas = stores.quotas.all()
        view.discarded = stores.jobs.discarded(SHOWN_DISCARDED)
        view.effects_uncertain, view.effects_contradicted = stores.effects.counts()
        view.state = Reach.REACHABLE
    except SchemaMismatch as error:
        view.state, view.error = Reach.NOT_MIGRATED, str(error)
    except StoreError as error:
        view.error = str(error)
    return view


# -- parts -------------------------------------------------------------------------------------------------


def _leader(leader: LeaderInfo, instant: datetime) -> LeaderReport:
    age = max(0.0, (instant - leader.heartbeat_at).total_seconds())
    return LeaderReport(
        leader.id, leader.number, leader.token, leader.since, round(max(0.0, leader.trusted_for - age), 3)
    )


def _member(member: Member, view: CoordinatorView, database: DatabaseView, instant: datetime) -> MemberReport:
    leads = view.leader is not None and view.leader.guid == member.guid
    lag = None
    if not leads and database.state is Reach.REACHABLE:
        lag = _lag(member, database.markers, instant)
    return MemberReport(
        member.id,
        Role.LEADER if leads else Role.FOLLOWER,
        member.host,
        member.pid,
        member.version,
        member.since,
        lag,
    )


def _progress(job: Job, instant: datetime) -> ProgressReport:
    progress = job.progress
    rate = left = None
    if job.started_at is not None and progress.rows > job.started_rows:
        seconds = max(0.001, (instant - job.started_at).total_seconds())
        rate = (progress.rows - job.started_rows) / seconds
        if progress.total is not None:
            left = round(max(0, progress.total - progress.stream_rows) / rate, 1)
    return ProgressReport(
        progress.stream,
        progress.pages,
        progress.rows,
        progress.stream_rows,
        progress.total,
        None if rate is None else round(rate, 1),
        left,
    )


def _lag(member: Member, markers: list[Marker], instant: datetime) -> LagReport:
    """How far a replica is behind the database.

    A follower acknowledges one sum, so the age of the oldest batch it lacks is not known exactly. It is
    at least as old as the newest commit, and where more than one batch is missing, the stretch between
    what the follower has and the newest commit is counted too; the larger of both is shown.
    """
    behind = sum(marker.sequence for marker in markers) - member.replica.position
    if behind <= 0:
        return LagReport(0, 0.0)
    newest = max(marker.committed_at for marker in markers)
    seconds = (instant - newest).total_seconds()
    if behind > 1:
        seconds = max(seconds, (newest - _reached(member.replica, member.since)).total_seconds())
    return LagReport(behind, round(max(0.0, seconds), 3))


def _reached(replica: ReplicaPosition, since: datetime) -> datetime:
    return replica.committed_at or since


# -- problems ----------------------------------------------------------------------------------------------


def _server_problems(view: CoordinatorView, database: DatabaseView) -> list[Problem]:
    problems = []
    if view.error:
        problems.append(
            Problem("coordinator_unreachable", f"{view.kind} does not answer: {view.error}", unhealthy=True)
        )
    if database.state is Reach.NOT_MIGRATED:
        problems.append(Problem("not_migrated", database.error, unhealthy=True))
    elif database.state is Reach.UNREACHABLE:
        problems.append(
            Problem("database_unreachable", f"Postgres does not answer: {database.error}", unhealthy=True)
        )
    return problems


def _leader_problems(view: CoordinatorView, database: DatabaseView, instant: datetime) -> list[Problem]:
    if view.error:
        return []
    problems = []
    stored = database.term
    if stored is not None and stored.origin != view.origin:
        problems.append(
            Problem(
                "unknown_origin",
                f"{view.kind} holds other data (origin {view.origin}) than the fence knows "
                f"({stored.origin}): nobody can lead; if that is meant, run leaderjobs db adopt-coordinator",
                unhealthy=True,
            )
        )
    if view.leader is None:
        problems.append(Problem("no_leader", "no member leads: is leaderjobs run running?", unhealthy=True))
        return problems
    if view.leader.number == 0 and instant - view.leader.heartbeat_at > FRESH_LEADER:
        problems.append(
            Problem("leader_not_begun", f"{view.leader.id} claims to lead but cannot begin", unhealthy=True)
        )
    problems.extend(Problem("leader_note", note, unhealthy=False) for note in view.leader.notes)
    return problems


def _member_problems(members: tuple[MemberReport, ...], max_lag: timedelta) -> list[Problem]:
    problems = [
        Problem(
            "follower_lags",
            f"{member.id} is {member.lag.markers} batches and {member.lag.seconds:.1f} s behind "
            f"(limit {max_lag.total_seconds():g} s)",
            unhealthy=True,
        )
        for member in members
        if member.lag is not None and member.lag.seconds > max_lag.total_seconds()
    ]
    for name, count in Counter(member.id for member in members).items():
        if count > 1:
            where = ", ".join(f"{m.host} pid {m.pid}" for m in members if m.id == name)
            problems.append(
                Problem(
                    "duplicate_member",
                    f"{count} members call themselves {name} ({where}): give each its own --id",
                    unhealthy=False,
                )
            )
    return problems


def _effect_problems(database: DatabaseView) -> list[Problem]:
    problems = []
    if database.effects_uncertain:
        count = database.effects_uncertain
        problems.append(
            Problem(
                "effects_uncertain",
                f"{count} effect{'s are' if count > 1 else ' is'} uncertain; see: "
                "leaderjobs effects list --state uncertain",
                unhealthy=True,
            )
        )
    if database.effects_contradicted:
        count = database.effects_contradicted
        problems.append(
            Problem(
                "effects_contradicted",
                f"late evidence contradicts {count} effect{'s' if count > 1 else ''}: it may be there twice; "
                "see: leaderjobs effects list --contradicted",
                unhealthy=True,
            )
        )
    return problems


def _work_problems(database: DatabaseView) -> list[Problem]:
    problems = [
        Problem(
            "quota_exhausted",
            f"connection {hold.connection} has used up its quota: {hold.message}; its jobs go on at "
            f"{hold.until:%Y-%m-%d %H:%M:%S}Z",
            unhealthy=False,
        )
        for hold in database.holds
        if not hold.person
    ]
    problems += [
        Problem(
            "connection_held",
            f"connection {hold.connection} waits for its user ({hold.code}): {hold.message}; tried again at "
            f"{hold.until:%Y-%m-%d %H:%M:%S}Z, or after leaderjobs connections release {hold.connection}",
            unhealthy=False,
        )
        for hold in database.holds
        if hold.person
    ]
    problems.extend(
        Problem("job_discarded", f"job {job.id} ({job.target}) failed for good: {job.error}", unhealthy=False)
        for job in database.discarded
    )
    return problems
