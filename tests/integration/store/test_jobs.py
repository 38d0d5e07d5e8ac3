"""The queue: what is enqueued, claimed and recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from leaderjobs.errors import Refused
from leaderjobs.model.job import (
    Completed,
    Discard,
    JobState,
    NewJob,
    Outcome,
    Retry,
)
from tests.integration.store.rig import Admin, Cluster

HOUR = timedelta(hours=1)


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
    cluster.finish(led, running, Retry(HOUR, "later"))
    assert again() == (first.id, False)
    cluster.enqueue(key="other")


@pytest.mark.parametrize("outcome", [Completed(), Discard("no")])
def test_key_is_free_again_when_its_job_is_final(cluster: Cluster, outcome: Outcome) -> None:
    led = cluster.lead()
    first = cluster.enqueue(key="k")
    cluster.finish(led, cluster.claim(led)[0], outcome)

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


def test_ended_jobs_are_deleted_in_bites_and_their_attempts_with_them(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    jobs = [cluster.start(led, name) for name in "abc"]
    for job in jobs[:2]:
        cluster.finish(led, job, Discard("no"))
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
