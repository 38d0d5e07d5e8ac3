"""What the error answers of YouTube's two APIs mean to us.

403 stands for a quota that is used up, for a permission that is missing and for comments that are switched
off: only the reasons in the body tell them apart. Google's prose is not repeated: it may change, and it may
quote what was sent. Reasons: https://developers.google.com/youtube/v3/docs/errors
"""

from __future__ import annotations

from datetime import datetime

from leaderjobs.connectors.google.errors import error_in
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

STALE_TOKEN = "invalidPageToken"  # noqa: S105 - the reason for a page token that leads nowhere any more
NOTHING_THERE = frozenset({"commentsDisabled", "playlistNotFound", "videoNotFound", "channelNotFound"})
"""Codes of errors that are about one listing: it holds nothing, and the others go on."""

_KIND_OF_REASON: dict[str, type[ConnectorError]] = {
    STALE_TOKEN: TransientError,
    "quotaExceeded": QuotaExhausted,
    "dailyLimitExceeded": QuotaExhausted,
    "rateLimitExceeded": RateLimited,
    "userRateLimitExceeded": RateLimited,
    "RATE_LIMIT_EXCEEDED": RateLimited,
    "backendError": TransientError,
    "internalError": TransientError,
    # 400, and YouTube's word for comments that it could not get at just now.
    "processingFailure": TransientError,
    "keyInvalid": Unauthenticated,
    "keyExpired": Unauthenticated,
    "API_KEY_INVALID": Unauthenticated,
    "API_KEY_EXPIRED": Unauthenticated,
    "authError": Unauthenticated,
    "ACCESS_TOKEN_EXPIRED": Unauthenticated,
    "accessNotConfigured": Forbidden,
    "SERVICE_DISABLED": Forbidden,
    "API_KEY_SERVICE_BLOCKED": Forbidden,
    "ipRefererBlocked": Forbidden,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": Forbidden,
    "insufficientPermissions": Forbidden,
    # 401, though the token is good: the Google account has no channel.
    "youtubeSignupRequired": Forbidden,
    "forbidden": Forbidden,
}
_KIND_OF_STATUS: dict[int, type[ConnectorError]] = {
    401: Unauthenticated,
    403: Forbidden,
    408: TransientError,
    429: RateLimited,
}
_FIRST_SERVER_ERROR = 500
_REMEDY: dict[type[ConnectorError], str] = {
    RateLimited: "waiting before the next request",
    TransientError: "trying again later",
    Unauthenticated: "check api_key, or client_id, client_secret and refresh_token",
    Forbidden: "enable the API in Google's console, and grant the key or the account access to it",
    FatalError: "check channels and reports",
}


def refusal(path: str, answer: Answer, renewed_at: datetime) -> ConnectorError:
    """The error that an answer with a status other than 2xx stands for; `renewed_at`: when quotas are."""
    said = error_in(answer)
    kind, code = _kind(said.reasons, answer.status)
    told = f"YouTube refused {path}: {code or said.code or 'no reason given'} (HTTP {answer.status})"
    if kind is QuotaExhausted:
        words = f"{told}; the day's quota of Google's project is used up until {renewed_at.isoformat()}"
        return QuotaExhausted(words, until=renewed_at, code=code)
    message = f"{told}; {_REMEDY[kind]}"
    if issubclass(kind, TransientError):
        return kind(message, code=code or said.code, retry_after=answer.retry_after)
    return kind(message, code=code or said.code)


def _kind(reasons: tuple[str, ...], status: int) -> tuple[type[ConnectorError], str]:
    """By the first reason that is known, which is then the code; else by the status."""
    for reason in reasons:
        if reason in NOTHING_THERE:
            return FatalError, reason
        if reason in _KIND_OF_REASON:
            return _KIND_OF_REASON[reason], reason
    passing = TransientError if status >= _FIRST_SERVER_ERROR else FatalError
    return _KIND_OF_STATUS.get(status, passing), ""
