"""Collect what `leaderjobs status` shows: only reads, each server asked on its own and allowed to be down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from leaderjobs import clock
from leaderjobs.coordination.base import Coordinator
from leaderjobs.engine.status_problems import (
    effect_problems,
    leader_problems,
    member_problems,
    note_problems,
    schedule_problems,
    server_problems,
    work_problems,
)
from leaderjobs.engine.status_views import CoordinatorView, DatabaseView
from leaderjobs.errors import ConfigError, CoordinatorUnavailable, SchemaMismatch, StoreError
from leaderjobs.model.job import Job, JobState
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition, Role
from leaderjobs.model.report import (
    CoordinatorReport,
    DatabaseReport,
    HoldReport,
    LagReport,
    LeaderReport,
    MarkerReport,
    MemberReport,
    NextFireReport,
    ProgressReport,
    QueueReport,
    QuotaReport,
    Reach,
    RunningReport,
    StatusReport,
)

if TYPE_CHECKING:
    from leaderjobs.store.overview import Overview, Seen

COORDINATOR_PATIENCE = timedelta(seconds=3)
LONGEST_LOOK = timedelta(seconds=20)
"""For both servers together; each of their own limits is shorter."""
SHOWN_FIRES = 5
_SILENT = "it has not answered yet"
V = TypeVar("V")


class Look:
    """Looks at a cluster, as often as wanted, over connections that stay open; each server may be down.

    A server that hangs does not hold up what the other says: each is asked on a thread of its own, one
    question at a time. For one thread; whoever made the coordinator and the overview closes them.
    """

    def __init__(
        self,
        cluster: str,
        coordinator: Coordinator,
        open_overview: Callable[[], Overview],
        partition: int,
        max_lag: timedelta,
    ) -> None:
        """Asks nothing yet; `open_overview` is called once, on the thread that asks the database."""
        self._cluster = cluster
        self._coordinator = coordinator
        self._open_overview = open_overview
        self._overview: Overview | None = None
        self._partition = partition
        self._max_lag = max_lag
        self._connected = False
        self._of_coordinator = _Asked("ask-coordinator", self._ask_coordinator)
        self._of_database = _Asked("ask-database", self._ask_database)
        self._view = CoordinatorView(coordinator.kind, _SILENT)
        self._database = DatabaseView(error=_SILENT)

    def begin(self) -> None:
        """Send the questions, so that other work can be done while they are answered."""
        self._of_coordinator.begin()
        self._of_database.begin()

    def report(self, patience: timedelta = LONGEST_LOOK) -> StatusReport:
        """The report of this moment; raises nothing for a server that is down or does not answer in time.

        A server that has not answered yet is still said to fail in the way it failed before.
        """
        self.begin()
        deadline = clock.elapsed() + patience.total_seconds()
        database, view = self._of_database.answer(deadline), self._of_coordinator.answer(deadline)
        if database is not None or not self._database.error:
            self._database = database or DatabaseView(error=_SILENT)
        if view is not None or not self._view.error:
            self._view = view or CoordinatorView(self._coordinator.kind, _SILENT)
        return report(self._cluster, self._view, self._database, self._max_lag, clock.now())

    def _ask_coordinator(self) -> CoordinatorView:
        coordinator = self._coordinator
        try:
            if not self._connected:
                coordinator.connect(COORDINATOR_PATIENCE)
                self._connected = True
            leader, members = coordinator.leader(self._partition), coordinator.members()
            return CoordinatorView(coordinator.kind, "", leader, members, coordinator.origin())
        except (CoordinatorUnavailable, ConfigError) as error:
            self._connected = False
            return CoordinatorView(coordinator.kind, str(error))

    def _ask_database(self) -> DatabaseView:
        try:
            if self._overview is None:
                self._overview = self._open_overview()
            return DatabaseView(Reach.REACHABLE, "", self._overview.look(self._partition))
        except SchemaMismatch as error:
            return DatabaseView(Reach.NOT_MIGRATED, str(error))
        except StoreError as error:
            return DatabaseView(Reach.UNREACHABLE, str(error))


class _Asked(Generic[V]):
    """A question that is asked again and again, on a thread of its own; never twice at a time."""

    def __init__(self, name: str, ask: Callable[[], V]) -> None:
        """`ask` raises nothing that is expected."""
        self._name = name
        self._ask = ask
        self._thread: threading.Thread | None = None
        self._answers: list[V] = []
        self._failures: list[BaseException] = []

    def begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def answer(self, deadline: float) -> V | None:
        """The answer to the question that was begun; None when it has not come before the deadline."""
        if self._thread is None:
            return None
        self._thread.join(max(0.0, deadline - clock.elapsed()))
        if self._thread.is_alive():
            return None
        self._thread = None
        if self._failures:
            raise self._failures.pop()
        return self._answers.pop()

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except BaseException as error:  # noqa: BLE001 - carried over to whoever wants the answer, whatever it is
            self._failures.append(error)


def unreachable(cluster: str, why: str) -> StatusReport:
    """The report when it is not even known where the servers are (the embedded ones do not run)."""
    return report(
        cluster,
        CoordinatorView("zookeeper", error=why),
        DatabaseView(error=why),
        timedelta(0),
        clock.now(),
    )


def report(
    cluster: str, view: CoordinatorView, database: DatabaseView, max_lag: timedelta, instant: datetime
) -> StatusReport:
    """Put two views together; pure."""
    seen = database.seen
    members = tuple(_member(member, view, database, instant) for member in view.members)
    leader = view.leader
    return StatusReport(
        cluster=cluster,
        coordinator=CoordinatorReport(view.kind, Reach.UNREACHABLE if view.error else Reach.REACHABLE),
        database=DatabaseReport(database.state),
        leader=_leader(leader, instant) if leader else None,
        members=members,
        jobs={state.value: count for state, count in seen.jobs.items()},
        queues=tuple(_queues(seen)),
        running=tuple(
            RunningReport(job.id, job.target, job.attempt, job.started_at, _progress(job, instant))
            for job in seen.running
        ),
        holds=tuple(
            HoldReport(hold.connection, hold.code, hold.message, hold.person, hold.since, hold.until)
            for hold in seen.holds
        ),
        next_fires=_next_fires(cluster, seen),
        markers=tuple(
            MarkerReport(marker.connection, marker.stream, marker.sequence, marker.rows, marker.committed_at)
            for marker in seen.markers
        ),
        quotas=tuple(
            QuotaReport(quota.name, quota.used, quota.limit, quota.resets_at) for quota in seen.quotas
        ),
        problems=(
            *server_problems(view, database),
            *leader_problems(view, database, instant),
            *member_problems(members, max_lag),
            *note_problems(view),
            *schedule_problems(cluster, database),
            *effect_problems(database),
            *work_problems(database),
        ),
    )


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
        lag = _lag(member, database.seen.markers, instant)
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


def _lag(member: Member, markers: tuple[Marker, ...], instant: datetime) -> LagReport:
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


def _queues(seen: Seen) -> list[QueueReport]:
    return [
        QueueReport(
            connection,
            scheduled=states.get(JobState.SCHEDULED, 0),
            available=states.get(JobState.AVAILABLE, 0),
            running=states.get(JobState.RUNNING, 0),
            retryable=states.get(JobState.RETRYABLE, 0),
            uncertain=states.get(JobState.UNCERTAIN, 0),
        )
        for connection, states in seen.queues.items()
    ]


def _next_fires(cluster: str, seen: Seen) -> tuple[NextFireReport, ...]:
    """The schedules that fire next, with the first fire time of each that nobody has decided."""
    if seen.now is None or not seen.schedules:
        return ()
    from leaderjobs.cron import Expression

    found = []
    for schedule in seen.schedules:
        spec = schedule.spec
        if schedule.paused_at is not None:
            continue
        try:
            fire_time = next(Expression.of(spec, cluster).after(max(seen.now, schedule.decided_until)), None)
        except ValueError:  # told as a problem
            continue
        if fire_time is not None:
            found.append(NextFireReport(spec.name, spec.target, fire_time, spec.time_zone))
    return tuple(sorted(found, key=lambda each: (each.fire_time, each.schedule))[:SHOWN_FIRES])
