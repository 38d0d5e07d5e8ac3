"""How attempts end: retries, holds, rescues."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.model.job import (
    Completed,
    Discard,
    GiveBack,
    Hold,
    Job,
    JobState,
    Outcome,
    Retry,
)
from leaderjobs.store.jobs import MOST_RESCUES
from tests.integration.store.rig import Admin, Cluster, Led, page

HOUR = timedelta(hours=1)


def _finish(cluster: Cluster, led: Led, job: Job, outcome: Outcome) -> JobState:
    return cluster.finish(led, job, outcome)


def test_retry_waits_and_is_discarded_when_attempts_are_spent(cluster: Cluster) -> None:
    led = cluster.lead()
    cluster.enqueue(max_attempts=2)

    (job,) = cluster.claim(led)
    assert _finish(cluster, led, job, Retry(HOUR, "later\0\ud800")) is JobState.RETRYABLE
    stored = cluster.jobs.get(job.id)
    assert (stored.error, stored.attempt, stored.finished_at) == ("later\ufffd?", 1, None)
    assert stored.scheduled_at > clock.now() + timedelta(minutes=50)
    assert cluster.claim(led) == []
    cluster.database.rows("UPDATE leaderjobs.jobs SET scheduled_at = now() RETURNING id")

    (job,) = cluster.claim(led)
    assert (job.id, job.attempt) == (stored.id, 2)
    assert _finish(cluster, led, job, Retry(HOUR, "again")) is JobState.DISCARDED
    assert cluster.jobs.get(job.id).finished_at is not None
    assert [each.error for each in cluster.jobs.discarded(5)] == ["again"]


def test_completed_discarded_and_given_back_end_as_named(cluster: Cluster) -> None:
    led = cluster.lead()

    assert _finish(cluster, led, cluster.start(led, "a"), Completed()) is JobState.COMPLETED
    assert _finish(cluster, led, cluster.start(led, "b"), Discard("bad")) is JobState.DISCARDED
    back = cluster.start(led, "c")
    assert _finish(cluster, led, back, GiveBack()) is JobState.AVAILABLE

    assert cluster.jobs.get(back.id).attempt == 0
    assert cluster.claim(led)[0].attempt == 1
    counts = cluster.jobs.counts()
    assert set(counts) == set(JobState)
    assert {state.value: number for state, number in counts.items() if number} == {
        "completed": 1,
        "discarded": 1,
        "running": 1,
    }


def test_finish_sent_twice_tells_the_state_and_changes_nothing(cluster: Cluster) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    _finish(cluster, led, job, Completed())
    stored = cluster.jobs.get(job.id)

    assert _finish(cluster, led, job, Discard("late")) is JobState.COMPLETED

    assert cluster.jobs.get(job.id) == stored


def test_finish_of_an_earlier_attempt_does_not_touch_the_later_one(cluster: Cluster) -> None:
    led = cluster.lead()
    first = cluster.start(led)
    _finish(cluster, led, first, Retry(timedelta(0), "once"))
    (second,) = cluster.claim(led)

    assert _finish(cluster, led, first, Hold(HOUR, "LOGIN", "late")) is JobState.RUNNING

    assert cluster.jobs.get(second.id) == second
    assert cluster.holds.all() == []


def test_hold_stops_its_connection_only_and_spends_no_attempt(cluster: Cluster) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    cluster.enqueue("household")
    other = cluster.enqueue("office")

    assert (
        _finish(cluster, led, job, Hold(HOUR, "ITEM_LOGIN_REQUIRED", "sign in at the bank"))
        is JobState.RETRYABLE
    )

    (hold,) = cluster.holds.all()
    assert (hold.connection, hold.code, hold.message) == (
        "household",
        "ITEM_LOGIN_REQUIRED",
        "sign in at the bank",
    )
    assert hold.until - hold.since == HOUR
    assert cluster.jobs.get(job.id).attempt == 0
    assert [each.id for each in cluster.claim(led, 9)] == [other.id]
    assert cluster.queue.holds()["household"] == pytest.approx(3600, abs=60)


def test_hold_prolonged_by_a_probe_keeps_its_beginning(cluster: Cluster) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    _finish(cluster, led, job, Hold(timedelta(0), "LOGIN", "one"))
    (first,) = cluster.holds.all()

    (probe,) = cluster.claim(led)
    _finish(cluster, led, probe, Hold(HOUR, "LOGIN", "two"))

    (second,) = cluster.holds.all()
    assert (second.since, second.message) == (first.since, "two")
    assert second.until > first.until


def test_release_makes_the_waiting_jobs_due_now(cluster: Cluster) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    _finish(cluster, led, job, Hold(HOUR, "LOGIN", "sign in"))

    assert cluster.holds.release("household")

    assert [each.id for each in cluster.claim(led)] == [job.id]
    assert not cluster.holds.release("household")


def test_completed_job_ends_the_hold(cluster: Cluster) -> None:
    led = cluster.lead()
    _finish(cluster, led, cluster.start(led), Hold(timedelta(0), "LOGIN", "sign in"))

    _finish(cluster, led, cluster.claim(led)[0], Completed())

    assert cluster.holds.all() == []


def test_rescue_returns_running_jobs_of_older_terms_unspent(cluster: Cluster) -> None:
    old = cluster.lead()
    job = cluster.start(old)
    new = cluster.lead()
    mine = cluster.start(new, "office")

    assert cluster.jobs.rescue(new.connections, new.term) == 1

    stored = cluster.jobs.get(job.id)
    assert (stored.state, stored.attempt) == (JobState.AVAILABLE, 0)
    assert cluster.jobs.get(mine.id) == mine
    assert cluster.claim(new, 1, ("office",))[0].attempt == 1


def test_job_that_outlives_too_many_leaders_is_discarded_unless_it_commits(
    cluster: Cluster, admin: Admin
) -> None:
    old = cluster.lead()
    poison, works = cluster.start(old, "poison"), cluster.start(old, "works")
    admin.execute("UPDATE leaderjobs.jobs SET rescues = %s", (MOST_RESCUES,))
    cluster.commit(old, works, page({"id": "a"}), None)
    new = cluster.lead()

    assert cluster.jobs.rescue(new.connections, new.term) == 2

    assert cluster.jobs.get(works.id).state is JobState.AVAILABLE
    given_up = cluster.jobs.get(poison.id)
    assert given_up.state is JobState.DISCARDED
    assert "100 leaders" in str(given_up.error)
