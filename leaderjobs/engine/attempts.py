"""The attempts under way in one term: handed to threads, stopped when asked, taken back when over."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.engine.ahead import Key
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.engine.pool import Pool
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import GiveBack, Outcome, Postpone
from leaderjobs.model.term import Term
from leaderjobs.store.queue import ClaimedRow, Finished, job_of

UNRECORDED = "left to the next term"
AFTER_A_BUG = timedelta(minutes=1)
_TIME_LIMIT = 4
_NOT_CLAIMED: ClaimedRow = ()


@dataclass(slots=True, eq=False)
class Running(Finished):
    """One job in our hands, from the wish to claim it until its end is recorded."""

    id: int
    key: Key
    """Of the strand it was taken from."""
    attempt: Attempt | None = None
    """None before a thread has begun it."""
    why: Stop | None = None
    """Why it was asked to stop."""


class Attempts:
    """Runs what is begun on a pool of threads. Where a method says nothing else: for the loop's thread."""

    def __init__(
        self,
        *,
        term: Term,
        run: Callable[[Attempt], Outcome],
        most: int,
        over: Callable[[], None],
        emit: Emit,
    ) -> None:
        """`over` is called on any thread when an attempt is over and waits in `finished`."""
        self._term = term
        self._run = run
        self._over = over
        self._emit = emit
        self._in_hand: dict[int, Running] = {}
        self._finished: deque[Running] = deque()
        self._deadlines: list[tuple[float, int, Running]] = []
        self._stop_all: Stop | None = None
        self._closed = False
        self._pool: Pool[Running] = Pool(most, self._work)

    def __contains__(self, job_id: object) -> bool:
        """Whether a job is in our hands: wanted, running, or over and not recorded."""
        return job_id in self._in_hand

    def __len__(self) -> int:
        """How many are in our hands."""
        return len(self._in_hand)

    @property
    def waits(self) -> bool:
        """Whether `finished` has something; any thread."""
        return bool(self._finished)

    def take(self, job_id: int, key: Key) -> Running:
        """A job is in our hands from now on."""
        taken = self._in_hand[job_id] = Running(_NOT_CLAIMED, None, job_id, key)
        return taken

    def drop(self, running: Running) -> None:
        """A job is out of our hands."""
        del self._in_hand[running.id]

    def begin(self, claimed: Iterable[Running]) -> None:
        """Run what was claimed, as soon as there is a thread."""
        begun = list(claimed)
        for running in begun:
            limit = running.row[_TIME_LIMIT]
            if limit is not None:
                deadline = clock.elapsed() + limit.total_seconds()
                heapq.heappush(self._deadlines, (deadline, running.id, running))
        self._pool.put(begun)
        if self._stop_all is not None:
            self.stop(self._stop_all)

    def finished(self, most: int) -> list[Running]:
        """What is over and was not asked for yet, the first one first; at most `most`."""
        taken: list[Running] = []
        while self._finished and len(taken) < most:
            taken.append(self._finished.popleft())
        return taken

    def recorded(self, running: Running, state: str) -> None:
        """The end of an attempt stands in the database, or never will."""
        self._in_hand.pop(running.id, None)
        attempt = running.attempt
        if attempt is None:
            return
        job = attempt.job
        facts: dict[str, object] = {
            "job": job.id,
            "target": job.target,
            "attempt": job.attempt,
            "term": self._term.number,
            "state": state,
        }
        error = getattr(running.outcome, "error", "")
        if error:
            facts["error"] = error
        self._emit(Event(EventKind.JOB_ENDED, facts))

    # -- stopping ------------------------------------------------------------------------------------------

    def stop(self, why: Stop) -> None:
        """Stop everything, also what is begun later; what no thread has begun is given back. Any thread."""
        self._stop_all = self._stop_all or why
        for running in self._pool.take_back():
            self._end(running, GiveBack())
        for running in list(self._in_hand.values()):
            _stop(running, why)

    def cancel(self, job_ids: Iterable[int]) -> None:
        """A person wants these stopped."""
        for job_id in job_ids:
            running = self._in_hand.get(job_id)
            if running is not None:
                _stop(running, Stop.CANCEL)

    def pass_time(self, now: float) -> float | None:
        """Stop what has reached its time limit; when, by the deadline clock, the next one will."""
        while self._deadlines:
            deadline, job_id, running = self._deadlines[0]
            if self._in_hand.get(job_id) is running and running.outcome is None:
                if deadline > now:
                    return deadline
                _stop(running, Stop.TIME_LIMIT)
            heapq.heappop(self._deadlines)
        return None

    def ids(self) -> Collection[int]:
        """The jobs that are claimed and not over."""
        return [each.id for each in self._in_hand.values() if each.row and each.outcome is None]

    def close(self) -> None:
        """Begin nothing more; what is over and was not recorded is left to the next term."""
        self._closed = True
        self.stop(Stop.DRAIN)
        self._pool.close()
        self._leave()

    def join(self, seconds: float) -> bool:
        """Wait for the threads to end, after `close`; False when some did not. Any thread."""
        return self._pool.join(seconds)

    # -- the pool's threads --------------------------------------------------------------------------------

    def _work(self, running: Running) -> None:
        if self._term.is_over():
            self._end(running, GiveBack())
            return
        attempt = running.attempt = Attempt(self._term, job_of(running.row))
        if running.why is not None:
            attempt.stop(running.why)
        job = attempt.job
        facts = {"job": job.id, "target": job.target, "attempt": job.attempt, "term": self._term.number}
        self._emit(Event(EventKind.JOB_STARTED, facts))
        try:
            outcome = self._run(attempt)
        except BaseException as error:  # noqa: BLE001 - a bug of ours must cost neither the thread nor the job
            outcome = Postpone(AFTER_A_BUG, f"{type(error).__name__}: {error}")
        self._end(running, outcome)

    def _end(self, running: Running, outcome: Outcome) -> None:
        running.outcome = outcome
        self._finished.append(running)
        self._over()
        if self._closed:
            self._leave()

    def _leave(self) -> None:
        for running in self.finished(len(self._finished)):
            self.recorded(running, UNRECORDED)


def _stop(running: Running, why: Stop) -> None:
    # In this order: `_work` writes the attempt first and reads the reason after.
    running.why = running.why or why
    if running.attempt is not None and running.outcome is None:
        running.attempt.stop(running.why)
