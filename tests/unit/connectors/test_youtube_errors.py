"""What an error answer of YouTube's means, by the reasons in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.youtube.errors import NOTHING_THERE, STALE_TOKEN, refusal
from leaderjobs.errors import (
    ConnectorError,
    FatalError,
    Forbidden,
    QuotaExhausted,
    RateLimited,
    TransientError,
    Unauthenticated,
)

RENEWED = datetime(2026, 11, 26, 8, tzinfo=UTC)


def said(
    status: int, *reasons: str, detail: str = "", retry_after: timedelta | None = None
) -> ConnectorError:
    error: dict[str, object] = {
        "code": status,
        "message": "AIza-a-secret was sent",
        "errors": [{"message": "prose", "domain": "youtube.quota", "reason": reason} for reason in reasons],
    }
    if detail:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail}]
    body = json.dumps({"error": error}).encode()
    return refusal("/youtube/v3/videos", Answer(status, body, retry_after), RENEWED)


@pytest.mark.parametrize(
    ("status", "reason", "detail", "kind", "code"),
    [
        (403, "quotaExceeded", "", QuotaExhausted, "quotaExceeded"),
        (403, "dailyLimitExceeded", "", QuotaExhausted, "dailyLimitExceeded"),
        (403, "forbidden", "", Forbidden, "forbidden"),
        (403, "accessNotConfigured", "SERVICE_DISABLED", Forbidden, "accessNotConfigured"),
        (403, "", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Forbidden, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        (403, "userRateLimitExceeded", "", RateLimited, "userRateLimitExceeded"),
        (403, "rateLimitExceeded", "", RateLimited, "rateLimitExceeded"),
        (403, "commentsDisabled", "", FatalError, "commentsDisabled"),
        (403, "playlistItemsNotAccessible", "", Forbidden, "playlistItemsNotAccessible"),
        (400, "badRequest", "API_KEY_INVALID", Unauthenticated, "API_KEY_INVALID"),
        (400, "keyInvalid", "", Unauthenticated, "keyInvalid"),
        (400, "invalidPageToken", "", TransientError, STALE_TOKEN),
        (400, "processingFailure", "", TransientError, "processingFailure"),
        (400, "badRequest", "", FatalError, "badRequest"),
        (401, "authError", "", Unauthenticated, "authError"),
        (401, "youtubeSignupRequired", "", Forbidden, "youtubeSignupRequired"),
        (404, "playlistNotFound", "", FatalError, "playlistNotFound"),
        (404, "videoNotFound", "", FatalError, "videoNotFound"),
        (429, "", "RATE_LIMIT_EXCEEDED", RateLimited, "RATE_LIMIT_EXCEEDED"),
        (429, "", "", RateLimited, ""),
        (503, "", "", TransientError, ""),
    ],
)
def test_the_reason_decides_and_the_status_where_there_is_none_that_is_known(
    status: int, reason: str, detail: str, kind: type[ConnectorError], code: str
) -> None:
    error = said(status, *filter(None, [reason]), detail=detail)
    assert type(error) is kind
    assert error.code == code
    assert (error.code in NOTHING_THERE) is (
        reason in {"commentsDisabled", "playlistNotFound", "videoNotFound"}
    )


def test_a_quota_says_until_when_and_a_limit_how_long() -> None:
    quota = said(403, "quotaExceeded")
    assert isinstance(quota, QuotaExhausted)
    assert quota.until == RENEWED
    limit = said(429, "rateLimitExceeded", retry_after=timedelta(seconds=9))
    assert isinstance(limit, RateLimited)
    assert limit.retry_after == timedelta(seconds=9)


def test_googles_prose_is_not_repeated() -> None:
    assert "AIza" not in str(said(400, "badRequest"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"text"}', b'{"error":{"errors":[1,{}]}}'])
def test_an_error_of_no_shape_goes_by_its_status(body: bytes) -> None:
    assert type(refusal("/v2/reports", Answer(502, body), RENEWED)) is TransientError
    assert type(refusal("/v2/reports", Answer(403, body), RENEWED)) is Forbidden
