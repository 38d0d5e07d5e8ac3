"""What an answer that is no success means for a read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import (
    ConnectorError,
    FatalError,
    Forbidden,
    RateLimited,
    TransientError,
    Unauthenticated,
)

MOST_WAIT = timedelta(days=1)
_RESETS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
_PASSING = frozenset({408, 425})
_FIRST_EPOCH = 1_000_000_000
"""A reset above it is an instant, in seconds; below, a number of seconds to wait."""
_FIRST_EPOCH_MS = 1_000_000_000_000


def refusal(where: str, answer: Answer, *, retryable: Collection[int] = ()) -> ConnectorError:
    """The error to raise; `where` is a path without its query. The API's own words are not repeated."""
    status = answer.status
    message, code = f"{where} answered {status}", f"http_{status}"
    if status == 429 or (status == 403 and _used_up(answer)):
        return RateLimited(f"{message}: too many requests", code=code, retry_after=reset_of(answer))
    if status >= 500 or status in _PASSING or status in retryable:
        return TransientError(message, code=code, retry_after=answer.retry_after)
    if status == 401:
        return Unauthenticated(
            f"{message}: the credentials are not accepted; check auth and headers", code=code
        )
    if status == 403:
        return Forbidden(f"{message}: the credentials may not read this", code=code)
    return FatalError(f"{message}; check base_url, path, parameters and headers", code=code)


def reset_of(answer: Answer) -> timedelta | None:
    """How long to wait: Retry-After, else the common headers that tell when the limit is renewed."""
    if answer.retry_after is not None:
        return answer.retry_after
    for name in _RESETS:
        text = answer.headers.get(name, "").strip().partition(".")[0]
        if text.isascii() and text.isdigit() and len(text) < 16:
            return min(max(_until(int(text)), timedelta(0)), MOST_WAIT)
    return None


def _until(number: int) -> timedelta:
    now = clock.now().timestamp()
    if number >= _FIRST_EPOCH_MS:
        return timedelta(seconds=number / 1000 - now)
    if number >= _FIRST_EPOCH:
        return timedelta(seconds=number - now)
    return timedelta(seconds=number)


def _used_up(answer: Answer) -> bool:
    """Whether a 403 is about the limit, as GitHub's is."""
    if answer.retry_after is not None:
        return True
    return any(answer.headers.get(name, "").strip() == "0" for name in _REMAINING)
