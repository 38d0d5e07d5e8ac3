"""The queue: what is enqueued, claimed and recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs import clock
from leaderjobs.errors import Refused
from leaderjobs.model.job import (
    Cancelled,
    Completed,
    Discard,
    GiveBack,
    Hold,
    Job,
    JobState,
    NewJob,
    Outcome,
    Postpone,
    Retry,
    Uncertain,
)
from leaderjobs.store.queue import Reading, job_of
from tests.integration.store.rig import Admin, Cluster, Led
from tests.one_turn import finished

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _finish(cluster: Cluster, led: Led, job: Job, outcome: Outcome) -> JobState:
    return cluster.finish(led, job, outcome)


def test_enqueued_job_comes_back_as_it_was_given(cluster: Cluster) -> None:
    new = NewJob("sync", "household", ("accounts", "transactions"), key="k'é", priority=2, max_attempts=7)

    job, created = cluster.jobs.enqueue(new)

    assert created
    assert cluster.jobs.get(job.id) == job
    assert (job.target, job.connection, job.streams) == ("sync", "household", ("accounts", "transactions"))
    assert (job.key, job.priority, job.max_attempts, job.attempt) == ("k'é", 2, 7, 0)
    assert job.state is JobState.AVAILABLE
    assert job.scheduled_at == job.created_at
    assert job.created_at.utcoffset() == timedelta(0)
    assert cluster.jobs.enqueue(NewJob("sync", "c", ()))[0].streams == ()


def test_key_is_unique_over_every_state_that_is_not_final(cluster: Cluster) -> None:
    led = cluster.lead()
    first = cluster.enqueue(key="k", delay=timedelta(seconds=0))

    def again() -> tuple[int, bool]:
        job, created = cluster.jobs.enqueue(NewJob("sync", "household", (), key="k"))
        return job.id, created

    assert again() == (first.id, False)
    (running,) = cluster.claim(led)
    assert again() == (first.id, False)
    _finish(cluster, led, running, Retry(HOUR, "later"))
    assert again() == (first.id, False)
    cluster.enqueue(key="other")


@pytest.mark.parametrize("outcome", [Completed(), Discard("no")])
def test_key_is_free_again_when_its_job_is_final(cluster: Cluster, outcome: Outcome) -> None:
    led = cluster.lead()
    first = cluster.enqueue(key="k")
    _finish(cluster, led, cluster.claim(led)[0], outcome)

    job, created = cluster.jobs.enqueue(NewJob("sync", "household", (), key="k"))

    assert created
    assert job.id != first.id


def test_same_key_enqueued_by_many_at_once_is_one_job(cluster: Cluster) -> None:
    found: list[tuple[int, bool]] = []

    def enqueue() -> None:
        job, created = cluster.jobs.enqueue(NewJob("sync", "household", (), key="k"))
        found.append((job.id, created))

    threads = [threading.Thread(target=enqueue) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len({job for job, _ in found}) == 1
    assert [created for _, created in found].count(True) == 1


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 3000])
def test_name_that_cannot_be_stored_is_refused(cluster: Cluster, text: str) -> None:
    with pytest.raises(Refused, match="key"):
        cluster.enqueue(key=text)


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
    _finish(cluster, led, cluster.jobs.get(first.id), Completed())
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
    _finish(cluster, led, cluster.start(led, "other"), Completed())

    _finish(cluster, led, job, outcome)

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
    assert _finish(cluster, led, job, outcome) is JobState.CANCELLED

    assert cluster.jobs.get(job.id).finished_at is not None


def test_sync_that_was_cancelled_before_its_leader_died_ends_cancelled(
    cluster: Cluster, admin: Admin
) -> None:
    job = cluster.start(cluster.lead())
    admin.execute("UPDATE leaderjobs.jobs SET cancel_requested_at = now()")
    new = cluster.lead()

    assert cluster.jobs.rescue(new.connections, new.term) == 1

    assert cluster.jobs.get(job.id).state is JobState.CANCELLED
    assert admin.execute("SELECT outcome, term FROM leaderjobs.attempts").fetchall() == [("cancelled", 1)]


def test_ended_jobs_are_deleted_in_bites_and_their_attempts_with_them(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    jobs = [cluster.start(led, name) for name in "abc"]
    for job in jobs[:2]:
        _finish(cluster, led, job, Discard("no"))
    admin.execute(
        "UPDATE leaderjobs.jobs SET finished_at = now() - interval '2 hours' WHERE id = %s", (jobs[0].id,)
    )

    def prune(after: int, most: int) -> int | None:
        return cluster.jobs.prune(
            led.connections, led.term, {JobState.DISCARDED: HOUR}, after=after, most=most
        )

    assert prune(0, 1) == jobs[0].id
    assert prune(jobs[0].id, 10) is None

    assert admin.execute("SELECT id FROM leaderjobs.jobs ORDER BY id").fetchall() == [
        (jobs[1].id,),
        (jobs[2].id,),
    ]
    assert admin.execute("SELECT job FROM leaderjobs.attempts").fetchall() == [(jobs[1].id,)]


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


def test_clusters_do_not_see_each_others_jobs(make_cluster: Callable[[str], Cluster]) -> None:
    one, two = make_cluster("one"), make_cluster("two")
    led_one, led_two = one.lead(), two.lead()
    job = one.start(led_one)
    one.enqueue(key="k")
    led_two = two.lead()

    assert two.claim(led_two, 9) == []
    assert two.jobs.rescue(led_two.connections, led_two.term) == 0
    assert sum(two.jobs.counts().values()) == 0
    assert two.jobs.enqueue(NewJob("sync", "c", (), key="k"))[1]
    with pytest.raises(Refused):
        two.jobs.get(job.id)
