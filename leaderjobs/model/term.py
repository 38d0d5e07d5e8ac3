"""One period of leading, and how long its owner may believe in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from leaderjobs.errors import LeadershipLost

# Of the granted session timeout, counted from the instant BEFORE the last acknowledged heartbeat was
# sent: nothing new starts after the first share, and the term is over at the second. The server cannot
# expire the session before the whole timeout has passed since it received that heartbeat, so the last
# third is the margin for a tick, a heartbeat period and a round trip (election.md §3a).
START_SHARE = 1 / 2
TRUST_SHARE = 2 / 3
LONGEST_BEAT = 1.0
"""Seconds between two heartbeats, at most; at short session timeouts a tenth of the timeout."""
DEADLINE_PASSED = "its deadline passed without an acknowledged heartbeat"


@dataclass(eq=False, slots=True)
class Term:
    """What a leader hands to the work it starts: who leads, under which number, until when.

    `number` is the fence's own count (rises by one with every term of a partition, whatever the
    coordinator); `token` is the coordinator's fencing token, kept for people. Only the elector's thread
    moves the deadline; any thread may read it. A term that is over stays over.
    """

    cluster: str
    partition: int
    number: int
    """0 between the claim and the raise of the fence; set once, before anything may run under the term."""
    token: int
    origin: str
    member: str
    began_at: datetime
    session_timeout: timedelta
    elapsed: Callable[[], float]
    """The deadline clock (`clock.elapsed`, or a test's)."""
    sent_at: float
    """The deadline clock's seconds just before the last acknowledged heartbeat was sent."""
    paused: bool = False
    """The connection to the coordinator is in doubt: start nothing, but do not give up yet."""
    reason: str = ""
    """Why the term ended; empty while it has not."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def trusted_until(self) -> float:
        """The deadline clock's seconds at which this term ends unless a heartbeat is acknowledged."""
        return self.sent_at + self.session_timeout.total_seconds() * TRUST_SHARE

    @property
    def beat_every(self) -> float:
        """Seconds between two heartbeats."""
        return min(LONGEST_BEAT, self.session_timeout.total_seconds() / 10)

    def extend(self, sent_at: float) -> None:
        """Count trust from a newer acknowledged heartbeat; an over or older one changes nothing."""
        if not self.is_over() and sent_at > self.sent_at:
            self.sent_at = sent_at

    def is_over(self) -> bool:
        """Whether the term has ended, by event or by its own deadline (checked at every call)."""
        return self.over.is_set() or self.elapsed() >= self.trusted_until

    def may_start(self) -> bool:
        """Whether new work may begin: not over, not in doubt, and early enough in the trusted time."""
        soft = self.sent_at + self.session_timeout.total_seconds() * START_SHARE
        return not self.over.is_set() and not self.paused and self.elapsed() < soft

    def check(self) -> None:
        """Raise LeadershipLost when over; called right before every external call and every commit."""
        if self.is_over():
            raise LeadershipLost(f"term {self.number} is over: {self.reason or DEADLINE_PASSED}")

    def end(self, reason: str) -> None:
        """End the term for good; the first reason given is the one that is kept."""
        if not self.over.is_set():
            self.reason = self.reason or reason
            self.over.set()
