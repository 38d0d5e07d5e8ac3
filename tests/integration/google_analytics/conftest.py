"""A wall clock that stands still, and a property with data of six days."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaderjobs import clock
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from tests.integration.google_analytics.rig import Now


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    monkeypatch.setattr(clock, "now", made)
    return made


@pytest.fixture
def sandbox(now: Now) -> Iterator[GoogleAnalyticsSandbox]:
    with GoogleAnalyticsSandbox(days=5, rows_per_day=25) as made:
        yield made
