"""The engine's side of a read, in memory."""

from __future__ import annotations

from datetime import timedelta

from leaderjobs.errors import QuotaExhausted
from leaderjobs.model.job import Window
from leaderjobs.model.quota import Quota


class Clock:
    """A deadline clock that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """The seconds, as `leaderjobs.clock.elapsed` gives them."""
        return self.seconds


class Context:
    """A ReadContext that records waits instead of spending them, and stops the work on request."""

    def __init__(
        self, clock: Clock | None = None, *, window: Window | None = None, used: dict[str, int] | None = None
    ) -> None:
        """`used` is how much of each quota has been used, by its name; shared where contexts share it."""
        self.clock = clock or Clock()
        self.window = window
        self.used = {} if used is None else used
        self.waits: list[timedelta] = []
        self.checks = 0
        self.lines: list[str] = []
        self.stop_with: Exception | None = None
        """What `check` and `wait` raise from now on."""

    def check(self) -> None:
        """Count, and stop where told."""
        self.checks += 1
        if self.stop_with is not None:
            raise self.stop_with

    def wait(self, delay: timedelta) -> None:
        """Note the delay and move the clock by it."""
        if self.stop_with is not None:
            raise self.stop_with
        self.waits.append(delay)
        self.clock.seconds += delay.total_seconds()

    def spend(self, quota: Quota, units: int) -> None:
        """Count, or raise QuotaExhausted as the engine does."""
        used = self.used.get(quota.name, 0)
        if used + units > quota.limit:
            raise QuotaExhausted(
                f"quota {quota.name}: {used} of {quota.limit} are used, {units} more are needed",
                until=quota.resets_at,
            )
        self.used[quota.name] = used + units

    def observe(self, quota: Quota, used: int) -> None:
        """Never lowers a count."""
        self.used[quota.name] = max(self.used.get(quota.name, 0), used)

    def log(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)
