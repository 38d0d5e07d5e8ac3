"""Tells the database which syncs there are, so that it can be asked to enqueue one.

At the beginning of a term, and whenever the configuration changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

from leaderjobs.backoff import Backoff
from leaderjobs.errors import LeadershipLost, StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.sync import Sync
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.syncs import Syncs

OnChange: TypeAlias = Callable[[Callable[[object], None]], Callable[[], None]]
"""Be told of every change of the configuration; what comes back ends that."""
_RETRY = Backoff(first=timedelta(milliseconds=250), most=timedelta(seconds=10))


class Publishing:
    """A `Beside` of one term."""

    name = "publishing"

    def __init__(
        self,
        *,
        term: Term,
        connections: TermConnections,
        syncs: Syncs,
        current: Callable[[], Sequence[Sync]],
        on_change: OnChange,
        emit: Emit,
    ) -> None:
        """Nothing happens before `run`; `current` gives the syncs of the configuration as it is now."""
        self._term = term
        self._connections = connections
        self._syncs = syncs
        self._current = current
        self._on_change = on_change
        self._emit = emit
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Publish until the term is over or `stop` was called; raises nothing."""
        forget = self._on_change(lambda _settings: self._wake.set())
        failures = 0
        try:
            while not self._stopping.is_set() and not self._term.is_over():
                failures = 0 if self._publish() else failures + 1
                self._wake.wait(_RETRY.delay(failures).total_seconds() if failures else None)
                self._wake.clear()
        finally:
            forget()

    def stop(self) -> None:
        """Come back from `run` soon; any thread, more than once."""
        self._stopping.set()
        self._wake.set()

    def _publish(self) -> bool:
        try:
            self._syncs.publish(self._connections, self._term, self._current())
        except LeadershipLost:
            self.stop()
        except StoreError as error:
            facts = {"service": self.name, "error": str(error)}
            self._emit(Event(EventKind.SERVICE_FAILED, facts))
            return False
        return True
