"""The table from what was raised to what becomes of the job."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs import clock
from leaderjobs.engine import retrying
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.engine.retrying import Refusals, operator_outcome, outcome
from leaderjobs.errors import (
    ConfigError,
    FatalError,
    FencedOut,
    Interrupted,
    NeedsUser,
    QuotaExhausted,
    RateLimited,
    Refused,
    StoreError,
    StoreUnavailable,
    TransientError,
    Unauthenticated,
)
from leaderjobs.model.job import (
    Cancelled,
    Discard,
    GiveBack,
    Hold,
    Job,
    JobState,
    Outcome,
    Postpone,
    Retry,
)
from leaderjobs.model.term import Term

NOW = datetime(2026, 11, 25, tzinfo=UTC)
JOB = Job(1, "sync", "home", ("rows",), JobState.RUNNING, None, 5, 4, 20, NOW, NOW)
FIRST_REFUSAL = 2.0
"""Seconds."""


def attempt(stop: Stop | None = None, limit: timedelta | None = None) -> Attempt:
    term = Term(
        cluster="acme",
        partition=0,
        number=1,
        token=1,
        origin="origin",
        member="a",
        began_at=NOW,
        session_timeout=timedelta(seconds=15),
        elapsed=lambda: 0.0,
        sent_at=0.0,
    )
    made = Attempt(term, dataclasses.replace(JOB, time_limit=limit))
    if stop is not None:
        made.stop(stop)
    return made


def of_sync(error: Exception, stop: Stop | None = None, limit: timedelta | None = None) -> Outcome:
    return outcome(error, attempt(stop, limit), Refusals())


def of_operation(error: Exception, stop: Stop | None = None, limit: timedelta | None = None) -> Outcome:
    return operator_outcome(error, attempt(stop, limit), Refusals())


@pytest.mark.parametrize(
    "error",
    [FencedOut("newer"), StoreUnavailable("gone"), Refused("moved"), Interrupted("stop")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_fault_of_the_job_gives_the_attempt_back(error: Exception) -> None:
    assert of_sync(error) == GiveBack()
    assert of_operation(error) == GiveBack()


@pytest.mark.parametrize(
    "error",
    [FatalError("no"), Unauthenticated("no"), ConfigError("no"), StoreError("no")],
    ids=lambda error: type(error).__name__,
)
def test_what_fails_the_same_way_again_is_discarded(error: Exception) -> None:
    assert of_sync(error) == Discard("no")


def test_trouble_that_passes_is_tried_again_after_a_random_part_of_a_delay_that_doubles() -> None:
    delays = []
    for _ in range(200):
        made = of_sync(TransientError("down"))
        assert isinstance(made, Retry)
        assert made.error == "down"
        delays.append(made.delay)
    ceiling = retrying.RETRIES.ceiling(JOB.attempt)
    assert ceiling == timedelta(seconds=8)
    assert all(ceiling * 0.1 <= delay <= ceiling for delay in delays)
    assert max(delays) - min(delays) > ceiling * 0.5


def test_a_bug_is_tried_again_and_says_what_it_was() -> None:
    made = of_sync(ZeroDivisionError("oops"))
    assert isinstance(made, Retry)
    assert made.error == "ZeroDivisionError: oops"
    assert isinstance(of_operation(KeyError("x")), Postpone)


@pytest.mark.parametrize("of", [of_sync, of_operation])
def test_the_provider_s_own_time_is_kept_up_to_a_day(of: Callable[[Exception], Outcome]) -> None:
    for asked, kept in ((timedelta(minutes=7), timedelta(minutes=7)), (timedelta(days=9), timedelta(days=1))):
        made = of(RateLimited("slow down", retry_after=asked))
        assert made == Hold(kept, "rate_limited", "slow down", person=False)
    assert of_sync(TransientError("later", retry_after=timedelta(days=9))) == Retry(
        timedelta(days=1), "later"
    )


def test_refusals_in_a_row_wait_longer_and_longer_until_work_gets_through() -> None:
    refusals = Refusals()

    def refused() -> float:
        found = outcome(RateLimited("slow down"), attempt(), refusals)
        assert isinstance(found, Hold)
        return found.delay.total_seconds()

    for number in range(8):
        ceiling = FIRST_REFUSAL * 2**number
        assert ceiling * 0.1 <= refused() <= ceiling
    refusals.over("home")
    assert refused() <= FIRST_REFUSAL


def test_refusals_of_another_connection_do_not_count() -> None:
    refusals = Refusals()
    for _ in range(9):
        refusals.again("other")
    found = outcome(RateLimited("slow down"), attempt(), refusals)
    assert isinstance(found, Hold)
    assert found.delay.total_seconds() <= FIRST_REFUSAL


@pytest.mark.parametrize("of", [of_sync, of_operation])
def test_a_quota_holds_until_it_is_renewed(of: Callable[[Exception], Outcome]) -> None:
    made = of(QuotaExhausted("used up", until=clock.now() + timedelta(hours=3)))
    assert isinstance(made, Hold)
    assert (made.code, made.person) == ("quota_exhausted", False)
    assert timedelta(hours=2.99) < made.delay <= timedelta(hours=3)
    past = of(QuotaExhausted("used up", until=NOW - timedelta(days=1)))
    assert isinstance(past, Hold)
    assert past.delay == retrying.LEAST_HOLD


def test_what_only_a_person_can_mend_holds_until_then() -> None:
    expected = Hold(retrying.PROBE_HOLD_EVERY, "ITEM_LOGIN_REQUIRED", "log in", person=True)
    error = NeedsUser("log in", code="ITEM_LOGIN_REQUIRED")
    assert of_sync(error) == expected
    assert of_operation(error) == expected
    assert of_operation(ConfigError("no key")) == Hold(
        retrying.PROBE_HOLD_EVERY, "configuration", "no key", person=True
    )


# -- attempts that were asked to stop ------------------------------------------------------------------------

CUT_OFF = [Interrupted("stop"), TransientError("broke off"), OSError("bad file descriptor")]


@pytest.mark.parametrize("error", CUT_OFF, ids=lambda error: type(error).__name__)
def test_a_stopped_attempt_ends_by_the_reason_of_the_stop_however_the_cut_looks(error: Exception) -> None:
    assert of_sync(error, Stop.DRAIN) == GiveBack()
    assert of_sync(error, Stop.CANCEL) == Cancelled()
    made = of_sync(error, Stop.TIME_LIMIT, timedelta(hours=2))
    assert isinstance(made, Retry)
    assert made.error == "took longer than its limit of 2h"


def test_a_stop_does_not_hide_what_the_provider_said() -> None:
    assert isinstance(of_sync(NeedsUser("log in", code="X"), Stop.DRAIN), Hold)
    assert of_sync(FatalError("no"), Stop.CANCEL) == Discard("no")


def test_an_operation_is_never_cancelled_in_the_middle_and_its_limit_spends_nothing() -> None:
    assert of_operation(Interrupted("stop"), Stop.CANCEL) == GiveBack()
    made = of_operation(Interrupted("stop"), Stop.TIME_LIMIT, timedelta(minutes=90, milliseconds=5))
    assert isinstance(made, Postpone)
    assert made.error == "took longer than its limit of 1h30m5ms"


def test_refusals_are_remembered_of_a_bounded_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "MOST_COUNTED", 3)
    refusals = Refusals()
    for name in ("a", "b", "c", "a", "d"):
        refusals.again(name)
    assert [refusals.again(name) for name in ("a", "b")] == [3, 1]
