from __future__ import annotations

import itertools
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.connectors.pacing import RATE_LIMITED, Pace, Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.errors import Interrupted, LeadershipLost, RateLimited
from leaderjobs.values import Rate
from tests.unit.connectors.harness import Context

FAST = Rate(1_000_000, timedelta(seconds=1))


def pace_of(context: Context, rate: Rate) -> Pace:
    return Paces(elapsed=context.clock).of("home", "rows", rate)


def sent_at(rate: str, requests: int, *, pauses: dict[int, float] | None = None) -> list[float]:
    """When each request went out, by the injected clock."""
    context = Context()
    pace = pace_of(context, Rate.parse(rate))
    times = []
    for number in range(requests):
        context.clock.seconds += (pauses or {}).get(number, 0)
        pace.take(context)
        times.append(context.clock.seconds)
    return times


def most_in_any(span: float, times: list[float]) -> int:
    """The most instants of any half-open span; less what a timer may be early by."""
    ordered = sorted(times)
    return max(bisect_left(ordered, first + span - 1e-5) - place for place, first in enumerate(ordered))


@pytest.mark.parametrize(("rate", "per"), [("50/min", 60), ("15/min", 60), ("1/s", 1), ("7/h", 3600)])
@pytest.mark.parametrize("pauses", [{}, {20: 10_000}, {3: 30, 9: 31.5, 40: 59}])
def test_no_span_of_the_period_ever_holds_more_requests_than_the_rate(
    rate: str, per: float, pauses: dict[int, float]
) -> None:
    times = sent_at(rate, 200, pauses=pauses)
    assert most_in_any(per, times) <= Rate.parse(rate).count


def test_over_a_long_time_the_whole_rate_is_used_but_for_the_burst() -> None:
    times = sent_at("50/min", 411)
    assert times[-1] - times[0] == pytest.approx(600, rel=0.03)


def test_a_small_burst_goes_out_without_a_wait() -> None:
    times = sent_at("50/min", 11)
    assert times[9] == times[0]
    assert times[10] > times[0]


def test_a_wait_that_is_interrupted_spends_no_token() -> None:
    context = Context()
    pace = pace_of(context, Rate(1, timedelta(seconds=10)))
    pace.take(context)
    context.stop_with = LeadershipLost("over")
    with pytest.raises(LeadershipLost):
        pace.take(context)
    context.stop_with = None
    pace.take(context)
    assert context.waits == [timedelta(seconds=10)]


def test_it_waits_through_the_context_only() -> None:
    context = Context()
    pace = pace_of(context, Rate(2, timedelta(seconds=1)))
    for _ in range(3):
        pace.take(context)
    assert context.waits == [timedelta(seconds=0.5)] * 2


# -- what connections and providers have in common -----------------------------------------------------------


class Waiting:
    """A waiter that really waits, until it is told to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def wait(self, delay: timedelta) -> None:
        if self.stopped.wait(delay.total_seconds()):
            raise Interrupted("stop")


class Noting:
    """The deadline clock, which knows what it told each thread last: that is when its turn was given."""

    def __init__(self) -> None:
        self._told = threading.local()

    def __call__(self) -> float:
        self._told.last = clock.elapsed()
        return self.last

    @property
    def last(self) -> float:
        return float(self._told.last)


def side_by_side(noting: Noting, paces: list[Pace], each: int) -> list[float]:
    """When the turns of one thread for each pace were given."""
    times: list[list[float]] = [[] for _ in paces]

    def send(pace: Pace, mine: list[float]) -> None:
        for _ in range(each):
            pace.take(Waiting())
            mine.append(noting.last)

    threads = [threading.Thread(target=send, args=pair) for pair in zip(paces, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(len(mine) == each for mine in times)
    return list(itertools.chain.from_iterable(times))


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads change places all the time, also in the middle of what only looks like one step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("limited", ["endpoint", "connection", "provider"])
def test_eight_attempts_at_once_keep_to_the_rate_in_any_span(limited: str) -> None:
    """Of real threads: 60 a quarter of a second, so 96 requests need more than a period and hold the burst."""
    per = timedelta(milliseconds=250)
    rate, noting = Rate(60, per), Noting()
    paces = Paces(elapsed=noting)
    for name in ("a", "b"):
        paces.limit(
            name, "plaid", rate if limited == "connection" else None, rate if limited == "provider" else None
        )
    names = "ab" if limited == "provider" else "aa"
    own = rate if limited == "endpoint" else FAST
    times = side_by_side(noting, [paces.of(name, "rows", own) for name in names * 4], 12)

    assert most_in_any(per.total_seconds(), times) <= rate.count
    assert max(times) - min(times) > per.total_seconds() * 96 / 60 * 0.7


def test_a_provider_s_rate_is_for_all_of_its_connections_together() -> None:
    context = Context()
    paces = Paces(elapsed=context.clock)
    rate = Rate(10, timedelta(seconds=10))
    for name in ("a", "b"):
        paces.limit(name, "plaid", None, rate)
    paces.limit("other", "stripe", None, rate)
    times = []
    for number in range(40):
        paces.of("ab"[number % 2], "rows", FAST).take(context)
        times.append(context.clock.seconds)
    before = context.clock.seconds
    paces.of("other", "rows", FAST).take(context)

    assert most_in_any(10, times) <= 10
    assert times[-1] - times[0] > 30
    assert context.clock.seconds == before, "another provider's connection waited"


def test_the_slowest_of_the_three_decides_and_none_is_taken_from_in_vain() -> None:
    context = Context()
    paces = Paces(elapsed=context.clock)
    paces.limit("a", "plaid", Rate(1, timedelta(seconds=10)), Rate(1, timedelta(seconds=1)))
    slow, beside = paces.of("a", "rows", FAST), paces.of("b", "rows", FAST)
    paces.limit("b", "plaid", None, Rate(1, timedelta(seconds=1)))
    slow.take(context)
    context.clock.seconds += 1
    context.stop_with = Interrupted("stop")
    with pytest.raises(Interrupted):
        slow.take(context)

    beside.take(context)


def test_who_waits_longest_goes_first() -> None:
    paces = Paces()
    paces.limit("a", "plaid", Rate(1, timedelta(milliseconds=60)), None)
    pace = paces.of_connection("a")
    pace.take(Waiting())
    order: list[int] = []
    queued: list[threading.Thread] = []
    for number in range(5):
        arrived = threading.Event()

        class Arriving(Waiting):
            def wait(self, delay: timedelta, arrived: threading.Event = arrived) -> None:
                arrived.set()
                super().wait(delay)

        def send(number: int = number, waiter: Waiting | None = None) -> None:
            pace.take(waiter or Waiting())
            order.append(number)

        queued.append(threading.Thread(target=send, kwargs={"waiter": Arriving()}))
        queued[-1].start()
        assert arrived.wait(10)
    for thread in queued:
        thread.join(10)
    assert order == sorted(order)


def test_a_rate_that_changes_counts_for_the_next_request_of_what_runs_already() -> None:
    context = Context()
    paces = Paces(elapsed=context.clock)
    pace = paces.of("a", "rows", FAST)
    pace.take(context)
    paces.limit("a", "plaid", Rate(1, timedelta(seconds=10)), None)
    pace.take(context)
    pace.take(context)
    assert context.waits == [timedelta(seconds=10)]
    paces.limit("a", "plaid", None, None)
    pace.take(context)
    assert len(context.waits) == 1


# -- what the provider asked for -----------------------------------------------------------------------------


def refuse(retry_after: timedelta | None) -> Callable[[], None]:
    def send() -> None:
        raise RateLimited("slow down", retry_after=retry_after)

    return send


def test_after_a_refusal_no_attempt_of_the_connection_sends_before_the_provider_s_time() -> None:
    context, another = Context(), Context()
    another.clock = context.clock
    paces = Paces(elapsed=context.clock)
    with pytest.raises(RateLimited):
        until_answered(refuse(timedelta(seconds=20)), paces.of("a", "rows", FAST), context)

    paces.of("b", "rows", FAST).take(another)
    assert another.waits == []
    paces.of("a", "others", FAST).take(another)
    assert another.waits == [timedelta(seconds=20)]


def test_a_long_wait_ends_the_attempt_instead_of_holding_its_thread() -> None:
    context = Context()
    paces = Paces(elapsed=context.clock)
    paces.hold("a", timedelta(hours=1))
    with pytest.raises(RateLimited) as raised:
        paces.of_connection("a").take(context)
    assert (raised.value.code, raised.value.retry_after) == (RATE_LIMITED, timedelta(hours=1))
    assert context.waits == []


def test_a_shorter_word_does_not_shorten_a_longer_one() -> None:
    context = Context()
    paces = Paces(elapsed=context.clock)
    paces.hold("a", timedelta(seconds=20))
    paces.hold("a", None)
    paces.of_connection("a").take(context)
    assert context.waits == [timedelta(seconds=20)]


def test_a_stop_ends_the_wait_and_lets_the_others_pass() -> None:
    paces = Paces()
    paces.limit("a", "plaid", Rate(1, timedelta(seconds=1)), None)
    pace = paces.of_connection("a")
    pace.take(Waiting())
    first, raised = Waiting(), threading.Event()

    def send() -> None:
        try:
            pace.take(first)
        except Interrupted:
            raised.set()

    thread = threading.Thread(target=send)
    thread.start()
    began = clock.elapsed()
    first.stopped.set()
    assert raised.wait(10)
    assert clock.elapsed() - began < 0.9
    thread.join(10)
    pace.take(Waiting())
