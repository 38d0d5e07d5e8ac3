"""Claims due jobs for one term and keeps as many attempts running as the settings allow."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.engine.attempt import Attempt
from leaderjobs.errors import FencedOut, LeadershipLost, StoreError, StoreUnavailable
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Job, JobState, Outcome
from leaderjobs.model.term import Term
from leaderjobs.store.jobs import Jobs, Waker
from leaderjobs.store.pool import TermConnections

POLL_EVERY = 1.0
"""Seconds between two looks at the queue when no notification comes (a pooler may swallow them)."""
PAUSED_EVERY = 0.05
"""Seconds between two looks at a term that is paused."""
RETENTION = {
    JobState.COMPLETED: timedelta(days=1),
    JobState.CANCELLED: timedelta(days=1),
    JobState.DISCARDED: timedelta(days=7),
}
"""How long ended jobs are kept (River's ages): a queue that only grows slows every query on it."""
PRUNE_EVERY = 60.0
FIRST_PRUNE_AFTER = 3.0
"""A take-over has more urgent things to do."""
MOST_PRUNED = 1_000
"""Jobs deleted at a time; a full bite is followed by another after the next look at the queue."""
STORE_PATIENCE = 10.0
"""Seconds without Postgres after which a leader resigns: perhaps another member still reaches it."""
_STORE_RETRY = Backoff(first=timedelta(milliseconds=50), most=timedelta(seconds=1))


class Dispatcher:
    """One loop on the term's thread, one thread an attempt; a lane has at most one attempt at a time.

    Syncs of one connection share cursors and rate limits, so two of them at once would only fight. Operations
    are independent of each other and of syncs, up to a few at once per connection.
    """

    def __init__(
        self,
        *,
        term: Term,
        jobs: Jobs,
        connections: TermConnections,
        run: Callable[[Attempt], Outcome],
        waker: Waker,
        concurrency: int,
        emit: Emit,
    ) -> None:
        """Nothing is claimed before `run`."""
        self._term = term
        self._jobs = jobs
        self._connections = connections
        self._run_attempt = run
        self._waker = waker
        self._concurrency = concurrency
        self._emit = emit
        self._changed = threading.Condition()
        self._attempts: dict[int, Attempt] = {}
        self._draining = False
        self._look = True

    def run(self) -> None:
        """Dispatch until drained or the term is over; StoreUnavailable when Postgres stays away too long."""
        listener: threading.Thread | None = None
        unavailable_since: float | None = None
        prune_at = clock.elapsed() + FIRST_PRUNE_AFTER
        failures = 0
        while not self._term.is_over():
            if self._draining:
                if self._drained():
                    return
                continue
            try:
                wait = self._claim()
                if clock.elapsed() >= prune_at:
                    pruned = self._jobs.prune(self._connections, self._term, RETENTION, MOST_PRUNED)
                    prune_at = clock.elapsed() + (POLL_EVERY if pruned == MOST_PRUNED else PRUNE_EVERY)
                unavailable_since, failures = None, 0
                if listener is None:
                    # Only now: connecting it must not compete with the first claim of a take-over.
                    listener = threading.Thread(target=self._listen, name="waker", daemon=True)
                    listener.start()
            except StoreUnavailable as error:
                failures += 1
                unavailable_since = unavailable_since or clock.elapsed()
                if clock.elapsed() - unavailable_since > STORE_PATIENCE:
                    raise
                self._emit(Event(EventKind.STORE_UNAVAILABLE, {"error": str(error)}))
                wait = _STORE_RETRY.delay(failures).total_seconds()
                self._pause(wait, ignore_wakes=True)
                continue
            self._pause(wait)

    def drain(self) -> None:
        """Claim nothing more; every attempt stops between two pages and is given back."""
        with self._changed:
            self._draining = True
            attempts = list(self._attempts.values())
            self._changed.notify_all()
        for attempt in attempts:
            attempt.stop()

    def join(self, seconds: float) -> bool:
        """Wait for the attempts to end; False when some did not."""
        deadline = clock.elapsed() + seconds
        with self._changed:
            while self._attempts:
                left = deadline - clock.elapsed()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    # -- the loop ------------------------------------------------------------------------------------------

    def _claim(self) -> float:
        """Claim what is due and start it; the seconds until there may be more."""
        if not self._term.may_start():
            return PAUSED_EVERY
        with self._changed:
            busy = {attempt.job.lane for attempt in self._attempts.values()}
            operating = Counter(
                attempt.job.connection for attempt in self._attempts.values() if attempt.job.effect
            )
            free = self._concurrency - len(self._attempts)
        if free <= 0:
            return POLL_EVERY
        claimed = self._jobs.claim(self._connections, self._term, free, busy, operating)
        for job in claimed:
            self._start(job)
        if claimed:
            return 0.0
        due = self._jobs.next_due()
        return POLL_EVERY if due is None else min(POLL_EVERY, max(due.total_seconds(), PAUSED_EVERY))

    def _start(self, job: Job) -> None:
        attempt = Attempt(self._term, job)
        with self._changed:
            self._attempts[job.id] = attempt
            if self._draining:
                attempt.stop()
        thread = threading.Thread(target=self._work, args=(attempt,), name=f"job-{job.id}", daemon=True)
        thread.start()

    def _work(self, attempt: Attempt) -> None:
        """The whole life of one attempt's thread."""
        job = attempt.job
        facts = {"job": job.id, "target": job.target, "attempt": job.attempt, "term": self._term.number}
        self._emit(Event(EventKind.JOB_STARTED, facts))
        try:
            outcome = self._run_attempt(attempt)
            state = self._finish(job, outcome)
            error = getattr(outcome, "error", "")
            self._emit(
                Event(EventKind.JOB_ENDED, {**facts, "state": state, **({"error": error} if error else {})})
            )
        finally:
            with self._changed:
                del self._attempts[job.id]
                self._look = True
                self._changed.notify_all()

    def _finish(self, job: Job, outcome: Outcome) -> str:
        """Record the outcome, waiting for Postgres for as long as the term lasts.

        When the term ends first, the row stays `running` and the next leader takes it over (I6).
        """
        failures = 0
        while not self._term.is_over():
            try:
                return self._jobs.finish(self._connections, self._term, job, outcome).value
            except StoreUnavailable:
                failures += 1
                self._term.over.wait(_STORE_RETRY.delay(failures).total_seconds())
            except FencedOut as error:
                self._term.end(str(error))
            except LeadershipLost:
                break
            except StoreError as error:
                self._emit(Event(EventKind.SERVICE_FAILED, {"job": job.id, "error": str(error)}))
                return "not recorded"
        return "left to the next term"

    def _drained(self) -> bool:
        with self._changed:
            if self._attempts:
                self._changed.wait(PAUSED_EVERY)
            return not self._attempts

    def _pause(self, seconds: float, *, ignore_wakes: bool = False) -> None:
        with self._changed:
            if ignore_wakes or (not self._look and not self._draining and seconds > 0):
                self._changed.wait(seconds)
            self._look = False

    def _listen(self) -> None:
        """Turn notifications into looks at the queue, for as long as the term lasts."""
        while not self._term.is_over() and not self._draining:
            if self._waker.wait(timedelta(seconds=POLL_EVERY)):
                with self._changed:
                    self._look = True
                    self._changed.notify_all()
