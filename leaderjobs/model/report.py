"""The document that `leaderjobs status` prints; its names and shapes are a promise to scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Reach(StrEnum):
    """Whether a server answered."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    NOT_MIGRATED = "not_migrated"


@dataclass(frozen=True, slots=True)
class CoordinatorReport:
    kind: str
    state: Reach


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    state: Reach


@dataclass(frozen=True, slots=True)
class LeaderReport:
    id: str
    term: int
    token: int
    since: datetime
    trusted_for_seconds: float


@dataclass(frozen=True, slots=True)
class LagReport:
    markers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MemberReport:
    id: str
    role: str
    host: str
    pid: int
    version: str
    since: datetime
    lag: LagReport | None
    """None for the leader, and while the database cannot be asked."""


@dataclass(frozen=True, slots=True)
class ProgressReport:
    stream: str
    pages: int
    rows: int
    stream_rows: int
    total: int | None
    """Rows that the stream will bring in all; None where the provider does not tell."""
    rows_per_second: float | None
    """Of this attempt; None before its first page."""
    seconds_left: float | None
    """None where the total or the rate is not known."""


@dataclass(frozen=True, slots=True)
class RunningReport:
    id: int
    target: str
    attempt: int
    started_at: datetime | None
    progress: ProgressReport


@dataclass(frozen=True, slots=True)
class QueueReport:
    connection: str
    scheduled: int
    available: int
    running: int
    retryable: int
    uncertain: int


@dataclass(frozen=True, slots=True)
class HoldReport:
    connection: str
    code: str
    message: str
    person: bool
    """Whether a person must act; else it passes by itself."""
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class NextFireReport:
    schedule: str
    target: str
    fire_time: datetime
    time_zone: str


@dataclass(frozen=True, slots=True)
class MarkerReport:
    connection: str
    stream: str
    sequence: int
    rows: int
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class QuotaReport:
    name: str
    used: int
    limit: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """`unhealthy` problems make `status --check` leave with 3; the others are for people to see."""

    code: str
    message: str
    unhealthy: bool


@dataclass(frozen=True, slots=True)
class StatusReport:
    cluster: str
    coordinator: CoordinatorReport
    database: DatabaseReport
    leader: LeaderReport | None
    members: tuple[MemberReport, ...] = ()
    jobs: dict[str, int] = field(default_factory=dict)
    queues: tuple[QueueReport, ...] = ()
    """Of every connection that has jobs which have not ended."""
    running: tuple[RunningReport, ...] = ()
    holds: tuple[HoldReport, ...] = ()
    next_fires: tuple[NextFireReport, ...] = ()
    """The first of each of the schedules that fire next."""
    markers: tuple[MarkerReport, ...] = ()
    quotas: tuple[QuotaReport, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether `--check` may leave with 0."""
        return not any(problem.unhealthy for problem in self.problems)
