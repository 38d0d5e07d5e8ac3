"""A job in the hands of one term, and the means to stop it."""

from __future__ import annotations

import threading
from datetime import timedelta
from enum import StrEnum

from leaderjobs.connectors.base import Connector
from leaderjobs.errors import Interrupted
from leaderjobs.model.job import Job
from leaderjobs.model.term import Term


class Stop(StrEnum):
    """Why an attempt was asked to stop; the first reason stands."""

    DRAIN = "drain"
    """The member stops: the attempt is given back, unspent."""
    CANCEL = "cancel"
    """A person cancelled the job."""
    TIME_LIMIT = "time_limit"
    """The attempt took longer than its job allows."""


class Attempt:
    """What the dispatcher stops and the runner runs."""

    def __init__(self, term: Term, job: Job) -> None:
        """Nothing runs yet."""
        self.term = term
        self.job = job
        self.stopped: Stop | None = None
        """Why it was asked to stop; None while it was not."""
        self._waited: threading.Event | None = None
        """Made at the first wait: most attempts wait for nothing, and there are 25,000 a second."""
        self._lock = threading.Lock()
        self._connector: Connector | None = None

    def check(self) -> None:
        """Raise LeadershipLost when the term is over, Interrupted when the attempt was asked to stop."""
        self.term.check()
        if self.stopped is not None:
            raise Interrupted(f"job {self.job.id} was asked to stop between two pages")

    def wait(self, delay: timedelta) -> None:
        """Wait unless stopped; a term that ends stops all of its attempts, so no second event is needed."""
        with self._lock:
            if self._waited is None:
                self._waited = threading.Event()
            if self.stopped is not None:
                self._waited.set()
        self._waited.wait(max(0.0, delay.total_seconds()))
        self.check()

    def stop(self, why: Stop = Stop.DRAIN) -> None:
        """End at the next safe point; any thread.

        A wait ends and a request that is out is cut off, for a page can be asked for again; a page that is
        being committed is not disturbed.
        """
        with self._lock:
            self.stopped = self.stopped or why
            if self._waited is not None:
                self._waited.set()
            if self._connector is not None:
                self._connector.close()

    def holds(self, connector: Connector | None) -> None:
        """Name the connector that `stop` closes."""
        with self._lock:
            self._connector = connector
