"""Spacing requests so that a provider's limit is never reached from this side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from leaderjobs import clock
from leaderjobs.values import Rate

BURST_SHARE = 5
"""One in so many of a rate's requests may go out back to back; the rest are spread over the period."""


class Waiter(Protocol):
    """What a pace needs of the context it waits in."""

    def wait(self, delay: timedelta) -> None:
        """Sleep, or raise when the work must stop."""


class Pace:
    """A token bucket that keeps the word of its Rate: at most `count` in ANY span of `per`.

    A bucket that holds `burst` and refills at count/per would let `count + burst` through in the span
    after an idle time. So the burst is taken out of the refill: one token every per/(count - burst + 1).
    Used by one thread; a new process starts with a full bucket, and the provider's 429 covers the
    one span in which two processes' requests add up.
    """

    def __init__(self, rate: Rate, *, elapsed: Callable[[], float] = clock.elapsed) -> None:
        """`elapsed` is the deadline clock in seconds."""
        burst = max(1, rate.count // BURST_SHARE)
        self._interval = rate.per.total_seconds() / (rate.count - burst + 1)
        self._tolerance = self._interval * (burst - 1)
        self._elapsed = elapsed
        self._full_at = elapsed()

    def take(self, waiter: Waiter) -> None:
        """Return when the next request may be sent; what `wait` raises passes through, no token spent."""
        delay = self._full_at - self._tolerance - self._elapsed()
        if delay > 0:
            waiter.wait(timedelta(seconds=delay))
        self._full_at = max(self._full_at, self._elapsed()) + self._interval


class Paces:
    """The paces of one process, by connection and endpoint. Any thread.

    They outlive the connectors, which are made anew for every attempt: so the rate holds across jobs.
    """

    def __init__(self, *, elapsed: Callable[[], float] = clock.elapsed) -> None:
        """`elapsed` is the deadline clock in seconds."""
        self._lock = threading.Lock()
        self._elapsed = elapsed
        self._paces: dict[tuple[str, str], tuple[Rate, Pace]] = {}

    def of(self, connection: str, endpoint: str, rate: Rate) -> Pace:
        """The pace of an endpoint; a new one where the configured rate has changed."""
        with self._lock:
            known = self._paces.get((connection, endpoint))
            if known is None or (known[0].count, known[0].per) != (rate.count, rate.per):
                known = (rate, Pace(rate, elapsed=self._elapsed))
                self._paces[connection, endpoint] = known
            return known[1]
