"""The quotas of one Analytics property, and what it says when one is used up."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from leaderjobs.sandbox.google.answers import GoogleRefusal
from leaderjobs.sandbox.settable_clock import SettableClock

TOKENS_PER_REQUEST = 10
_SERVER_ERRORS = "serverErrorsPerProjectPerHour"
_DAILY = "tokensPerDay"
_SENTENCES = {
    _DAILY: "Exhausted property tokens per day. These quota tokens will return after midnight.",
    "tokensPerHour": "Exhausted property tokens per hour. These quota tokens will return in under an hour.",
    "tokensPerProjectPerHour": "Exhausted property tokens for a project per hour. "
    "These quota tokens will return in under an hour.",
    _SERVER_ERRORS: "Exhausted server errors for a project per hour.",
}


class PropertyQuotas:
    """Counted by the sandbox's clock: days in California, full hours."""

    def __init__(self, clock: SettableClock) -> None:
        """A standard property's; `limits` may be changed."""
        self._clock = clock
        self._used = Counter[tuple[str, str]]()
        self.limits = {
            _DAILY: 200_000,
            "tokensPerHour": 40_000,
            "tokensPerProjectPerHour": 14_000,
            _SERVER_ERRORS: 10,
        }

    def take(self) -> dict[str, dict[str, int]]:
        """Pay for one request, and what is left then; GoogleRefusal where a quota is used up."""
        for name in self.limits:
            if self.remaining(name) <= 0:
                raise GoogleRefusal(429, "RESOURCE_EXHAUSTED", _SENTENCES[name])
        told = {}
        for name in self.limits:
            cost = 0 if name == _SERVER_ERRORS else TOKENS_PER_REQUEST
            self._used[name, self._period(name)] += cost
            told[name] = {"consumed": cost, "remaining": max(self.remaining(name), 0)}
        told["concurrentRequests"] = {"consumed": 0, "remaining": 10}
        told["potentiallyThresholdedRequestsPerHour"] = {"consumed": 0, "remaining": 120}
        return told

    def fail(self) -> None:
        """Count a server error."""
        self._used[_SERVER_ERRORS, self._period(_SERVER_ERRORS)] += 1

    def remaining(self, name: str) -> int:
        """What is left of one."""
        return self.limits[name] - self._used[name, self._period(name)]

    def _period(self, name: str) -> str:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        if name == _DAILY:
            return f"{now.astimezone(ZoneInfo('America/Los_Angeles')):%Y-%m-%d}"
        return f"{now:%Y-%m-%dT%H}"
