"""What the leader finds, starts, stops and gives back, on a real queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from leaderjobs import clock
from leaderjobs.engine.limiter import Limits
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState, NewJob
from leaderjobs.store.queue import Queue
from tests.integration.engine.scripted import CLUSTER, Bench, Script
from tests.support import eventually

RAW = """
INSERT INTO leaderjobs.jobs (
    cluster, target, connection, streams, state, priority, max_attempts, scheduled_at)
VALUES ('acme', 'sync', %s, '{first}', 'available', 5, 1, %s)
RETURNING id
"""
"""As a client behind a pooler that swallows every notification."""


def leading(surroundings: Bench, name: str = "a") -> None:
    """A member whose term has begun, and that listens."""
    member = surroundings.start(name)
    eventually(lambda: member.saw(EventKind.TERM_BEGAN), what="the term")
    surroundings.ended(surroundings.enqueue("warm"))


def test_fifty_running_jobs_are_given_back_when_the_member_stops_and_none_is_spent(
    surroundings: Bench,
) -> None:
    surroundings.limits = Limits(50)
    gate = threading.Semaphore(0)
    surroundings.script = Script(gate=gate)
    jobs = [surroundings.enqueue(f"c{n}") for n in range(60)]
    first = surroundings.start("a")
    eventually(lambda: surroundings.stores.jobs.counts()[JobState.RUNNING] == 50, what="fifty at work")

    first.stop()

    counts = surroundings.stores.jobs.counts()
    assert (counts[JobState.AVAILABLE], counts[JobState.RUNNING]) == (60, 0)
    assert {surroundings.stores.jobs.get(job.id).attempt for job in jobs} == {0}
    assert len(first.saw(EventKind.JOB_ENDED)) == len(first.saw(EventKind.JOB_STARTED))
    gate.release(1_000)
    surroundings.start("b")
    ended = [surroundings.ended(job) for job in jobs]
    assert {(job.state, job.attempt, job.term) for job in ended} == {(JobState.COMPLETED, 1, 2)}


@pytest.mark.parametrize("told", [True, False])
def test_a_running_job_that_is_cancelled_stops_within_a_second_or_so(
    surroundings: Bench, *, told: bool
) -> None:
    surroundings.script = Script(gate=threading.Semaphore(1))
    surroundings.start("a")
    job = surroundings.enqueue()
    eventually(lambda: surroundings.sequences().get("first") == 1, what="the first page")
    with surroundings.stores.database.session() as connection:
        connection.execute("UPDATE leaderjobs.jobs SET cancel_requested_at = now()")
        if told:
            connection.execute("SELECT pg_notify('leaderjobs', %s)", (f"{CLUSTER} cancel",))
    asked_at = clock.elapsed()

    done = surroundings.ended(job)

    assert clock.elapsed() - asked_at < 3.0
    assert (done.state, done.progress.rows) == (JobState.CANCELLED, 1)


def test_an_attempt_that_takes_too_long_is_stopped(surroundings: Bench) -> None:
    surroundings.script = Script(gate=threading.Semaphore(1))
    surroundings.start("a")
    new = NewJob("sync", "c", ("first",), max_attempts=1, time_limit=timedelta(seconds=1))
    job, _ = surroundings.stores.jobs.enqueue(new)

    done = surroundings.ended(job)

    assert done.state is JobState.DISCARDED
    assert done.finished_at is not None
    assert done.started_at is not None
    assert done.finished_at - done.started_at < timedelta(seconds=5)


def test_a_job_whose_transaction_commits_late_is_found_behind_what_was_read(surroundings: Bench) -> None:
    leading(surroundings)
    with closing(psycopg.connect(surroundings.url)) as late:
        (found,) = late.execute(RAW, ("c", clock.now() - timedelta(seconds=1))).fetchall()
        late.execute("SELECT leaderjobs.wake('acme', 'c', 5, now() - interval '1 second')")
        for _ in range(3):
            surroundings.ended(surroundings.enqueue())
        late.commit()
    eventually(lambda: surroundings.stores.jobs.get(found[0]).state is JobState.COMPLETED, 5, "the late job")


@pytest.mark.parametrize("connection", ["warm", "never seen"])
def test_jobs_that_nobody_tells_of_are_found(surroundings: Bench, connection: str) -> None:
    leading(surroundings)
    with closing(psycopg.connect(surroundings.url, autocommit=True)) as admin:
        for minutes in (0, 10):
            (found,) = admin.execute(RAW, (connection, clock.now() - timedelta(minutes=minutes))).fetchall()
            eventually(
                lambda found=found: (
                    surroundings.stores.jobs.get(found[0]).state  # type: ignore[misc]  # bound at once
                    is JobState.COMPLETED
                ),
                10,
                f"the job that was due {minutes} minutes ago",
            )


def test_a_job_is_started_when_it_is_due_and_not_before(surroundings: Bench) -> None:
    leading(surroundings)
    job, _ = surroundings.stores.jobs.enqueue(
        NewJob("sync", "c", ("first",), delay=timedelta(milliseconds=700))
    )
    other = surroundings.enqueue()

    assert surroundings.ended(other).finished_at is not None
    done = surroundings.ended(job)

    assert done.started_at is not None
    assert timedelta(0) <= done.started_at - job.scheduled_at < timedelta(milliseconds=500)


@pytest.mark.parametrize("lost", range(6))
def test_a_turn_whose_acknowledgement_is_lost_costs_no_attempt_and_runs_nothing_twice(
    surroundings: Bench, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    turn: Callable[..., Any] = Queue.turn
    turns: list[int] = []

    def cut(*arguments: Any, **options: Any) -> Any:
        turned = turn(*arguments, **options)
        turns.append(len(turns))
        if len(turns) == lost + 1:
            raise StoreUnavailable("the answer was lost")
        return turned

    monkeypatch.setattr(Queue, "turn", cut)
    jobs = [surroundings.enqueue(name) for name in ("a", "b", "a")]
    member = surroundings.start("m")

    ended = [surroundings.ended(job) for job in jobs]

    assert {(job.state, job.attempt) for job in ended} == {(JobState.COMPLETED, 1)}
    assert len(member.saw(EventKind.JOB_STARTED)) == 3
    eventually(lambda: len(member.saw(EventKind.JOB_ENDED)) == 3, what="their ends")


def test_an_end_that_cannot_be_recorded_keeps_no_other_from_it(
    surroundings: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For instance because of a value that our own code got wrong."""
    monkeypatch.setattr("leaderjobs.store.queue.storable", lambda text: "\0" if "nosuch" in text else text)
    poisoned = surroundings.enqueue("poison", streams=("nosuch",))
    fine = [surroundings.enqueue(name) for name in "abc"]
    member = surroundings.start("a")

    assert {surroundings.ended(job).state for job in fine} == {JobState.COMPLETED}
    failed = eventually(lambda: member.saw(EventKind.SERVICE_FAILED), what="the complaint")
    assert failed[0].facts["job"] == poisoned.id
