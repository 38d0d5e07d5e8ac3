"""What each refusal of the Data API means, and when quotas are renewed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs import clock
from leaderjobs.connectors.google_analytics.errors import (
    CONCURRENCY_DELAY,
    LOCKED_DELAY,
    RATE_DELAY,
    SERVER_ERROR,
    SERVER_ERROR_DELAY,
    next_hour,
    next_midnight,
    refusal,
)
from leaderjobs.connectors.google_analytics.place import Place
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import (
    ConnectorError,
    FatalError,
    Forbidden,
    QuotaExhausted,
    RateLimited,
    TransientError,
    Unauthenticated,
)

NOW = datetime(2026, 7, 1, 6, 59, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def refused(
    status: int, message: str, retry_after: timedelta | None = None, reason: str = ""
) -> ConnectorError:
    said = {"code": status, "message": message, "status": "X", "details": [{"reason": reason}]}
    return refusal(
        "/v1beta/properties/1:runReport", Answer(status, json.dumps({"error": said}).encode(), retry_after)
    )


@pytest.mark.parametrize(
    ("message", "delay"),
    [
        ("Exhausted concurrent requests quota. Please send fewer requests concurrently.", CONCURRENCY_DELAY),
        ("Exhausted server errors for a project per hour.", LOCKED_DELAY),
        ("Resource has been exhausted.", RATE_DELAY),
    ],
)
def test_a_limit_of_the_moment_waits_as_long_as_it_lasts(message: str, delay: timedelta) -> None:
    found = refused(429, message)
    assert type(found) is RateLimited
    assert found.retry_after == delay
    told = refused(429, message, timedelta(seconds=7))
    assert isinstance(told, RateLimited)
    assert told.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("message", "until"),
    [
        ("Exhausted property tokens per day.", datetime(2026, 7, 1, 7, 0, tzinfo=UTC)),
        ("Exhausted daily tokens quota.", datetime(2026, 7, 1, 7, 0, tzinfo=UTC)),
        ("Exhausted property tokens for a project per hour.", datetime(2026, 7, 1, 7, 0, tzinfo=UTC)),
        ("Exhausted potentially thresholded requests quota.", datetime(2026, 7, 1, 7, 0, tzinfo=UTC)),
    ],
)
def test_a_periods_quota_waits_for_the_next_period(message: str, until: datetime) -> None:
    found = refused(429, message)
    assert type(found) is QuotaExhausted
    assert found.until == until


def test_days_begin_in_california_and_hours_at_the_full_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert next_midnight() == next_hour() == datetime(2026, 7, 1, 7, 0, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 1, 7, 0, tzinfo=UTC))  # Midnight; 25 hours.
    assert next_midnight() == datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
    assert next_hour() == datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, FatalError), (401, Unauthenticated), (403, Forbidden), (404, FatalError), (408, TransientError)],
)
def test_each_status_has_its_error_with_googles_message_on_one_line(
    status: int, kind: type[ConnectorError]
) -> None:
    found = refused(status, "Field x\nis not valid" + "!" * 500, reason="SOME_REASON")
    assert type(found) is kind
    assert found.code == "SOME_REASON"
    assert "Field x is not valid!!" in str(found)
    assert "\n" not in str(found)
    assert len(str(found)) < 500


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_waits_long_however_soon_it_says(status: int) -> None:
    found = refused(status, "Internal error", timedelta(seconds=1))
    assert type(found) is TransientError
    assert (found.code, found.retry_after) == (SERVER_ERROR, SERVER_ERROR_DELAY)
    later = refused(status, "Internal error", timedelta(hours=2))
    assert isinstance(later, TransientError)
    assert later.retry_after == timedelta(hours=2)


def test_a_gateways_page_is_told_by_its_status() -> None:
    found = refusal("/x", Answer(502, b"<html>"))
    assert type(found) is TransientError
    assert "no message (HTTP 502)" in str(found)


GOOD = {"definition": "d", "start": "2026-01-01", "zone": "UTC", "next": "2026-01-02", "until": "2026-01-03"}


def test_a_place_is_its_cursor() -> None:
    for cursor in (GOOD, {**GOOD, "offset": 10, "rows": 25}):
        place = Place.parse(cursor)
        assert place is not None
        assert place.cursor() == cursor
    assert Place.parse(None) is Place.parse({}) is None


@pytest.mark.parametrize(
    "other",
    [
        {"next": "soon"},
        {"next": None},
        {"start": 5},
        {"offset": -1},
        {"offset": 30, "rows": 25},
        {"offset": "1", "rows": 2},
        {"made_up": 1},
    ],
)
def test_a_cursor_that_was_never_written_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(FatalError, match="not a place in a report's days"):
        Place.parse({**GOOD, **other})
