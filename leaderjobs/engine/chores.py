"""What keeps the queue in order while others work through it: looks for what no signal told, prunes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.engine.ahead import MOST_STRANDS
from leaderjobs.errors import LeadershipLost, StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import JobState
from leaderjobs.model.term import Term
from leaderjobs.store.jobs import Jobs
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.queue import Found, Queue

RESCAN_SHARE = 0.05
"""The part of the time that rescans may take: where dead entries make one slow, they come more seldom."""
LEAST_BETWEEN_RESCANS = 1.0
MOST_BETWEEN_RESCANS = 30.0
"""Seconds between two rescans that nobody asked for."""
FIRST_PRUNE_AFTER = 3.0
"""A take-over has more urgent things to do."""
PRUNE_EVERY = 60.0
"""Seconds between two walks through the table."""
BITE_EVERY = 1.0
BITE = 5_000
"""Jobs that are looked at in one transaction, so that no clean-up holds locks for long."""
TROUBLE_PAUSE = 1.0


class Chores:
    """An `engine.leader.Beside`."""

    name = "chores"

    def __init__(
        self,
        *,
        term: Term,
        connections: TermConnections,
        queue: Queue,
        jobs: Jobs,
        retention: Callable[[], Mapping[JobState, timedelta]],
        found: Callable[[Sequence[Found]], None],
        emit: Emit,
    ) -> None:
        """`found` is told of what a rescan has found, on the thread that runs; `retention` by state."""
        self._term = term
        self._connections = connections
        self._queue = queue
        self._jobs = jobs
        self._retention = retention
        self._found = found
        self._emit = emit
        self._stopped = False
        self._asked = False
        self._wake = threading.Event()
        self._rescan_at = self._soonest = clock.elapsed() + LEAST_BETWEEN_RESCANS
        self._prune_at = clock.elapsed() + FIRST_PRUNE_AFTER
        self._pruned_up_to = 0

    def ask(self) -> None:
        """Rescan soon: anything may have changed; any thread."""
        self._asked = True
        self._wake.set()

    def run(self) -> None:
        """As `Beside.run`."""
        while not self._stopped and not self._term.is_over():
            try:
                self._rescan()
                self._prune()
            except LeadershipLost:
                return
            except StoreError as error:
                self._emit(Event(EventKind.SERVICE_FAILED, {"service": self.name, "error": str(error)}))
                self._rescan_at = self._soonest = clock.elapsed() + TROUBLE_PAUSE
                self._prune_at = max(self._prune_at, self._rescan_at)
            self._wake.clear()
            rescan_at = self._soonest if self._asked else self._rescan_at
            if not self._stopped:
                self._wake.wait(max(0.0, min(rescan_at, self._prune_at) - clock.elapsed()))

    def stop(self) -> None:
        """As `Beside.stop`."""
        self._stopped = True
        self._wake.set()

    def _rescan(self) -> None:
        began = clock.elapsed()
        if began < (self._soonest if self._asked else self._rescan_at):
            return
        self._asked = False
        self._found(self._queue.strands(MOST_STRANDS))
        now = clock.elapsed()
        pause = (now - began) * (1 / RESCAN_SHARE - 1)
        self._soonest = now + min(pause, MOST_BETWEEN_RESCANS)
        self._rescan_at = now + min(max(pause, LEAST_BETWEEN_RESCANS), MOST_BETWEEN_RESCANS)

    def _prune(self) -> None:
        if clock.elapsed() < self._prune_at:
            return
        after = self._jobs.prune(
            self._connections, self._term, self._retention(), after=self._pruned_up_to, most=BITE
        )
        self._pruned_up_to = after or 0
        self._prune_at = clock.elapsed() + (PRUNE_EVERY if after is None else BITE_EVERY)
