"""What an answer that is no success becomes, and how long the API wants us to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.rest.errors import refusal, reset_of
from leaderjobs.errors import FatalError, Forbidden, RateLimited, TransientError, Unauthenticated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (400, {}, FatalError),
        (401, {}, Unauthenticated),
        (402, {}, FatalError),
        (403, {}, Forbidden),
        (403, {"x-ratelimit-remaining": "0"}, RateLimited),
        (403, {"x-ratelimit-remaining": "10"}, Forbidden),
        (404, {}, FatalError),
        (408, {}, TransientError),
        (409, {}, FatalError),
        (423, {}, TransientError),
        (425, {}, TransientError),
        (429, {}, RateLimited),
        (500, {}, TransientError),
        (503, {}, TransientError),
        (599, {}, TransientError),
    ],
)
def test_each_status(status: int, headers: dict[str, str], kind: type[Exception]) -> None:
    error = refusal("/x", Answer(status, b'{"echo":"hunter2"}', None, headers), retryable=[423])
    assert type(error) is kind
    assert error.code == f"http_{status}"
    assert str(error).startswith(f"/x answered {status}")
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": str(EPOCH + 90)}, 90),
        ({"x-ratelimit-reset": str((EPOCH + 90) * 1000)}, 90),
        ({"x-rate-limit-reset": f"{EPOCH + 5}.25"}, 5),
        ({"x-ratelimit-reset": str(EPOCH - 90)}, 0),
        ({"ratelimit-reset": "999999"}, 86400),
        ({"ratelimit-reset": "soon"}, None),
        ({"ratelimit-reset": "9" * 40}, None),
        ({"ratelimit-reset": "-5"}, None),
        ({"ratelimit-reset": "bad", "x-ratelimit-reset": "7"}, 7),
    ],
)
def test_when_the_limit_is_renewed(headers: dict[str, Any], seconds: int | None) -> None:
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert reset_of(Answer(429, b"", None, headers)) == wanted
    error = refusal("/x", Answer(429, b"", None, headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == wanted
    first = timedelta(seconds=3)
    assert reset_of(Answer(429, b"", first, headers)) == first


def test_retry_after_says_that_a_403_is_about_the_limit() -> None:
    assert type(refusal("/x", Answer(403, b"", timedelta(seconds=60), {}))) is RateLimited
