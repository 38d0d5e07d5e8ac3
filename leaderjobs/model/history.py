"""What is kept of a job: its attempts, and the lines that were said while they ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at a job, ended or under way."""

    attempt: int
    """From 1; one that was given back is followed by another of the same number."""
    term: int
    member: str
    started_at: datetime | None
    ended_at: datetime | None
    """None while it runs."""
    outcome: str
    """`completed`, `running`, or one of `leaderjobs.attempts`: retried, held, discarded, given_back, …."""
    error: str | None = None

    @property
    def duration(self) -> timedelta | None:
        """From its beginning to its end; None while one of them is not known."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at


@dataclass(frozen=True, slots=True)
class JobLine:
    """One line of a job's log."""

    n: int
    """Rises from line to line of a job; a note about lines that were left out has that of the next line."""
    attempt: int
    at: datetime
    """By the clock of the member that ran the attempt."""
    line: str


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be kept."""

    job: int
    attempt: int
    at: datetime
    line: str
    left_out: int = 0
    """Lines of the attempt right before it that were not kept."""
