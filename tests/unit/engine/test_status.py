"""What `status` makes of what the servers said; pure, no server asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.engine.status import _Asked, report, unreachable
from leaderjobs.engine.status_views import CoordinatorView, DatabaseView
from leaderjobs.model.job import Job, JobState, Progress
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition
from leaderjobs.model.quota import QuotaUse
from leaderjobs.model.report import Reach, StatusReport
from leaderjobs.model.schedule import Fire, FireOutcome, Schedule, ScheduleSpec, Source
from leaderjobs.store.holds import StoredHold
from leaderjobs.store.overview import Seen
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


def a_database(*markers: Marker, origin: str = "o", **seen: Any) -> DatabaseView:
    term = StoredTerm(0, 3, 77, origin, "a", NOON)
    known = Seen(NOON, term, jobs=dict.fromkeys(JobState, 0), markers=markers, **seen)
    return DatabaseView(Reach.REACHABLE, seen=known)


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
    hold = StoredHold("household", "ITEM_LOGIN_REQUIRED", "log in", NOON, seconds(900), person=True)
    database = a_database(holds=(hold,))
    told = report("acme", a_view(leader=a_leader()), database, LIMIT, NOON)
    assert (codes(told), told.healthy) == (["connection_held"], True)
    assert "leaderjobs connections release household" in told.problems[0].message


def test_a_quota_that_is_used_up_needs_nobody_and_says_when_it_goes_on() -> None:
    database = a_database(
        holds=(StoredHold("tube", "quota_exhausted", "all used", NOON, seconds(900), person=False),),
        quotas=(QuotaUse("tube:today", 9500, 9500, seconds(900)),),
    )
    told = report("acme", a_view(leader=a_leader()), database, LIMIT, NOON)
    assert (codes(told), told.healthy) == (["quota_exhausted"], True)
    assert "go on at" in told.problems[0].message
    assert [(each.name, each.used, each.limit) for each in told.quotas] == [("tube:today", 9500, 9500)]


def test_a_provider_that_says_wait_is_told_with_the_time_it_ends() -> None:
    hold = StoredHold("billing", "rate_limited", "HTTP 429", NOON, seconds(30), person=False)
    told = report("acme", a_view(leader=a_leader()), a_database(holds=(hold,)), LIMIT, NOON)
    assert (codes(told), told.healthy) == (["rate_limited"], True)
    assert told.holds[0].until == seconds(30)


def test_progress_has_a_rate_and_the_time_left_where_a_total_is_known() -> None:
    began = a_job(started_at=NOON, started_rows=100, progress=Progress("charges", 5, 300, 200, 1000))
    database = a_database(running=(began, a_job(started_at=NOON, progress=Progress("charges", 5, 300, 200))))
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


# -- schedules ---------------------------------------------------------------------------------------------


def a_schedule(name: str = "nightly", **values: Any) -> Schedule:
    """At noon and every hour; decided up to NOON."""
    spec = ScheduleSpec(name, "household", values.pop("cron", "0 * * * *"))
    return Schedule(spec, Source.FILE, 1, NOON, **{"decided_until": NOON, **values})


def with_schedules(*schedules: Schedule, now: datetime = NOON, **seen: Any) -> StatusReport:
    database = a_database(schedules=schedules, **seen)
    database.seen = replace(database.seen, now=now)
    return report("acme", a_view(leader=a_leader()), database, LIMIT, now)


def test_the_five_schedules_that_fire_next_are_shown_with_their_first_fire() -> None:
    schedules = [a_schedule(f"at-{minute:02}", cron=f"{minute} * * * *") for minute in range(50, 1, -8)]
    told = with_schedules(*schedules, a_schedule("paused", paused_at=NOON, cron="1 * * * *"))
    names = [each.schedule for each in told.next_fires]
    assert names == ["at-02", "at-10", "at-18", "at-26", "at-34"]
    assert told.next_fires[0].fire_time == NOON + timedelta(minutes=2)


def test_a_fire_that_nobody_decides_for_a_minute_is_unhealthy() -> None:
    for soon in (0, 60):
        assert codes(with_schedules(a_schedule(), now=seconds(3600 + soon))) == []
    told = with_schedules(a_schedule(), now=seconds(3661))
    assert (codes(told), told.healthy) == (["schedule_late"], False)
    assert "leaderjobs schedules why nightly" in told.problems[0].message
    paused = with_schedules(a_schedule(paused_at=NOON), now=seconds(9999))
    assert "schedule_late" not in codes(paused)


def test_a_paused_schedule_is_told_with_its_reason() -> None:
    told = with_schedules(a_schedule(paused_at=NOON, paused_by="ann@host", paused_reason="the bank is down"))
    assert (codes(told), told.healthy) == (["schedule_paused"], True)
    assert "by ann@host: the bank is down" in told.problems[0].message


def test_a_schedule_whose_last_fire_came_to_nothing_is_told() -> None:
    def last(outcome: FireOutcome) -> StatusReport:
        fire = Fire("nightly", NOON, "UTC", outcome, NOON, 3, reason="no such sync")
        return with_schedules(a_schedule(), last_fires={"nightly": fire})

    assert codes(last(FireOutcome.ENQUEUED)) == []
    assert codes(last(FireOutcome.REFUSED)) == ["schedule_refused"]
    assert "no such sync" in last(FireOutcome.REFUSED).problems[0].message


def test_of_many_problems_of_a_kind_only_some_are_told_and_the_rest_counted() -> None:
    told = with_schedules(*(a_schedule(f"s{n}", paused_at=NOON) for n in range(25)))
    assert codes(told) == ["schedule_paused"] * 11
    assert told.problems[-1].message == "15 more; see: leaderjobs schedules list"


def test_what_waits_is_counted_by_connection() -> None:
    queues = {"billing": {JobState.AVAILABLE: 3, JobState.RUNNING: 1}, "household": {JobState.RETRYABLE: 2}}
    told = report("acme", a_view(leader=a_leader()), a_database(queues=queues), LIMIT, NOON)
    assert [(each.connection, each.available, each.running, each.retryable) for each in told.queues] == [
        ("billing", 3, 1, 0),
        ("household", 0, 0, 2),
    ]


# -- looking again and again -------------------------------------------------------------------------------


def test_a_server_that_hangs_holds_up_nothing_and_is_asked_once_at_a_time() -> None:
    let, asked = threading.Event(), []

    def ask() -> str:
        asked.append(1)
        let.wait(10)
        return "answer"

    question = _Asked("test", ask)
    assert question.answer(clock.elapsed()) is None, "it was not asked"
    question.begin()
    question.begin()
    assert question.answer(clock.elapsed()) is None
    let.set()
    assert question.answer(clock.elapsed() + 10) == "answer"
    assert len(asked) == 1


def test_what_goes_wrong_while_asking_is_raised_where_the_answer_is_wanted() -> None:
    def ask() -> str:
        raise ValueError("our own mistake")

    question = _Asked("test", ask)
    question.begin()
    with pytest.raises(ValueError, match="our own mistake"):
        question.answer(clock.elapsed() + 10)
