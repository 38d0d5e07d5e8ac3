"""Leaders killed between due and enqueued, one after another: each fire time exactly one job (I5)."""

from __future__ import annotations

import itertools
import signal
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest

from leaderjobs import clock
from leaderjobs.cron import Expression
from leaderjobs.demo.rig import Plan
from leaderjobs.model.schedule import CatchUp, Overlap, ScheduleSpec
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.cluster.checks_schedules import check_fires, check_none_lost, read
from tests.cluster.conftest import Start
from tests.cluster.schedule_deaths import FIRES_AT_ONCE, PLACES, Death, Lead, lead
from tests.cluster.watching import start_workers
from tests.support import eventually

DEATHS = 100
MINUTE = timedelta(minutes=1)
BACK = 7 * MINUTE
"""How much further back every kill makes schedules begin anew; what was decided before must not fire again."""
EDIT_WITHIN = 2.0
"""One second, and what a busy machine adds."""
SECTION = """
[schedules.each-minute]
sync = "household"
cron = "* * * * *"
catch_up = "all"
overlap = "queue"
"""
SPECS = (
    ScheduleSpec(
        "each-minute",
        "sync",
        "* * * * *",
        catch_up=CatchUp.ALL,
        catch_up_window=timedelta(days=30),
        overlap=Overlap.QUEUE,
    ),
    ScheduleSpec(
        "every-seventh",
        "sync",
        "*/7 * * * *",
        time_zone="Asia/Kathmandu",
        jitter=timedelta(seconds=30),
        catch_up=CatchUp.ALL,
        catch_up_window=timedelta(days=30),
        overlap=Overlap.QUEUE,
    ),
)


def test_a_hundred_leaders_die_between_due_and_enqueued(database_url: str) -> None:
    _let_die(database_url, [Death(place, decision) for place in PLACES for decision in (1, 2)], DEATHS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_thousands_of_leaders_die_between_due_and_enqueued(database_url: str) -> None:
    """python -m pytest tests/cluster/test_schedule_kills.py -m soak"""
    deaths = [Death(place, decision) for place in PLACES for decision in range(1, 9)]
    Random(uuid.uuid4().int).shuffle(deaths)
    _let_die(database_url, deaths, 3000)


def _let_die(url: str, deaths: Sequence[Death], count: int) -> None:
    cluster = "acme"
    with closing(Database(url, application="test")) as database:
        Migrations(database).apply()
    until = clock.now().replace(second=0, microsecond=0)
    # Every death decides at most so many fire times, and all of them must find some that are due.
    most = max(death.decision for death in deaths) * FIRES_AT_ONCE
    since = until - count * most * timedelta(minutes=1)
    _publish_as_of(url, cluster, since)
    tokens = itertools.count(2)

    killed = [
        lead(Lead(url, cluster, next(tokens), SPECS, until), death)
        for death, _ in zip(itertools.cycle(deaths), range(count), strict=False)
    ]
    assert set(killed) == {-signal.SIGKILL}
    assert lead(Lead(url, cluster, next(tokens), SPECS, until)) == 0

    stored = read(url, cluster)
    check_fires(stored)
    check_none_lost(stored, {spec.name: since for spec in SPECS})
    for spec in SPECS:
        due = list(Expression.of(spec, cluster).after(since, until))
        made = [job.fire_time for job in stored.jobs if job.schedule == spec.name]
        assert [each for each in made if each is not None and each <= until] == due


def _publish_as_of(url: str, cluster: str, since: datetime) -> None:
    """The schedules as a leader has published them then, who decided nothing."""
    assert lead(Lead(url, cluster, 1, SPECS, since)) == 0
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("DELETE FROM leaderjobs.jobs; DELETE FROM leaderjobs.fires")
        connection.execute(
            "UPDATE leaderjobs.schedules SET decided_until = %s, created_at = %s, counts = '{}'",
            (since, since),
        )


@pytest.mark.alone
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_members_follow_the_file_and_lose_no_fire_time_when_their_leaders_die(
    start: Start, times: int
) -> None:
    """Real members, a real configuration: an edit is in effect within a second, whoever leads afterwards."""
    rig = start(Plan(transactions=50))
    written = rig.config.read_text()
    _write(rig.config, f"{written}\n{SECTION}")
    start_workers(rig, "a", "b")
    schedules = rig.stores.schedules
    since = eventually(schedules.all, 30, "the schedule to be published")[0].decided_until

    _write(rig.config, f"{written}\n{SECTION}{SECTION.replace('each-minute', 'added')}")
    began = clock.elapsed()
    eventually(lambda: len(schedules.all()) == 2, 10, "an edit to take effect")
    assert clock.elapsed() - began < EDIT_WITHIN

    back = since
    for _ in range(times):
        leader = eventually(rig.leader, 30, "a leader")
        back -= BACK
        _rewind(rig.postgres.url, rig.plan.cluster, back)
        rig.send(leader, signal.SIGKILL)
        rig.reap(leader)
        rig.start_worker(leader)
        eventually(lambda: schedules.get("each-minute").decided_until >= since - MINUTE, 30, "a successor")

    stored = read(rig.postgres.url, rig.plan.cluster)
    check_fires(stored)
    check_none_lost(stored, {"each-minute": back, "added": back})
    due = list(Expression.of(SPECS[0], rig.plan.cluster).after(back, since))
    for name in ("each-minute", "added"):
        made = {job.fire_time for job in stored.jobs if job.schedule == name}
        assert made >= set(due), sorted(set(due) - made)


def _rewind(url: str, cluster: str, until: datetime) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(
            "UPDATE leaderjobs.schedules SET decided_until = %s, version = version + 1 WHERE cluster = %s",
            (until, cluster),
        )


def _write(path: Path, text: str) -> None:
    """As an editor saves a file: at once."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.chmod(0o600)
    aside.replace(path)
