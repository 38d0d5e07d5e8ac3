"""How attempts end, and where the next one goes on."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from leaderjobs.errors import FatalError, NeedsUser, RateLimited, TransientError
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState
from tests.integration.engine.scripted import Bench, Script
from tests.support import eventually


def once(error: BaseException, stream: str = "first", page: int = 1) -> Script:
    """Fails one time, at one page."""
    raised: list[bool] = []

    def fail(asked: str, at: int) -> BaseException | None:
        if (asked, at) == (stream, page) and not raised:
            raised.append(True)
            return error
        return None

    return Script(error=fail)


def test_a_job_pulls_every_stream_to_its_end(surroundings: Bench) -> None:
    surroundings.start("a")
    done = surroundings.ended(surroundings.enqueue())
    assert (done.state, done.attempt, done.progress.rows) == (JobState.COMPLETED, 1, 6)
    assert surroundings.sequences() == {"first": 3, "second": 3}


def test_a_transient_error_spends_an_attempt_and_goes_on_at_the_last_page(surroundings: Bench) -> None:
    surroundings.script = once(TransientError("down", retry_after=timedelta(milliseconds=50)))
    surroundings.start("a")
    done = surroundings.ended(surroundings.enqueue())
    assert (done.state, done.attempt) == (JobState.COMPLETED, 2)
    assert surroundings.script.reads.count(("first", 1)) == 1, "a committed page was pulled again"


def test_a_provider_that_says_when_is_not_asked_before(surroundings: Bench) -> None:
    surroundings.script = once(RateLimited("slow down", retry_after=timedelta(hours=1)))
    surroundings.start("a")
    job = surroundings.enqueue()
    eventually(lambda: surroundings.stores.jobs.get(job.id).state is JobState.RETRYABLE)
    waiting = surroundings.stores.jobs.get(job.id)
    assert waiting.scheduled_at - waiting.created_at > timedelta(minutes=59)
    assert (waiting.error, waiting.attempt) == ("slow down", 0)
    (hold,) = surroundings.stores.holds.all()
    assert (hold.connection, hold.code, hold.person) == ("c", "rate_limited", False)
    assert hold.until - waiting.created_at > timedelta(minutes=59)


def test_attempts_run_out(surroundings: Bench) -> None:
    surroundings.script = Script(error=lambda _s, _p: TransientError("down", retry_after=timedelta(0)))
    surroundings.start("a")
    done = surroundings.ended(surroundings.enqueue(max_attempts=3))
    assert (done.state, done.attempt, done.error) == (JobState.DISCARDED, 3, "down")


def test_what_cannot_pass_is_discarded_at_once(surroundings: Bench) -> None:
    surroundings.script = once(FatalError("INVALID_API_KEYS: mend the credentials"))
    surroundings.start("a")
    done = surroundings.ended(surroundings.enqueue())
    assert (done.state, done.attempt) == (JobState.DISCARDED, 1)
    assert "INVALID_API_KEYS" in (done.error or "")


def test_a_bug_in_a_connector_costs_an_attempt_and_not_the_term(surroundings: Bench) -> None:
    surroundings.script = once(ZeroDivisionError("oops"))
    member = surroundings.start("a")
    done = surroundings.ended(surroundings.enqueue())
    assert (done.state, done.attempt) == (JobState.COMPLETED, 2)
    assert len(member.saw(EventKind.TERM_BEGAN)) == 1


def test_a_connection_that_needs_its_user_is_held_and_no_other(surroundings: Bench) -> None:
    surroundings.script = once(NeedsUser("log in at the bank", code="ITEM_LOGIN_REQUIRED"))
    surroundings.start("a")
    held = surroundings.enqueue("broken")
    eventually(surroundings.stores.holds.all, what="the hold")
    other = surroundings.enqueue("fine")
    also_held = surroundings.enqueue("broken")
    assert surroundings.ended(other).state is JobState.COMPLETED
    hold = surroundings.stores.holds.all()[0]
    assert (hold.connection, hold.code) == ("broken", "ITEM_LOGIN_REQUIRED")
    waiting = surroundings.stores.jobs.get(held.id)
    assert (waiting.state, waiting.attempt) == (JobState.RETRYABLE, 0)
    assert surroundings.stores.jobs.get(also_held.id).state is JobState.AVAILABLE

    assert surroundings.stores.holds.release("broken")

    assert surroundings.ended(held).state is JobState.COMPLETED
    assert surroundings.ended(also_held).state is JobState.COMPLETED
    assert surroundings.stores.holds.all() == []


def test_jobs_of_one_connection_run_one_after_another(surroundings: Bench) -> None:
    surroundings.script = Script(gate=threading.Semaphore(0))
    surroundings.start("a")
    jobs = [surroundings.enqueue() for _ in range(3)]
    assert surroundings.script.waiting.wait(10)
    assert surroundings.stores.jobs.counts()[JobState.RUNNING] == 1
    surroundings.script.gate.release(100)  # type: ignore[union-attr]  # set two lines above
    for job in jobs:
        assert surroundings.ended(job).state is JobState.COMPLETED


def test_a_stopped_member_gives_the_attempt_back_and_the_next_one_goes_on(surroundings: Bench) -> None:
    gate = threading.Semaphore(4)
    surroundings.script = Script(gate=gate)
    first = surroundings.start("a")
    job = surroundings.enqueue()
    eventually(lambda: surroundings.sequences().get("second") == 1, what="the second stream")
    first.stop()
    given_back = surroundings.stores.jobs.get(job.id)
    assert (given_back.state, given_back.attempt) == (JobState.AVAILABLE, 0)

    gate.release(100)
    surroundings.start("b")
    done = surroundings.ended(job)

    assert (done.state, done.attempt) == (JobState.COMPLETED, 1)
    assert surroundings.sequences() == {"first": 3, "second": 3}
    assert len(surroundings.script.reads) == 6, "a finished stream, or a committed page, was pulled again"
    assert done.progress.rows == 6


def test_the_leader_deletes_jobs_that_ended_long_ago(surroundings: Bench) -> None:
    member = surroundings.start("a")
    old, fresh, failed = (surroundings.ended(surroundings.enqueue()) for _ in range(3))
    member.stop()
    with surroundings.stores.database.session() as connection:
        age = "UPDATE leaderjobs.jobs SET finished_at = now() - %s::interval, state = %s WHERE id = %s"
        connection.execute(age, ("25 hours", "completed", old.id))
        connection.execute(age, ("23 hours", "completed", fresh.id))
        connection.execute(age, ("25 hours", "discarded", failed.id))
    surroundings.start("b")
    eventually(lambda: surroundings.stores.jobs.counts()[JobState.COMPLETED] == 1, what="the old job to go")
    assert surroundings.stores.jobs.get(fresh.id).state is JobState.COMPLETED
    assert surroundings.stores.jobs.get(failed.id).state is JobState.DISCARDED


@pytest.mark.parametrize("page", [0, 2])
def test_a_hold_ends_with_the_next_success(surroundings: Bench, page: int) -> None:
    surroundings.script = once(NeedsUser("log in", code="X"), page=page)
    surroundings.start("a")
    job = surroundings.enqueue()
    eventually(surroundings.stores.holds.all, what="the hold")
    surroundings.stores.holds.release("c")
    assert surroundings.ended(job).state is JobState.COMPLETED
    assert surroundings.stores.holds.all() == []


def test_every_attempt_is_kept_with_how_it_ended(surroundings: Bench) -> None:
    surroundings.script = once(TransientError("down", retry_after=timedelta(0)))
    surroundings.start("a")
    job = surroundings.ended(surroundings.enqueue())

    first, second = surroundings.stores.history.attempts(job.id)
    assert (first.attempt, first.outcome, first.error) == (1, "retried", "down")
    assert (second.attempt, second.outcome, second.error) == (2, "completed", None)
    for each in (first, second):
        assert (each.term, each.member) == (1, "a")
        assert each.duration is not None
        assert timedelta(0) <= each.duration < timedelta(minutes=1)


def test_a_target_that_breaks_and_works_again_is_to_be_told_once_each(surroundings: Bench) -> None:
    broken = [True]
    surroundings.script = Script(error=lambda _s, _p: FatalError("no such account") if broken else None)
    surroundings.start("a")
    for _ in range(2):
        assert surroundings.ended(surroundings.enqueue()).state is JobState.DISCARDED
    broken.clear()
    for _ in range(2):
        assert surroundings.ended(surroundings.enqueue()).state is JobState.COMPLETED

    told = [each.notice for each in surroundings.stores.notices.pending(["ops"], 10)]
    assert [(notice.event.value, notice.error) for notice in told] == [
        ("failure", "no such account"),
        ("recovery", ""),
    ]
    assert {notice.member for notice in told} == {"a"}
