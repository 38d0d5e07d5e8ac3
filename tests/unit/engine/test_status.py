"""What `status` makes of what the servers said; pure, no server asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from leaderjobs.engine.status import CoordinatorView, DatabaseView, report, unreachable
from leaderjobs.model.job import Job, JobState, Progress
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition
from leaderjobs.model.quota import QuotaUse
from leaderjobs.model.report import Reach, StatusReport
from leaderjobs.store.holds import StoredHold
from leaderjobs.store.terms import StoredTerm

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIMIT = timedelta(seconds=10)


def seconds(count: float) -> datetime:
    return NOON + timedelta(seconds=count)


def a_member(name: str, position: int = 0, at: datetime | None = None, guid: str = "") -> Member:
    return Member(name, guid or name, "host", 1, "1", NOON, ReplicaPosition(position, at))


def a_leader(name: str = "a", number: int = 3, heartbeat_at: datetime = NOON) -> LeaderInfo:
    return LeaderInfo(name, name, number, NOON, heartbeat_at, 9.5, token=77)


def a_marker(sequence: int, at: datetime) -> Marker:
    return Marker("household", "transactions", sequence, sequence * 100, {}, at, 3)


def a_database(*markers: Marker, origin: str = "o") -> DatabaseView:
    return DatabaseView(
        state=Reach.REACHABLE,
        jobs=dict.fromkeys(JobState, 0),
        markers=list(markers),
        term=StoredTerm(0, 3, 77, origin, "a", NOON),
    )


def a_view(*members: Member, leader: LeaderInfo | None = None) -> CoordinatorView:
    return CoordinatorView("zookeeper", error="", leader=leader, members=list(members), origin="o")


def a_job(**values: Any) -> Job:
    return Job(
        id=1,
        target="billing",
        connection="billing",
        streams=("charges",),
        state=JobState.RUNNING,
        key=None,
        priority=5,
        attempt=1,
        max_attempts=20,
        scheduled_at=NOON,
        created_at=NOON,
        **values,
    )


def codes(told: StatusReport) -> list[str]:
    return [problem.code for problem in told.problems]


def test_a_level_cluster_has_no_problem() -> None:
    view = a_view(a_member("a"), a_member("b", 5, NOON), leader=a_leader())
    told = report("acme", view, a_database(a_marker(5, NOON)), LIMIT, seconds(60))
    assert (codes(told), told.healthy) == ([], True)
    first = told.members[0]
    assert (first.id, first.role, first.lag) == ("a", "leader", None)
    follower = told.members[1].lag
    assert follower is not None
    assert (follower.markers, follower.seconds) == (0, 0.0)


def test_trust_runs_down_from_the_last_heartbeat_and_never_below_nothing() -> None:
    view = a_view(a_member("a"), leader=a_leader())
    for later, left in ((0, 9.5), (4, 5.5), (30, 0.0)):
        told = report("acme", view, a_database(), LIMIT, seconds(later))
        assert told.leader is not None
        assert told.leader.trusted_for_seconds == left


def test_a_follower_that_lacks_one_old_batch_lags_by_its_age() -> None:
    view = a_view(a_member("a"), a_member("b", 4, NOON), leader=a_leader())
    told = report("acme", view, a_database(a_marker(5, seconds(100))), LIMIT, seconds(112))
    lag = told.members[1].lag
    assert lag is not None
    assert (lag.markers, lag.seconds) == (1, 12.0)
    assert codes(told) == ["follower_lags"]
    assert not told.healthy


def test_a_follower_that_hangs_while_pages_are_committed_lags_by_the_stretch_it_lacks() -> None:
    view = a_view(a_member("a"), a_member("b", 4, NOON), leader=a_leader())
    told = report("acme", view, a_database(a_marker(50, seconds(30))), LIMIT, seconds(30.1))
    lag = told.members[1].lag
    assert lag is not None
    assert (lag.markers, lag.seconds) == (46, 30.0)
    assert codes(told) == ["follower_lags"]


def test_a_fresh_batch_that_has_not_arrived_is_no_problem() -> None:
    """The last one came an hour ago: only the age of what is missing counts."""
    view = a_view(a_member("a"), a_member("b", 4, NOON), leader=a_leader())
    told = report("acme", view, a_database(a_marker(5, seconds(3600))), LIMIT, seconds(3600.2))
    assert codes(told) == []


def test_nobody_leads() -> None:
    told = report("acme", a_view(a_member("a")), a_database(), LIMIT, NOON)
    assert (codes(told), told.healthy, told.leader) == (["no_leader"], False, None)


def test_a_leader_that_cannot_begin_is_named_after_a_while() -> None:
    view = a_view(a_member("a"), leader=a_leader(number=0))
    assert codes(report("acme", view, a_database(), LIMIT, seconds(4))) == []
    assert codes(report("acme", view, a_database(), LIMIT, seconds(6))) == ["leader_not_begun"]


def test_another_origin_than_the_fence_knows_names_the_remedy() -> None:
    told = report("acme", a_view(leader=a_leader()), a_database(origin="other"), LIMIT, NOON)
    assert codes(told) == ["unknown_origin"]
    assert "adopt-coordinator" in told.problems[0].message


def test_members_of_one_name_are_told_but_are_not_unhealthy() -> None:
    view = a_view(a_member("a"), a_member("a", guid="second"), leader=a_leader())
    told = report("acme", view, a_database(), LIMIT, NOON)
    assert (codes(told), told.healthy) == (["duplicate_member"], True)
    assert [member.role for member in told.members] == ["leader", "follower"]


def test_a_held_connection_says_who_must_act_and_how_to_go_on() -> None:
    database = a_database()
    database.holds = [
        StoredHold("household", "ITEM_LOGIN_REQUIRED", "log in", NOON, seconds(900), person=True)
    ]
    told = report("acme", a_view(leader=a_leader()), database, LIMIT, NOON)
    assert (codes(told), told.healthy) == (["connection_held"], True)
    assert "leaderjobs connections release household" in told.problems[0].message


def test_a_quota_that_is_used_up_needs_nobody_and_says_when_it_goes_on() -> None:
    database = a_database()
    database.holds = [StoredHold("tube", "quota_exhausted", "all used", NOON, seconds(900), person=False)]
    database.quotas = [QuotaUse("tube:today", 9500, 9500, seconds(900))]
    told = report("acme", a_view(leader=a_leader()), database, LIMIT, NOON)
    assert (codes(told), told.healthy) == (["quota_exhausted"], True)
    assert "go on at" in told.problems[0].message
    assert [(each.name, each.used, each.limit) for each in told.quotas] == [("tube:today", 9500, 9500)]


def test_progress_has_a_rate_and_the_time_left_where_a_total_is_known() -> None:
    database = a_database()
    began = a_job(started_at=NOON, started_rows=100, progress=Progress("charges", 5, 300, 200, 1000))
    database.running = [began, a_job(started_at=NOON, progress=Progress("charges", 5, 300, 200))]
    known, unknown = (
        each.progress for each in report("acme", a_view(), database, LIMIT, seconds(10)).running
    )
    # 200 rows in 10 s by this attempt, and 800 of the stream to come.
    assert (known.rows_per_second, known.total, known.seconds_left) == (20.0, 1000, 40.0)
    assert (unknown.total, unknown.seconds_left) == (None, None)


def test_lag_is_unknown_while_the_database_is_down() -> None:
    view = a_view(a_member("a"), a_member("b"), leader=a_leader())
    told = report("acme", view, DatabaseView(error="refused"), LIMIT, NOON)
    assert told.members[1].lag is None
    assert codes(told) == ["database_unreachable"]


def test_embedded_servers_that_do_not_run_are_a_report_and_no_error() -> None:
    told = unreachable("acme", "not running; start them with: leaderjobs dev start")
    assert codes(told) == ["coordinator_unreachable", "database_unreachable"]
    assert not told.healthy
