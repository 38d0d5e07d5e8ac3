"""Spacing requests so that a provider's limit is never reached from this side.

A request takes its turn from up to three buckets at once: its endpoint's, its connection's and its
provider's (all connections of one connector). All of them give, or none does: taken one after another, a
turn of the first would grow old while the second is waited for, and requests that piled up so would leave
in one burst.

A provider that says when to ask again is believed for the whole connection: nothing of it is sent before
then, by whichever attempt. What must wait for long ends its attempt instead, so that no thread sits there
for hours.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from leaderjobs import clock
from leaderjobs.errors import RateLimited
from leaderjobs.values import Rate

BURST_SHARE = 5
"""One in so many of a rate's requests may go out back to back; the rest are spread over the period."""
RATE_LIMITED = "rate_limited"
"""Code of a connection that its provider told to wait."""
LONGEST_HELD = timedelta(seconds=30)
"""A running attempt waits for so long; where the provider asks for more, the attempt ends."""
UNTOLD = timedelta(seconds=1)
"""How long a connection sends nothing after a refusal that does not say."""
MOST_HELD = timedelta(hours=24)
_YIELD = 0.002
_NOTHING = 1e-6
"""Seconds; shorter than what a timedelta can hold."""


class Waiter(Protocol):
    """What a pace needs of the context it waits in."""

    def wait(self, delay: timedelta) -> None:
        """Sleep, or raise when the work must stop."""


class _Bucket:
    """A token bucket that keeps the word of its Rate: at most `count` in ANY span of `per`.

    A bucket that holds `burst` and refills at count/per would let `count + burst` through in the span
    after an idle time. So the burst is taken out of the refill: one token every per/(count - burst + 1).
    A new process starts with a full bucket, and the provider's 429 covers the one span in which two
    processes' requests add up.
    """

    def __init__(self, rate: Rate, now: float, *, full: bool = True) -> None:
        burst = max(1, rate.count // BURST_SHARE)
        self.rate = rate
        self.interval = rate.per.total_seconds() / (rate.count - burst + 1)
        self._tolerance = self.interval * (burst - 1)
        self._full_at = now if full else now + self._tolerance

    def delay(self, now: float) -> float:
        """Seconds until it has a token; not above 0 when it has one."""
        return self._full_at - self._tolerance - now

    def take(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + self.interval


@dataclass(slots=True)
class _Shared:
    """What all requests of one connection have in common."""

    provider: str = ""
    bucket: _Bucket | None = None
    not_before: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Waiting:
    buckets: Sequence[_Bucket]
    slowest: _Bucket | None
    """The one it waits for; None: for its provider's time."""
    wakes_at: float


class Pace:
    """The turns of one connection's requests. Any thread."""

    def __init__(self, paces: Paces, connection: str, endpoint: str | None) -> None:
        """Made by `Paces`."""
        self._paces = paces
        self._connection = connection
        self._endpoint = endpoint

    def take(self, waiter: Waiter) -> None:
        """Return when the next request may be sent; what `wait` raises passes through, no token spent.

        RateLimited where the provider asked for longer than LONGEST_HELD.
        """
        self._paces.take(self._connection, self._endpoint, waiter)

    def hold(self, delay: timedelta | None) -> None:
        """The provider wants nothing of this connection for `delay`; None: it did not say for how long."""
        self._paces.hold(self._connection, delay)


class _Free(Pace):
    """Of a connector that no registry made: nothing is known of its limits."""

    def __init__(self) -> None:
        super().__init__(Paces(), "", None)

    def take(self, waiter: Waiter) -> None:
        del waiter

    def hold(self, delay: timedelta | None) -> None:
        del delay


class Paces:
    """The paces of one process, by connection and endpoint. Any thread.

    They outlive the connectors, which are made anew for every attempt: so the rates hold across jobs, and
    over all attempts that run side by side.
    """

    def __init__(self, *, elapsed: Callable[[], float] = clock.elapsed) -> None:
        """`elapsed` is the deadline clock in seconds."""
        self._lock = threading.Lock()
        self._elapsed = elapsed
        self._endpoints: dict[tuple[str, str], _Bucket] = {}
        self._connections: dict[str, _Shared] = {}
        self._providers: dict[str, _Bucket | None] = {}
        self._tickets = itertools.count()
        self._waiting: dict[int, _Waiting] = {}

    def of(self, connection: str, endpoint: str, rate: Rate) -> Pace:
        """The pace of an endpoint, within the connection's and the provider's limits."""
        with self._lock:
            bucket = self._renewed(self._endpoints.get((connection, endpoint)), rate)
            if bucket is not None:
                self._endpoints[connection, endpoint] = bucket
        return Pace(self, connection, endpoint)

    def of_connection(self, connection: str) -> Pace:
        """The pace of requests that have no rate of their own."""
        return Pace(self, connection, None)

    def limit(
        self, connection: str, provider: str, connection_rate: Rate | None, provider_rate: Rate | None
    ) -> None:
        """Set what was configured for a connection and for its provider; None: no limit.

        Takes effect at the next request, also of attempts that run already.
        """
        with self._lock:
            shared = self._connections.setdefault(connection, _Shared())
            shared.provider = provider
            shared.bucket = self._renewed(shared.bucket, connection_rate)
            self._providers[provider] = self._renewed(self._providers.get(provider), provider_rate)

    def hold(self, connection: str, delay: timedelta | None) -> None:
        """As `Pace.hold`; a later instant than this one stands."""
        seconds = min(UNTOLD if delay is None else delay, MOST_HELD).total_seconds()
        with self._lock:
            shared = self._connections.setdefault(connection, _Shared())
            shared.not_before = max(shared.not_before, self._elapsed() + seconds)

    def take(self, connection: str, endpoint: str | None, waiter: Waiter) -> None:
        """As `Pace.take`; who came first goes first."""
        ticket = next(self._tickets)
        waited_until = float("-inf")
        try:
            while True:
                with self._lock:
                    # Whoever waits in another clock than ours, as tests do, is believed to have waited.
                    now = max(self._elapsed(), waited_until)
                    seconds = self._turn(ticket, connection, endpoint, now)
                if seconds <= _NOTHING:
                    return
                waiter.wait(timedelta(seconds=seconds))
                waited_until = now + seconds
        finally:
            with self._lock:
                self._waiting.pop(ticket, None)

    def _turn(self, ticket: int, connection: str, endpoint: str | None, now: float) -> float:
        """Take from all buckets, or the seconds until that may be possible; under the lock."""
        shared = self._connections.setdefault(connection, _Shared())
        held = shared.not_before - now
        if held > LONGEST_HELD.total_seconds():
            raise RateLimited(
                f"the provider of {connection} wants no requests for {held:.0f} s more",
                code=RATE_LIMITED,
                retry_after=timedelta(seconds=held),
            )
        all_three = (
            self._endpoints.get((connection, endpoint)) if endpoint is not None else None,
            shared.bucket,
            self._providers.get(shared.provider),
        )
        buckets = [bucket for bucket in all_three if bucket is not None]
        slowest = max(buckets, key=lambda bucket: bucket.delay(now), default=None)
        seconds = max(held, slowest.delay(now) if slowest else 0.0)
        if seconds <= _NOTHING and self._is_another_s(ticket, buckets, now):
            seconds, slowest = _YIELD, None
        elif seconds <= _NOTHING:
            for bucket in buckets:
                bucket.take(now)
            return 0.0
        elif slowest is not None and slowest.delay(now) < seconds:
            slowest = None
        if slowest is not None:
            # Half of those ahead: so each wakes a few times in all, not for every turn of another, and hardly
            # too late where some of them leave.
            ahead = sum(
                number < ticket and other.slowest is slowest for number, other in self._waiting.items()
            )
            seconds += slowest.interval * (ahead // 2)
        self._waiting[ticket] = _Waiting(buckets, slowest, now + seconds)
        return seconds

    def _is_another_s(self, ticket: int, buckets: Sequence[_Bucket], now: float) -> bool:
        """Whether somebody who came earlier is awake and about to take what we would."""
        ours = {id(bucket) for bucket in buckets}
        return any(
            number < ticket and other.wakes_at <= now and any(id(bucket) in ours for bucket in other.buckets)
            for number, other in self._waiting.items()
        )

    def _renewed(self, known: _Bucket | None, rate: Rate | None) -> _Bucket | None:
        """The same bucket where the rate is the same; under the lock."""
        if rate is None or (known is not None and known.rate == rate):
            return known if rate is not None else None
        # After a change without a burst: what was sent before it is not known to the new one.
        return _Bucket(rate, self._elapsed(), full=known is None)


FREE: Pace = _Free()
