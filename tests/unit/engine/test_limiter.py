"""Who may start: lanes, limits, holds, and fairness between connections."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.engine.ahead import Strand
from leaderjobs.engine.limiter import OPERATIONS_AT_ONCE, Limiter, Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Field:
    """A limiter, and strands whose jobs are taken as the dispatcher takes them."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        self.limiter = Limiter(limits, self.clock)
        self.jobs = 0

    def wait(
        self,
        connection: str,
        jobs: int = 1,
        *,
        priority: int = 5,
        operations: bool = False,
        at: datetime = NOW,
    ) -> Strand:
        """A strand with so many due jobs."""
        strand = Strand(connection, priority, operations)
        for _ in range(jobs):
            self.jobs += 1
            strand.waiting.append((at, self.jobs))
        self.limiter.line_up(strand)
        return strand

    def start(self, most: int = 1_000) -> list[str]:
        """Whose jobs start now, in order."""
        started: list[str] = []
        while len(started) < most and (strand := self.limiter.next()) is not None:
            strand.waiting.popleft()
            self.limiter.line_up(strand)
            started.append(strand.connection)
        return started

    def end(self, connection: str, *, operation: bool = False) -> None:
        self.limiter.end(connection, operation=operation)


def test_syncs_of_a_connection_run_one_at_a_time_and_operations_beside_them() -> None:
    field = Field(Limits(100))
    field.wait("a", 9)
    field.wait("a", 9, operations=True)

    assert field.start() == ["a"] * (1 + OPERATIONS_AT_ONCE)
    assert field.start() == []
    field.end("a")
    assert field.start() == ["a"]
    field.end("a", operation=True)
    field.end("a", operation=True)
    assert field.start() == ["a", "a"]


@pytest.mark.parametrize("operations", [True, False])
def test_no_more_run_than_the_cluster_allows(*, operations: bool) -> None:
    field = Field(Limits(3))
    for name in "abcd":
        field.wait(name, operations=operations)

    assert field.start() == ["a", "b", "c"]
    assert field.limiter.blocked().full
    field.end("b", operation=operations)
    assert field.start() == ["d"]


def test_limit_of_a_connection_counts_all_its_attempts() -> None:
    field = Field(Limits(100, connections={"a": 2, "b": 7}))
    field.wait("a", 5, operations=True)
    field.wait("a", 5)
    field.wait("b", 9, operations=True)

    assert Counter(field.start()) == {"a": 2, "b": 7}
    assert set(field.limiter.blocked().full_connections) == {"a", "b"}


def test_limit_of_a_provider_is_over_all_of_its_connections() -> None:
    provider_of = {"a": "plaid", "b": "plaid", "c": "plaid", "x": "stripe"}
    field = Field(Limits(100, providers={"plaid": 2}, provider_of=provider_of))
    for name in "abcx":
        field.wait(name)

    assert field.start() == ["a", "b", "x"]
    assert field.limiter.blocked().full_providers == ("plaid",)
    field.end("a")
    assert field.start() == ["c"]


def test_connection_with_many_jobs_starts_as_many_as_one_with_few() -> None:
    field = Field(Limits(1))
    field.wait("many", 1_000, at=NOW - timedelta(days=1))
    field.wait("few", 3)
    started: list[str] = []
    for _ in range(6):
        (name,) = field.start()
        started.append(name)
        field.end(name)

    assert started == ["many", "few"] * 3


def test_operations_of_one_connection_do_not_take_all_the_places() -> None:
    field = Field(Limits(2, connections={"many": 100}))
    field.wait("many", 1_000, operations=True)
    field.wait("few", 2)

    assert field.start() == ["many", "few"]


def test_more_urgent_priority_goes_first_whoever_was_served() -> None:
    field = Field(Limits(1))
    field.wait("a", 2, priority=0)
    field.wait("b", 2, priority=1)
    started = []
    for _ in range(4):
        (name,) = field.start()
        started.append(name)
        field.end(name)

    assert started == ["a", "a", "b", "b"]


def test_what_was_due_first_goes_first_among_those_never_served() -> None:
    field = Field(Limits(2))
    field.wait("late")
    field.wait("early", at=NOW - timedelta(seconds=1))

    assert field.start() == ["early", "late"]


def test_held_connection_starts_nothing_until_the_hold_is_over() -> None:
    field = Field(Limits(9))
    field.limiter.hold("a", 10)
    field.wait("a")
    field.wait("b")

    assert field.start() == ["b"]
    assert field.limiter.pass_time() == 110.0
    assert field.limiter.blocked().held == {"a": 10.0}
    field.clock.now = 109.9
    field.limiter.pass_time()
    assert field.start() == []
    field.clock.now = 110.0
    assert field.limiter.pass_time() is None
    assert field.start() == ["a"]


def test_released_connection_starts_at_once() -> None:
    field = Field(Limits(9))
    field.limiter.hold("a", 10)
    field.wait("a")
    assert field.start() == []

    field.limiter.release("a")

    assert field.limiter.held == set()
    assert field.start() == ["a"]


def test_holds_that_were_looked_up_replace_those_known() -> None:
    field = Field(Limits(9))
    for name in "abc":
        field.limiter.hold(name, 10)
        field.wait(name)
    field.start()

    field.limiter.set_holds({"b": 10.0, "c": 20.0})

    assert field.start() == ["a"]
    field.clock.now = 115.0
    field.limiter.pass_time()
    assert field.start() == ["b"]
    assert field.limiter.pass_time() == 120.0


def test_hold_that_is_looked_up_every_second_is_remembered_once() -> None:
    field = Field(Limits(9))
    for _ in range(1_000):
        field.limiter.set_holds({"a": 200.0 - field.clock.now})
        field.clock.now += 0.01

    assert len(field.limiter._holds) == 1


def test_other_limits_hold_from_then_on_and_what_runs_is_counted() -> None:
    field = Field(Limits(9, provider_of={"a": "p", "b": "p", "c": "p"}))
    field.wait("a", 2)
    assert field.start() == ["a"]
    field.wait("b")
    field.wait("c")

    field.limiter.configure(Limits(9, providers={"p": 2}, provider_of={"a": "p", "b": "p", "c": "p"}))

    assert field.start() == ["b"]
    field.end("a")
    assert field.start() == ["c"]
    field.end("b")
    assert field.start() == ["a"]


def test_strand_that_lost_its_jobs_is_passed_over_and_may_come_back() -> None:
    field = Field(Limits(9))
    strand = field.wait("a")
    strand.waiting.clear()
    field.wait("b")
    assert field.start() == ["b"]

    strand.waiting.append((NOW, 77))
    field.limiter.line_up(strand)

    assert field.start() == ["a"]


def test_many_connections_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaderjobs.engine.limiter.MOST_CONNECTIONS", 10)
    field = Field(Limits(1))
    for n in range(50):
        field.wait(f"c{n}")
        (name,) = field.start()
        field.end(name)

    assert len(field.limiter._connections) <= 11
