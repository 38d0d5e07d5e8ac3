from __future__ import annotations

from datetime import timedelta

import pytest

from leaderjobs.connectors.pacing import Pace
from leaderjobs.errors import LeadershipLost
from leaderjobs.values import Rate
from tests.unit.connectors.harness import Clock, Context


def sent_at(rate: str, requests: int, *, pauses: dict[int, float] | None = None) -> list[float]:
    """When each request went out, by the injected clock."""
    context = Context()
    pace = Pace(Rate.parse(rate), elapsed=context.clock)
    times = []
    for number in range(requests):
        context.clock.seconds += (pauses or {}).get(number, 0)
        pace.take(context)
        times.append(context.clock.seconds)
    return times


@pytest.mark.parametrize(("rate", "per"), [("50/min", 60), ("15/min", 60), ("1/s", 1), ("7/h", 3600)])
@pytest.mark.parametrize("pauses", [{}, {20: 10_000}, {3: 30, 9: 31.5, 40: 59}])
def test_no_span_of_the_period_ever_holds_more_requests_than_the_rate(
    rate: str, per: float, pauses: dict[int, float]
) -> None:
    times = sent_at(rate, 200, pauses=pauses)
    limit = Rate.parse(rate).count
    for first in times:
        assert sum(first <= instant < first + per - 1e-6 for instant in times) <= limit


def test_over_a_long_time_the_whole_rate_is_used_but_for_the_burst() -> None:
    times = sent_at("50/min", 411)
    assert times[-1] - times[0] == pytest.approx(600, rel=0.03)


def test_a_small_burst_goes_out_without_a_wait() -> None:
    times = sent_at("50/min", 11)
    assert times[9] == times[0]
    assert times[10] > times[0]


def test_a_wait_that_is_interrupted_spends_no_token() -> None:
    context = Context()
    pace = Pace(Rate(1, timedelta(seconds=10)), elapsed=context.clock)
    pace.take(context)
    context.stop_with = LeadershipLost("over")
    with pytest.raises(LeadershipLost):
        pace.take(context)
    context.stop_with = None
    pace.take(context)
    assert context.waits == [timedelta(seconds=10)]


def test_it_waits_through_the_context_only() -> None:
    clock = Clock()
    context = Context(clock)
    pace = Pace(Rate(2, timedelta(seconds=1)), elapsed=clock)
    for _ in range(3):
        pace.take(context)
    assert context.waits == [timedelta(seconds=0.5)] * 2
