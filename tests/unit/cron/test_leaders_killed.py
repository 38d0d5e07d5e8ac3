"""Leaders that are killed at any instant decide each fire time once; a model of them with a simulated clock (I5).

The store of the model does what the real one does: the rows of a decision, their jobs and the new
`decided_until` in one transaction; `UNIQUE (schedule, fire_time)`; a transaction of an older term is refused.
A leader may die before its commit, or after it without having learned of it; the next one, or the same member
again, begins with what is stored. Old leaders wake up in the middle and try to commit what they decided.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.cron import Decided, Expression, decide
from leaderjobs.model.schedule import CatchUp, FireOutcome, ScheduleSpec

# In each, clocks shift twice within the year that is played.
ZONES = [
    "America/New_York",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Havana",
    "Asia/Kolkata",
]
CRONS = ["*/15 * * * *", "0 * * * *", "30 2 * * *", "0 0 * * *", "*/15 3 * * *", "0,30 1-3 * * *"]
SHIFTS = [
    datetime(2027, 3, 13, tzinfo=UTC),
    datetime(2027, 4, 3, tzinfo=UTC),
    datetime(2027, 10, 30, tzinfo=UTC),
]
DAYS = timedelta(days=3)
KILLS = 100


@dataclass
class Store:
    decided_until: datetime
    term: int = 0
    jobs: list[datetime] = field(default_factory=list)
    outcomes: dict[datetime, FireOutcome] = field(default_factory=dict)
    missed: int = 0

    def commit(self, term: int, decided: Decided) -> None:
        """One fenced transaction."""
        if term != self.term:
            return
        for fire in decided.fires:
            assert fire.fire_time not in self.outcomes, "UNIQUE (schedule, fire_time) would have refused it"
            self.outcomes[fire.fire_time] = fire.outcome
            if fire.outcome is FireOutcome.ENQUEUED:
                self.jobs.append(fire.fire_time)
        self.missed += decided.missed
        self.decided_until = decided.until


def play(spec: ScheduleSpec, start: datetime, chosen: random.Random) -> tuple[Store, datetime]:
    """Terms of leaders, each of which ends in a kill, until DAYS are over; then one that lives on."""
    expression = Expression.of(spec, "main")
    store, now = Store(start), start
    pending: list[tuple[int, Decided]] = []
    for _ in range(KILLS):
        store.term += 1
        known = store.decided_until
        for _ in range(chosen.randrange(6)):
            now += timedelta(seconds=chosen.choice([0.2, 1, 20, 59, 61, 900, 3600]))
            # The database's clock went back, as after a failover to another machine of it.
            seen = now - timedelta(seconds=chosen.choice([0, 0, 0, 5, 3600]))
            decided = decide(spec, expression, known, seen, chosen.choice([2, 5, 1000]))
            died = chosen.random()
            if died < 0.1:
                pending.append((store.term, decided))
                break
            store.commit(store.term, decided)
            if died < 0.2:
                break
            known = decided.until
        if pending and chosen.random() < 0.5:
            store.commit(*pending.pop(chosen.randrange(len(pending))))
        if now > start + DAYS:
            break
    store.term += 1
    while (decided := decide(spec, expression, store.decided_until, now, 50)).fires:
        store.commit(store.term, decided)
    return store, now


@pytest.mark.parametrize("catch_up", CatchUp)
def test_each_fire_time_is_decided_once_whoever_is_killed(catch_up: CatchUp) -> None:
    chosen = random.Random(2027)
    for zone in ZONES:
        for cron in CRONS:
            start = chosen.choice(SHIFTS) + timedelta(minutes=chosen.randrange(1440))
            spec = ScheduleSpec(
                "books", "books", cron, time_zone=zone, catch_up=catch_up, catch_up_window=2 * DAYS
            )
            store, now = play(spec, start, chosen)
            due = list(Expression.of(spec, "main").after(start, now))
            # Each has its outcome; of the missed ones only the newest of each decision have a row.
            assert set(store.outcomes) <= set(due), (zone, cron)
            assert len(store.jobs) == len(set(store.jobs))
            assert store.missed + len(store.jobs) == len(due), (zone, cron)
            assert store.decided_until in {start, *due[-1:]}
            if catch_up is CatchUp.ALL:
                assert store.jobs == due, (zone, cron)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(50))
def test_each_fire_time_is_decided_once_with_many_seeds(seed: int) -> None:
    """`python -m pytest -m soak tests/unit/cron/test_leaders_killed.py`."""
    chosen = random.Random(seed)
    for zone in ZONES:
        for cron in CRONS:
            start = chosen.choice(SHIFTS) + timedelta(minutes=chosen.randrange(1440))
            spec = ScheduleSpec(
                "books", "books", cron, time_zone=zone, catch_up=CatchUp.ALL, catch_up_window=2 * DAYS
            )
            store, now = play(spec, start, chosen)
            assert store.jobs == list(Expression.of(spec, "main").after(start, now)), (zone, cron)
