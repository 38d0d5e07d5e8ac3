"""The leader is killed, told to stop, and paused in the middle of pages, again and again."""

from __future__ import annotations

import random
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.model.job import Job, JobState
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.field import Field, Terrain
from tests.cluster.watching import (
    assert_completed,
    assert_rows_equal,
    newest_term,
    pages,
    start_workers,
)
from tests.support import eventually

pytestmark = pytest.mark.alone
TIMES = 5
SESSION_TIMEOUT = timedelta(seconds=2)
SHORT_TIMEOUT = timedelta(milliseconds=1200)
"""Where most of the time is spent waiting for sessions to end."""
FAULTS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(TIMES, marks=pytest.mark.timeout(400)),
        pytest.param(40 * TIMES, marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
def test_syncs_survive_deaths_and_pauses_of_their_leader(tmp_path: Path, times: int) -> None:
    """Each of SIGKILL, SIGTERM and SIGSTOP so many times, in a shuffled order that the seed decides."""
    plan = Plan(
        session_timeout=SHORT_TIMEOUT,
        transactions=30_000,
        page_size=100,
        latency=timedelta(milliseconds=40),
        row_bytes=400,
    )
    with Field(tmp_path, Terrain(plan, tick=SHORT_TIMEOUT / 5)) as rig:
        strike_again_and_again(rig, times)


def strike_again_and_again(rig: Field, times: int) -> None:
    audit = rig.audit
    start_workers(rig, "a", "b", "c")
    job = rig.enqueue()
    faults = [fault for fault in FAULTS for _ in range(times)]
    random.Random(7).shuffle(faults)

    for number, fault in enumerate(faults):
        job = flowing_syncs(rig, job)
        # Both from one row: were the leader another by now, there would be a later term already.
        stored = rig.stores.terms.current(0)
        assert stored is not None
        victim, term = stored.member, stored.number

        rig.send(victim, fault)
        eventually(partial(commits_after, rig, job, term), 60, f"the term after {fault.name} number {number}")
        if fault is signal.SIGSTOP:
            rig.send(victim, signal.SIGCONT)
        else:
            rig.reap(victim)
            rig.start_worker(victim)
        eventually(lambda: len(rig.session.members()) >= 3, 60, "three members again")

        audit.check()  # I1, I3, I4
        assert rig.stores.jobs.get(job.id).attempt == 1  # I6: picked up at once; I7: nothing was spent

    assert_completed(rig, job)  # I8
    audit.check()


def commits_after(rig: Rig, job: Job, term: int) -> bool:
    """Whether a later term has committed a page, or has raised its fence when no page was left to commit."""
    stored = rig.stores.terms.current(0)
    done = rig.stores.jobs.get(job.id).state.final and stored is not None and stored.number > term
    return done or newest_term(rig) > term


def flowing_syncs(rig: Rig, job: Job) -> Job:
    """Wait for five more pages, of another sync over new data where one has ended, on its first attempt."""
    goal = pages(rig) + 5
    current = [job]

    def flowing_on() -> bool:
        now = rig.stores.jobs.get(current[0].id)
        if now.state.final:
            assert (now.state, now.attempt) == (JobState.COMPLETED, 1), now
            rig.provider.change(add=20_000, modify=2_000, remove=500, post_pending=100)
            current[0] = rig.enqueue()
        return pages(rig) >= goal

    eventually(flowing_on, 60, "pages to flow")
    return current[0]


@pytest.mark.timeout(120)
def test_a_leader_stopped_inside_a_transaction_delays_nobody_and_commits_nothing(start: Start) -> None:
    """The leader's backend waits for a lock inside a fenced transaction when the leader is stopped."""
    import psycopg

    plan = Plan(session_timeout=SESSION_TIMEOUT, transactions=20_000, latency=timedelta(milliseconds=15))
    rig = start(plan)
    audit = Audit(rig.postgres.url)
    for name in ("a", "b"):
        rig.start_worker(name)
    victim = eventually(rig.leader, 60, "a first leader")
    rig.enqueue()
    eventually(lambda: pages(rig) >= 5, 60, "pages to flow")
    term = newest_term(rig)

    waiting = """
        SELECT count(*) AS n FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND application_name LIKE 'leaderjobs%%' AND xact_start IS NOT NULL
    """
    with psycopg.connect(rig.postgres.url) as blocker:
        blocker.execute("LOCK TABLE leaderjobs.stages IN EXCLUSIVE MODE")
        eventually(lambda: audit.execute(waiting)[0]["n"], 60, "the leader to wait inside its transaction")
        rig.send(victim, signal.SIGSTOP)
        held = pages(rig)
        eventually(
            lambda: rig.leader() not in {None, victim},
            2 * SESSION_TIMEOUT.total_seconds() + 3,
            "a new leader",
        )
        blocker.rollback()
    eventually(lambda: newest_term(rig) > term, 60, "a page of the new term")
    rig.send(victim, signal.SIGCONT)
    eventually(lambda: pages(rig) >= held + 20, 60, "pages to flow on")
    audit.check()
    eventually(lambda: rig.stores.jobs.counts()[JobState.COMPLETED] == 1, 60, "the sync to end")
    audit.check()
    assert_rows_equal(rig)
