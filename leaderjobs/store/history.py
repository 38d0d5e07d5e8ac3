"""What became of a job's attempts, and what was said while they ran."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from leaderjobs.model.history import AttemptRecord, JobLine, NewLine
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced
from leaderjobs.store.text import storable
from leaderjobs.values import hide_passwords

MOST_LINES = 1_000
"""Kept of one attempt: the newest."""
_SQL = queries.load("history")


class History:
    """The past of one cluster's jobs; it goes with them. Any thread."""

    def __init__(
        self, database: Database, cluster: str, shown: Callable[[str], str] = hide_passwords
    ) -> None:
        """Nothing is asked before the first call; `shown` takes secrets out of a line before it is kept."""
        self._database = database
        self._cluster = cluster
        self._shown = shown

    def attempts(self, job: int) -> list[AttemptRecord]:
        """The oldest first, and last the one that runs or that completed the job; none for an unknown job."""
        rows = self._database.rows(_SQL["attempts"], {"cluster": self._cluster, "job": job})
        return [AttemptRecord(**row) for row in rows]

    def lines(self, job: int, after_n: int = 0, limit: int = MOST_LINES) -> list[JobLine]:
        """Up to `limit` lines with a higher `n`, in order; go on with the last one's `n`.

        A note stands where lines were left out; notes do not count for `limit`.
        """
        wanted = {"cluster": self._cluster, "job": job, "after": after_n, "limit": limit}
        found = []
        for row in self._database.rows(_SQL["lines"], wanted):
            left_out = row.pop("left_out")
            line = JobLine(**row)
            if left_out:
                found.append(JobLine(line.n, line.attempt, line.at, f"… {left_out} lines left out"))
            found.append(line)
        return found

    def add(
        self,
        connections: TermConnections,
        term: Term,
        lines: Sequence[NewLine],
        full: Collection[tuple[int, int]] = (),
    ) -> None:
        """Keep lines, in this order; of each (job, attempt) in `full` no more than MOST_LINES stay."""
        with fenced(connections, term) as connection:
            if lines:
                columns = {
                    "jobs": [line.job for line in lines],
                    "attempts": [line.attempt for line in lines],
                    "ats": [line.at for line in lines],
                    "lines": [storable(self._shown(line.line)) for line in lines],
                    "left_out": [line.left_out for line in lines],
                }
                connection.execute(_SQL["add"], {"cluster": self._cluster, **columns})
            if full:
                attempts = {"jobs": [job for job, _ in full], "attempts": [n for _, n in full]}
                connection.execute(_SQL["trim"], {"cluster": self._cluster, **attempts, "most": MOST_LINES})
