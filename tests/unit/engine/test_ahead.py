"""Reading ahead: every due job comes once, in order, whatever commits late, and memory is bounded."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.engine import ahead as ahead_module
from leaderjobs.engine.ahead import Ahead, Asked, Strand
from leaderjobs.store.queue import Found, Place, Read

START = datetime(2026, 1, 1, tzinfo=UTC)


class Table:
    """The waiting jobs as Postgres would show them, and somebody who reads ahead and takes them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[int, tuple[str, int, datetime]] = {}
        self.lined_up: dict[Strand, None] = {}
        self.ahead = Ahead(self._line_up)
        self.reads = 0
        self.jobs = 0

    def _line_up(self, strand: Strand) -> None:
        strand.lined_up = True
        self.lined_up[strand] = None

    def at(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def insert(self, connection: str, due: float, priority: int = 5, *, told: bool = True) -> int:
        self.jobs += 1
        self.rows[self.jobs] = (connection, priority, self.at(due))
        if told:
            self.ahead.heard(connection, priority, self.at(due))
        return self.jobs

    def _wait(self, due: datetime) -> float | None:
        seconds = (due - START).total_seconds() - self.now
        return seconds if seconds > 0 else None

    def rescan(self) -> list[Found]:
        firsts: dict[tuple[str, int], Place] = {}
        for job, (connection, priority, due) in self.rows.items():
            key = (connection, priority)
            firsts[key] = min(firsts.get(key, (due, job)), (due, job))
        return [
            Found(connection, priority, False, due, job, self._wait(due))
            for (connection, priority), (due, job) in sorted(firsts.items())
        ]

    def answer(self, asked: Asked) -> list[Read]:
        read: list[Read] = []
        for number, reading in enumerate(asked.readings, 1):
            if reading.operations:
                continue
            after = sorted(
                (due, job)
                for job, (connection, priority, due) in self.rows.items()
                if (connection, priority) == (reading.connection, reading.priority)
                and (due, job) > reading.after
            )
            read += [(number, job, due, self._wait(due)) for due, job in after[: asked.each]]
        self.reads += len(read)
        return read

    def read(self) -> None:
        self.ahead.pass_time(self.now)
        while (asked := self.ahead.readings()).readings:
            self.ahead.came(asked, self.answer(asked), self.now)
            if self.ahead.kept > 500:
                return

    def take(self, most: int = 1_000_000) -> list[int]:
        """What is kept, strand by strand; it waits no more."""
        taken: list[int] = []
        while len(taken) < most:
            self.read()
            strand = next((each for each in self.lined_up if each.waiting), None)
            if strand is None:
                break
            _, job = self.ahead.taken(strand)
            if not strand.waiting:
                strand.lined_up = False
                del self.lined_up[strand]
            del self.rows[job]
            taken.append(job)
        return taken


@pytest.fixture
def table() -> Table:
    return Table()


def test_due_jobs_come_in_order_and_each_once(table: Table) -> None:
    table.now = 10
    later, first = table.insert("a", 2), table.insert("a", 1)
    same = table.insert("a", 2)

    assert table.take() == [first, later, same]
    assert table.take() == []


def test_job_comes_when_it_is_due(table: Table) -> None:
    job = table.insert("a", 5)
    table.read()
    assert table.take() == []
    assert table.ahead.pass_time(4.9) == 5.0

    table.now = 5
    assert table.take() == [job]


def test_job_that_is_enqueued_after_a_later_one_was_seen_comes_first(table: Table) -> None:
    later = table.insert("a", 60)
    table.read()
    table.now = 1
    sooner = table.insert("a", 0.5)
    assert table.take() == [sooner]
    table.now = 60
    assert table.take() == [later]


def test_job_that_commits_late_is_read_although_it_lies_behind(table: Table) -> None:
    table.now = 10
    assert len([table.insert("a", n) for n in range(5)]) == len(table.take())
    late = table.insert("a", 1)

    assert table.take() == [late]


def test_claimed_jobs_are_not_walked_again(table: Table) -> None:
    table.now = 10
    for _ in range(300):
        table.insert("a", 1)
        table.take()

    assert table.reads <= 2 * 300


def test_rescan_finds_what_nobody_told(table: Table) -> None:
    table.now = 10
    table.insert("a", 5)
    table.take()
    behind, unknown = table.insert("a", 1, told=False), table.insert("b", 1, told=False)
    assert table.take() == []

    table.ahead.found(table.rescan(), table.now)

    assert sorted(table.take()) == [behind, unknown]


def test_rescan_that_looked_before_a_job_was_taken_brings_it_not_again(table: Table) -> None:
    table.now = 10
    job = table.insert("a", 5)
    seen = table.rescan()
    assert table.take() == [job]

    table.ahead.found(seen, table.now)

    assert table.take() == []


def test_look_at_known_strands_finds_what_nobody_told(table: Table) -> None:
    table.now = 10
    table.insert("a", 1)
    table.take()
    job = table.insert("a", 5, told=False)

    table.ahead.look_again(10)

    assert table.take() == [job]


def test_job_of_ours_that_waits_again_comes_again(table: Table) -> None:
    table.now = 10
    job = table.insert("a", 5)
    table.take()
    table.rows[job] = ("a", 5, table.at(5))

    table.ahead.again(("a", 5, False), (table.at(5), job))

    assert table.take() == [job]


def test_readings_without_an_answer_are_asked_again(table: Table) -> None:
    table.now = 10
    job = table.insert("a", 5)
    table.ahead.not_read(table.ahead.readings())

    assert table.take() == [job]


def test_answer_to_a_reading_from_beyond_a_late_job_is_not_taken(table: Table) -> None:
    table.now = 10
    table.insert("a", 3)
    table.take()
    beyond = table.insert("a", 8)
    asked = table.ahead.readings()
    rows = table.answer(asked)
    late = table.insert("a", 1)
    table.ahead.came(asked, rows, table.now)

    assert table.take() == [late, beyond]


@pytest.mark.parametrize("jobs", [1_000, 5_000])
def test_a_long_queue_is_kept_in_part(table: Table, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    monkeypatch.setattr(ahead_module, "MOST_EACH", 16)
    made = Ahead(lambda _strand: None, most=100)
    table.ahead = made
    for n in range(jobs):
        table.rows[n + 1] = ("a", 5, START)
    made.heard("a", 5, START)
    for _ in range(50):
        asked = made.readings()
        made.came(asked, table.answer(asked), 0.0)

    assert made.kept <= 100


def test_strands_that_are_empty_make_room_for_others(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "MOST_STRANDS", 10)
    table.now = 10
    jobs = [table.insert(f"c{n}", 1) for n in range(3)]
    assert sorted(table.take()) == jobs
    for n in range(50):
        job = table.insert(f"d{n}", 1)
        assert table.take() == [job]

    assert table.ahead.strands <= 10


@pytest.mark.parametrize("seed", range(30))
def test_every_job_comes_once_whatever_commits_late_or_is_not_told(table: Table, seed: int) -> None:
    chance = random.Random(seed)
    taken: list[int] = []
    inserted: list[int] = []
    for _ in range(200):
        table.now += chance.random()
        for _ in range(chance.randrange(4)):
            due = table.now + chance.choice([0.0, -chance.random() * 5, chance.random() * 5])
            told = chance.random() < 0.8
            inserted.append(table.insert(chance.choice("abc"), due, chance.choice([0, 5]), told=told))
        seen = table.rescan() if chance.random() < 0.1 else None
        taken += table.take(chance.randrange(6))
        if seen is not None:
            table.ahead.found(seen, table.now)
    table.now += 60
    for _ in range(len(table.rows) + 1):
        table.ahead.found(table.rescan(), table.now)
        taken += table.take()

    assert sorted(taken) == inserted
