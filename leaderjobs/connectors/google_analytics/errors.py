"""What the Data API's refusals mean to us, and what is left of its quotas.

A refused quota is told by a sentence only, so the sentence decides how long to wait; one that is not listed
waits a while and is tried again. Limits are those of Google's PropertyQuota page; a property that has more
left than a standard one can have is one of Analytics 360.

Only ten server errors an hour are allowed to a project, then the property is locked for the rest of the hour.
Each one is counted durably, over all attempts and members, before anything is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.google.days import california_day, midnight_after
from leaderjobs.connectors.google.errors import GoogleError, error_in
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
from leaderjobs.model.quota import Quota

SERVER_ERROR = "server_error"
"""Code of a TransientError: the API itself failed, which counts against the server errors of the hour."""
SERVER_ERROR_PAUSE = timedelta(minutes=1)
"""Between the two tries that a request gets."""
SERVER_ERROR_DELAY = timedelta(minutes=15)
"""Before the job is tried again after the second."""
CONCURRENCY_DELAY = timedelta(seconds=30)
LOCKED_DELAY = timedelta(hours=1)
RATE_DELAY = timedelta(minutes=5)


class QuotaStatus(msgspec.Struct):
    """What one request took of a quota, and what it left."""

    consumed: int = 0
    remaining: int = 0


class PropertyQuota(msgspec.Struct, rename="camel"):
    """As `returnPropertyQuota` brings it; what is missing is not known."""

    tokens_per_day: QuotaStatus | None = None
    tokens_per_hour: QuotaStatus | None = None
    tokens_per_project_per_hour: QuotaStatus | None = None
    server_errors_per_project_per_hour: QuotaStatus | None = None
    potentially_thresholded_requests_per_hour: QuotaStatus | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    standard: int
    larger: int
    """Of a property of Analytics 360."""
    daily: bool = False


_TOKENS_PER_DAY = _Kind("tokens/day", 200_000, 2_000_000, daily=True)
_TOKENS_PER_HOUR = _Kind("tokens/hour", 40_000, 400_000)
_PROJECT_TOKENS = _Kind("project_tokens/hour", 14_000, 140_000)
_THRESHOLDED = _Kind("thresholded_requests/hour", 120, 120)
_SERVER_ERRORS = _Kind("server_errors/hour", 10, 50)


class Quotas:
    """The quotas of one property, as of the last answer that told of them."""

    def __init__(self, property_id: str, reserve: int) -> None:
        """`reserve` is the share, in percent, that is left to everyone else who uses the property."""
        self._property = property_id
        self._reserve = reserve
        self._spent: Quota | None = None
        self._told: dict[str, int] = {}

    def observe(self, told: PropertyQuota | None, context: ReadContext) -> None:
        """Note what an answer says, for people who look at quotas and for `guard`."""
        if told is None:
            return
        found = [(kind, status) for kind, status in _statuses(told) if status is not None]
        larger = any(status.remaining + status.consumed > kind.standard for kind, status in found)
        self._spent = None
        for kind, status in found:
            limit = kind.larger if larger else kind.standard
            quota = self._quota(kind, limit)
            used = max(limit - status.remaining, 0)
            # A transaction each, so those that have not changed are not told again.
            if self._told.get(quota.name) != used:
                self._told[quota.name] = used
                context.observe(quota, used)
            # Another like the last one must not reach into the reserve.
            if self._spent is None and status.remaining - status.consumed < limit * self._reserve // 100:
                self._spent = quota

    def guard(self) -> None:
        """QuotaExhausted before a request that would reach into the reserve."""
        if self._spent is not None and self._spent.resets_at > clock.now():
            raise QuotaExhausted(
                f"{self._spent.name}: only the reserve of {self._reserve} % is left; "
                f"going on at {self._spent.resets_at:%Y-%m-%dT%H:%MZ}",
                until=self._spent.resets_at,
            )

    def count_server_error(self, context: ReadContext) -> None:
        """QuotaExhausted once the server errors of this hour are used up, but for the reserve."""
        limit = _SERVER_ERRORS.standard
        # One less: where there is room for this one, another try may bring the next.
        allowed = limit - limit * self._reserve // 100 - 1
        context.spend(self._quota(_SERVER_ERRORS, max(allowed, 0)), 1)

    def _quota(self, kind: _Kind, limit: int) -> Quota:
        name = f"google_analytics:{self._property}:{kind.name}"
        return Quota(name, limit, next_midnight() if kind.daily else next_hour())


def next_hour() -> datetime:
    """The next full hour."""
    return clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def next_midnight() -> datetime:
    """The next midnight in California, where daily quotas are renewed."""
    return midnight_after(california_day(clock.now()))


def refusal(what: str, answer: Answer) -> ConnectorError:
    """The error that an answer with a status other than 200 stands for, to be raised by the caller."""
    said = error_in(answer)
    told = f"Google Analytics refused {what}: {said.message or 'no message'} (HTTP {answer.status}"
    told += f", {said.code})" if said.code else ")"
    match answer.status:
        case 401:
            return Unauthenticated(f"{told}; check the credentials and base_url", code=said.code)
        case 403:
            return Forbidden(
                f"{told}; give this account the role Viewer at the property, enable the Analytics Data API "
                "in its project, and check property",
                code=said.code,
            )
        case 429:
            return _limited(told, said, answer)
        case 408:
            return TransientError(f"{told}; trying again later", code=said.code)
        case status if status >= 500:
            delay = max(answer.retry_after or SERVER_ERROR_DELAY, SERVER_ERROR_DELAY)
            return TransientError(f"{told}; trying again later", code=SERVER_ERROR, retry_after=delay)
        case _:
            return FatalError(f"{told}; check the report's settings and property", code=said.code)


def _limited(told: str, said: GoogleError, answer: Answer) -> ConnectorError:
    words = said.message.lower()
    delay: timedelta | None = None
    if "concurrent" in words:
        delay = CONCURRENCY_DELAY
    elif "server error" in words:
        delay = LOCKED_DELAY
    elif "per day" in words or "daily" in words:
        return QuotaExhausted(f"{told}; waiting for the next day", until=next_midnight(), code=said.code)
    elif "hour" in words or "threshold" in words:
        return QuotaExhausted(f"{told}; waiting for the next hour", until=next_hour(), code=said.code)
    return RateLimited(
        f"{told}; waiting", code=said.code, retry_after=answer.retry_after or delay or RATE_DELAY
    )


def _statuses(told: PropertyQuota) -> list[tuple[_Kind, QuotaStatus | None]]:
    return [
        (_TOKENS_PER_DAY, told.tokens_per_day),
        (_TOKENS_PER_HOUR, told.tokens_per_hour),
        (_PROJECT_TOKENS, told.tokens_per_project_per_hour),
        (_THRESHOLDED, told.potentially_thresholded_requests_per_hour),
        (_SERVER_ERRORS, told.server_errors_per_project_per_hour),
    ]
