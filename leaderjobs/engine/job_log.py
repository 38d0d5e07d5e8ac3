"""What connectors say while their jobs run: to the member's log at once, and kept with the job.

Lines are written to Postgres about twice a second, those of all attempts in one fenced transaction, and an
attempt's last ones before it ends: whoever follows a job has its lines when it has its end. The thread that
does so is there only while somebody speaks. Buffers are bounded: of an attempt the newest lines are kept.
Lines are no evidence, so those of the last half second go with a member that dies, and some may be there
twice where Postgres broke off.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from leaderjobs import clock
from leaderjobs.engine.attempt import Attempt
from leaderjobs.errors import LeadershipLost, StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.history import NewLine
from leaderjobs.store.history import MOST_LINES, History
from leaderjobs.store.pool import TermConnections

MOST_LINE_CHARS = 500
FLUSH_EVERY = timedelta(milliseconds=500)


class Lines:
    """Of one attempt. Any thread may speak."""

    def __init__(self, log: JobLog, attempt: Attempt) -> None:
        """Made by `JobLog.of`."""
        self.attempt = attempt
        self._log = log
        self._lock = threading.Lock()
        self._waiting: deque[tuple[datetime, str]] = deque()
        self._left_out = 0
        self._said = self._stored = 0
        self._closed = False

    def say(self, line: str) -> None:
        """Log a line and keep it; cut, and without control characters. One said after the end is not kept."""
        text = "".join(char if char.isprintable() else " " for char in line[:MOST_LINE_CHARS])
        with self._lock:
            self._said += 1
            first, closed = not self._waiting, self._closed
            logged = self._said <= MOST_LINES
            if not closed:
                self._waiting.append((clock.now(), text))
                if len(self._waiting) > MOST_LINES:
                    self._waiting.popleft()
                    self._left_out += 1
        if logged:
            self._log.tell(self.attempt, text)
        if first and not closed:
            self._log.wake(self)

    def lose(self, count: int) -> None:
        """So many that were taken could not be written: the next one says so."""
        with self._lock:
            self._left_out += count

    def close(self) -> None:
        """Nothing that is said from now on is kept."""
        with self._lock:
            self._closed = True

    @property
    def spoke(self) -> bool:
        """Whether anything was ever said."""
        return self._said > 0

    @property
    def full(self) -> bool:
        """Whether more was written than may stay, or may have been by an earlier one of this number."""
        return self._stored > MOST_LINES or self._closed

    def take(self) -> list[NewLine]:
        """What is to be written; the caller writes it, or gives it up."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            left_out, self._left_out = self._left_out, 0
            self._stored += len(waiting)
        job = self.attempt.job
        return [
            NewLine(job.id, job.attempt, at, text, left_out if place == 0 else 0)
            for place, (at, text) in enumerate(waiting)
        ]


class JobLog:
    """The lines of one term's attempts."""

    def __init__(self, history: History, connections: TermConnections, emit: Emit) -> None:
        """Nothing runs before somebody speaks."""
        self._history = history
        self._connections = connections
        self._emit = emit
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._speaking: dict[int, Lines] = {}
        self._running = False

    @contextmanager
    def of(self, attempt: Attempt) -> Iterator[Lines]:
        """The lines of an attempt; at the end they are written, or lost with an event."""
        lines = Lines(self, attempt)
        try:
            yield lines
        finally:
            lines.close()
            if lines.spoke:
                with self._lock:
                    self._speaking.pop(attempt.job.id, None)
                self._write([lines])

    def tell(self, attempt: Attempt, text: str) -> None:
        """The member's own log."""
        job = attempt.job
        self._emit(Event(EventKind.JOB_LOGGED, {"job": job.id, "connection": job.connection, "line": text}))

    def wake(self, lines: Lines) -> None:
        """See to it that they are written soon."""
        with self._lock:
            self._speaking[lines.attempt.job.id] = lines
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="job-log", daemon=True).start()

    def _run(self) -> None:
        while True:
            threading.Event().wait(FLUSH_EVERY.total_seconds())
            with self._lock:
                speaking, self._speaking = list(self._speaking.values()), {}
                if not speaking:
                    self._running = False
                    return
            self._write(speaking)

    def _write(self, speaking: list[Lines]) -> None:
        """One transaction; what cannot be written is given up, and counted among what was left out."""
        # One at a time: so a job's lines get their numbers in order, and its end comes after all of them.
        with self._writing:
            taken = [lines.take() for lines in speaking]
            new = [line for lines in taken for line in lines]
            full = [(each.attempt.job.id, each.attempt.job.attempt) for each in speaking if each.full]
            if not new and not full:
                return
            try:
                self._history.add(self._connections, speaking[0].attempt.term, new, full)
            except LeadershipLost:
                return
            except StoreError as error:
                for lines, lost in zip(speaking, taken, strict=True):
                    lines.lose(sum(1 + line.left_out for line in lost))
                self._emit(Event(EventKind.SERVICE_FAILED, {"service": "job log", "error": str(error)}))
