"""The queue: what is enqueued, claimed and recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs import clock
from leaderjobs.model.job import (
    Cancelled,
    Completed,
    Discard,
    GiveBack,
    Hold,
    JobState,
    Outcome,
    Postpone,
    Retry,
    Uncertain,
)
from leaderjobs.store.queue import Reading, job_of
from tests.integration.store.rig import Admin, Cluster
from tests.one_turn import finished

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_claim_takes_the_most_urgent_first(cluster: Cluster) -> None:
    led = cluster.lead()
    now = clock.now()
    late = cluster.enqueue("a", at=now - timedelta(minutes=1))
    early = cluster.enqueue("b", at=now - timedelta(minutes=2))
    urgent = cluster.enqueue("c", priority=0)
    same = cluster.enqueue("d", at=now - timedelta(minutes=1))

    claimed = cluster.claim(led, limit=3)

    assert [job.id for job in claimed] == [urgent.id, early.id, late.id]
    assert [job.id for job in cluster.claim(led, 9, ("a", "b", "c"))] == [same.id]
    assert {(job.state, job.attempt, job.term, job.member) for job in claimed} == {
        (JobState.RUNNING, 1, 1, "member-1")
    }
    assert cluster.jobs.running()[0].started_at == claimed[0].started_at


def test_job_is_not_claimed_before_it_is_due(cluster: Cluster) -> None:
    led = cluster.lead()
    waits = cluster.enqueue("a", delay=HOUR)
    assert waits.state is JobState.SCHEDULED

    assert cluster.claim(led) == []


def test_one_job_per_connection_and_none_of_a_busy_one(cluster: Cluster) -> None:
    led = cluster.lead()
    first, second, other = cluster.enqueue("a"), cluster.enqueue("a"), cluster.enqueue("b")

    assert [job.id for job in cluster.claim(led, 9)] == [first.id, other.id]
    assert cluster.claim(led, 9, ("a", "b")) == []
    cluster.finish(led, cluster.jobs.get(first.id), Completed())
    assert [job.id for job in cluster.claim(led, 9, ("b",))] == [second.id]


def test_running_job_that_is_wanted_again_is_handed_out_within_its_attempt(cluster: Cluster) -> None:
    """Its claim was committed, but the acknowledgement was lost: it must not wait for the next term."""
    led = cluster.lead()
    lost = cluster.start(led)

    (row,) = cluster.queue.turn(led.connections, led.term, wanted=[lost.id]).claimed

    assert (job_of(row).id, job_of(row).attempt) == (lost.id, 1)
    newer = cluster.lead()
    assert cluster.queue.turn(newer.connections, newer.term, wanted=[lost.id]).claimed == []


def test_a_turn_records_what_ended_and_claims_what_it_made_room_for(cluster: Cluster) -> None:
    led = cluster.lead()
    jobs = [cluster.start(led, name) for name in "abcd"]
    waiting = [cluster.enqueue(name) for name in "ab"]
    later = cluster.enqueue("a", delay=HOUR)
    outcomes: list[Outcome] = [Completed(), Discard("no"), Retry(HOUR, "later"), GiveBack()]

    turned = cluster.queue.turn(
        led.connections,
        led.term,
        [finished(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)],
        [*(job.id for job in waiting), later.id],
        [Reading(name, 5, False, (EPOCH, 0)) for name in "ad"],
        each=5,
    )

    ends = {job: (end.state, end.due is not None) for job, end in turned.ended.items()}
    assert ends == {
        jobs[0].id: (JobState.COMPLETED, False),
        jobs[1].id: (JobState.DISCARDED, False),
        jobs[2].id: (JobState.RETRYABLE, True),
        jobs[3].id: (JobState.AVAILABLE, True),
    }
    assert sorted(row[0] for row in turned.claimed) == [job.id for job in waiting]
    read = {(number, job): wait for number, job, _, wait in turned.read}
    assert read.keys() == {(1, later.id), (2, jobs[3].id)}
    assert read[1, later.id] == pytest.approx(3600, abs=60)
    assert read[2, jobs[3].id] is None


def test_a_turn_sent_twice_changes_nothing_more(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    done, failed, next_one = cluster.start(led, "a"), cluster.start(led, "b"), cluster.enqueue("a")
    ends = [finished(done, Completed()), finished(failed, Retry(HOUR, "down"))]

    first, second = (cluster.queue.turn(led.connections, led.term, ends, [next_one.id]) for _ in range(2))

    assert first.ended == second.ended
    assert [row[:2] for row in first.claimed] == [row[:2] for row in second.claimed] == [(next_one.id, 1)]
    assert admin.execute("SELECT job, attempt, outcome, error FROM leaderjobs.attempts").fetchall() == [
        (failed.id, 1, "retried", "down")
    ]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Retry(HOUR, "x"), "retried"),
        (Hold(HOUR, "LOGIN", "x"), "held"),
        (Postpone(HOUR, "x"), "postponed"),
        (Uncertain(HOUR, "x"), "uncertain"),
        (Discard("x"), "discarded"),
        (Cancelled(), "cancelled"),
        (GiveBack(), "given_back"),
    ],
)
def test_attempt_that_did_not_complete_its_job_is_kept(
    cluster: Cluster, admin: Admin, outcome: Outcome, word: str
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    cluster.finish(led, cluster.start(led, "other"), Completed())

    cluster.finish(led, job, outcome)

    kept = "SELECT job, attempt, term, member, outcome, started_at FROM leaderjobs.attempts"
    assert admin.execute(kept).fetchall() == [(job.id, 1, 1, "member-1", word, job.started_at)]


def test_job_that_was_cancelled_while_it_waits_is_not_claimed(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.enqueue()
    admin.execute("UPDATE leaderjobs.jobs SET state = 'cancelled', finished_at = now()")

    assert cluster.queue.turn(led.connections, led.term, wanted=[job.id]).claimed == []


@pytest.mark.parametrize("outcome", [GiveBack(), Retry(HOUR, "x"), Hold(HOUR, "X", "x")])
def test_sync_that_was_cancelled_while_it_ran_does_not_run_again(
    cluster: Cluster, admin: Admin, outcome: Outcome
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    admin.execute("UPDATE leaderjobs.jobs SET cancel_requested_at = now()")

    assert cluster.queue.cancelled([job.id]) == [job.id]
    assert cluster.finish(led, job, outcome) is JobState.CANCELLED

    assert cluster.jobs.get(job.id).finished_at is not None


def test_strands_are_found_by_their_first_job(cluster: Cluster) -> None:
    at = clock.now() - HOUR
    first = cluster.enqueue("a", at=at)
    cluster.enqueue("a")
    urgent = cluster.enqueue("a", priority=0, delay=HOUR)
    effect = cluster.plan(connection="a")
    other = cluster.enqueue("b")

    found = [(each.connection, each.priority, each.operations, each.id) for each in cluster.queue.strands(9)]

    assert found[0] == ("a", 0, False, urgent.id)
    assert found[1] == ("a", 5, False, first.id)
    assert found[2][:3] == ("a", 5, True)
    assert cluster.jobs.get(found[2][3]).effect == effect.id
    assert found[3] == ("b", 5, False, other.id)
    assert [each.wait is None for each in cluster.queue.strands(9)] == [False, True, True, True]
    assert len(cluster.queue.strands(2)) == 2
