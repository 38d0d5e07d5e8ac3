"""The context in memory is as strict as the engine's, and waits for nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.errors import LeadershipLost, QuotaExhausted
from leaderjobs.model.quota import Quota
from leaderjobs.testing import Context

TOMORROW = datetime(2026, 1, 2, tzinfo=UTC)
QUOTA = Quota("units", 10, TOMORROW)


def test_a_wait_is_noted_and_moves_the_clock() -> None:
    context = Context()
    before = context.clock()
    context.wait(timedelta(hours=1))
    assert context.waits == [timedelta(hours=1)]
    assert context.clock() - before == 3600


def test_what_stops_the_work_is_raised_by_check_and_wait() -> None:
    context = Context()
    context.stop_with = LeadershipLost("over")
    with pytest.raises(LeadershipLost):
        context.check()
    with pytest.raises(LeadershipLost):
        context.wait(timedelta(0))
    assert context.waits == []


def test_a_quota_is_counted_over_contexts_and_never_overdrawn() -> None:
    used: dict[str, int] = {}
    Context(used=used).spend(QUOTA, 7)
    context = Context(used=used)
    with pytest.raises(QuotaExhausted) as caught:
        context.spend(QUOTA, 4)
    assert caught.value.until == TOMORROW
    assert used == {"units": 7}
    context.spend(QUOTA, 3)
    assert used == {"units": 10}


def test_the_providers_word_on_what_is_used_never_lowers_the_count() -> None:
    context = Context()
    context.observe(QUOTA, 8)
    context.observe(QUOTA, 3)
    assert context.used == {"units": 8}
