from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.model.job import JobState
from leaderjobs.model.schedule import FireOutcome
from leaderjobs.store import why as module
from leaderjobs.store.why import Whys
from tests.integration.store.rig import Admin, Cluster

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def whys(cluster: Cluster) -> Whys:
    return Whys(cluster.database, cluster.name, 0)


def put(admin: Admin, connection: str = "household", **more: object) -> int:
    """A job as it is stored, whoever made it so."""
    given = {"state": "available", "scheduled_at": NOON, "priority": 5, **more}
    names = ", ".join(given)
    places = ", ".join(f"%({name})s" for name in given)
    row = admin.execute(
        "INSERT INTO leaderjobs.jobs (cluster, target, connection, streams, max_attempts, attempt, "
        f"{names}) VALUES ('acme', 'sync', %(connection)s, '{{}}', 20, 1, {places}) RETURNING id",
        {"connection": connection, **given},
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def run(admin: Admin, connection: str) -> int:
    return put(admin, connection, state="running", term=1, member="a", started_at=NOON)


def test_a_job_that_is_not_there_or_of_another_cluster(whys: Whys, cluster: Cluster, admin: Admin) -> None:
    job = put(admin)
    other = Whys(cluster.database, "other", 0)
    assert whys.job(job + 1).job is None
    assert other.job(job).job is None
    assert whys.job(job).job is not None


def test_the_newest_term_is_told_with_and_without_a_job(whys: Whys, cluster: Cluster, admin: Admin) -> None:
    job = put(admin)
    assert (whys.job(job).term, whys.job(0).term) == (None, None)
    cluster.lead()
    term = whys.job(job).term
    assert term is not None
    assert (term.number, term.member, term.origin) == (1, "member-1", "origin")
    assert whys.job(0).term == term


def test_what_comes_first_is_what_the_leader_would_take_first(whys: Whys, admin: Admin) -> None:
    job = put(admin)
    put(admin, priority=4)
    put(admin, scheduled_at=NOON - timedelta(minutes=1), state="retryable")
    put(admin, scheduled_at=NOON + timedelta(minutes=1), priority=0)
    # These do not: a later priority, time or id; not due; ended; another connection's.
    put(admin, priority=6)
    put(admin, scheduled_at=NOON + timedelta(minutes=1))
    put(admin)
    put(admin, scheduled_at=datetime(2999, 1, 1, tzinfo=UTC), priority=0)
    put(admin, state="completed", priority=0)
    put(admin, "joint", priority=0)
    assert whys.job(job).ahead == 3


def test_counting_stops_at_a_bound(whys: Whys, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AHEAD", 10)
    job = put(admin)
    for _ in range(15):
        put(admin, priority=1)
    assert whys.job(job).ahead == 11


def test_what_runs_is_told_without_the_job_itself(whys: Whys, admin: Admin) -> None:
    first, second, job = run(admin, "household"), run(admin, "joint"), run(admin, "household")
    found = whys.job(job).running
    assert [(each.id, each.connection, each.operation, each.started_at) for each in found] == [
        (first, "household", False, NOON),
        (second, "joint", False, NOON),
    ]


def test_the_hold_of_its_connection_is_told(whys: Whys, admin: Admin) -> None:
    job = put(admin)
    assert whys.job(job).hold is None
    admin.execute(
        "INSERT INTO leaderjobs.holds (cluster, connection, code, message, until, person) VALUES ('acme', 'household', "
        "'quota_exhausted', 'used up', %s, false), ('acme', 'joint', 'LOGIN', 'log in', %s, true)",
        (NOON, NOON),
    )
    hold = whys.job(job).hold
    assert hold is not None
    assert (hold.code, hold.until, hold.person) == ("quota_exhausted", NOON, False)


def test_an_operation_s_effect_is_told(whys: Whys, cluster: Cluster, admin: Admin) -> None:
    effect = cluster.plan()
    job = cluster.effects.job_of(effect.id)
    admin.execute(
        "UPDATE leaderjobs.effects SET state = 'uncertain', code = 'no_answer', reason = 'nobody knows'"
    )
    admin.execute("UPDATE leaderjobs.jobs SET state = 'uncertain'")
    facts = whys.job(job)
    assert facts.job is not None
    assert (facts.job.state, facts.job.effect) == (JobState.UNCERTAIN, effect.id)
    assert facts.effect is not None
    assert (facts.effect.state, facts.effect.code, facts.effect.reason) == (
        "uncertain",
        "no_answer",
        "nobody knows",
    )


def test_a_connection_is_unknown_only_where_syncs_were_told(whys: Whys, admin: Admin) -> None:
    known, unknown = put(admin), put(admin, "joint")
    admin.execute("DELETE FROM leaderjobs.syncs")
    assert whys.job(unknown).connection_known is None
    admin.execute(
        "INSERT INTO leaderjobs.syncs (cluster, name, connection, streams, known, windowed, max_attempts) "
        "VALUES ('acme', 'nightly', 'household', '{accounts}', '{accounts}', '{}', 20)"
    )
    try:
        assert (whys.job(known).connection_known, whys.job(unknown).connection_known) == (True, False)
    finally:
        admin.execute("DELETE FROM leaderjobs.syncs")


def test_the_last_attempt_is_told(whys: Whys, admin: Admin) -> None:
    job = put(admin, state="retryable", error="no answer")
    for attempt, outcome in ((1, "retried"), (2, "held")):
        admin.execute(
            "INSERT INTO leaderjobs.attempts (cluster, job, attempt, term, member, outcome) VALUES ('acme', %s, %s, 1, "
            "'a', %s)",
            (job, attempt, outcome),
        )
    try:
        facts = whys.job(job)
        assert (facts.last_outcome, facts.last_attempt) == ("held", 2)
    finally:
        admin.execute("DELETE FROM leaderjobs.attempts")


def test_a_schedule_and_its_fires_are_told(whys: Whys, admin: Admin) -> None:
    job = put(admin, state="discarded", finished_at=NOON, error="no such account")
    admin.execute(
        "INSERT INTO leaderjobs.schedules (cluster, name, source, target, cron, time_zone, jitter, catch_up, "
        "catch_up_window, overlap, pause_on_failure) VALUES ('acme', 'hourly', 'file', 'nightly', '@hourly', 'UTC', '0', "
        "'latest', '1 day', 'skip', false)"
    )
    fires = (
        (NOON, "enqueued", False, job),
        (NOON + timedelta(hours=1), "overlapped", False, None),
        (NOON + timedelta(hours=2), "enqueued", True, None),
    )
    for fire_time, outcome, backfill, made in fires:
        admin.execute(
            "INSERT INTO leaderjobs.fires (cluster, schedule, fire_time, time_zone, outcome, reason, backfill, job) "
            "VALUES ('acme', 'hourly', %s, 'UTC', %s, 'because', %s, %s)",
            (fire_time, outcome, backfill, made),
        )
    try:
        newest = whys.schedule("hourly", None)
        assert newest.schedule is not None
        assert newest.schedule.spec.cron == "@hourly"
        assert newest.fire is not None
        assert (newest.fire.outcome, newest.fire.reason) == (FireOutcome.OVERLAPPED, "because")
        then = whys.schedule("hourly", NOON + timedelta(seconds=30))
        assert then.fire is not None
        assert (then.fire.fire_time, then.fire.job, then.job_state, then.job_error) == (
            NOON,
            job,
            JobState.DISCARDED,
            "no such account",
        )
        assert whys.schedule("hourly", NOON + timedelta(minutes=1)).fire is None
        absent = whys.schedule("other", None)
        assert (absent.schedule, absent.fire) == (None, None)
    finally:
        admin.execute("DELETE FROM leaderjobs.fires; DELETE FROM leaderjobs.schedules")
