"""What a connector sees of the engine while it reads one stream, and the cursors of reads that have a window.

A read with a window goes on by itself and leaves the place where the stream's own reads go on untouched. Both
are kept in the one marker, because rows take their order from its sequence: its cursor is then
`{"own": …, "window": {"job": …, "cursor": …}}`, and the next batch without a window puts the own one back.
"""

from __future__ import annotations

from datetime import timedelta

from leaderjobs.engine.attempt import Attempt
from leaderjobs.engine.job_log import Lines
from leaderjobs.model.job import Job, Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.quota import Quota
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.quotas import Quotas

_KEYS = {"own", "window"}


class Reading:
    """The ReadContext of one attempt; the thread that fetches."""

    def __init__(self, attempt: Attempt, quotas: Quotas, connections: TermConnections, lines: Lines) -> None:
        """Quotas are counted under the attempt's term."""
        self._attempt = attempt
        self._quotas = quotas
        self._connections = connections
        self._lines = lines

    @property
    def window(self) -> Window | None:
        """The job's."""
        return self._attempt.job.window

    def check(self) -> None:
        """As `Attempt.check`."""
        self._attempt.check()

    def wait(self, delay: timedelta) -> None:
        """As `Attempt.wait`."""
        self._attempt.wait(delay)

    def spend(self, quota: Quota, units: int) -> None:
        """As `Quotas.spend`."""
        self._quotas.spend(self._connections, self._attempt.term, quota, units)

    def observe(self, quota: Quota, used: int) -> None:
        """As `Quotas.observe`."""
        self._quotas.observe(self._connections, self._attempt.term, quota, used)

    def log(self, line: str) -> None:
        """To the member's log, and kept with the job."""
        self._lines.say(line)


def own(cursor: Cursor | None) -> Cursor | None:
    """Where the stream's own reads go on."""
    if cursor is not None and set(cursor) == _KEYS:
        found = cursor["own"]
        return found if isinstance(found, dict) and found else None
    return cursor or None


def begins(cursor: Cursor | None, job: Job) -> Cursor | None:
    """Where this job goes on; None: from the beginning."""
    if job.window is None:
        return own(cursor)
    if cursor is not None and set(cursor) == _KEYS:
        match cursor["window"]:
            case {"job": job.id, "cursor": dict() as found}:
                return found or None
            case _:
                return None
    return None


def stored(cursor: Cursor, before: Cursor | None, job: Job) -> Cursor:
    """The marker's cursor for a batch that says `cursor`; `before` is the marker's as it was."""
    if job.window is None:
        return cursor
    return {"own": own(before) or {}, "window": {"job": job.id, "cursor": cursor}}
