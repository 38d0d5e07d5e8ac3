"""The leader is killed, told to stop, and paused in the middle of pages, again and again."""

from __future__ import annotations

import random
import signal
from datetime import timedelta

import pytest

from leaderjobs.demo.rig import Plan
from leaderjobs.model.job import JobState
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.watching import assert_rows_equal, newest_term, pages
from tests.support import eventually

TIMES = 10
SESSION_TIMEOUT = timedelta(seconds=2)
FAULTS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)


@pytest.mark.timeout(400)
def test_a_sync_survives_thirty_deaths_and_pauses_of_its_leader(start: Start) -> None:
    plan = Plan(
        session_timeout=SESSION_TIMEOUT,
        transactions=120_000,
        page_size=100,
        latency=timedelta(milliseconds=15),
        row_bytes=400,
    )
    rig = start(plan)
    audit = Audit(rig.postgres.url)
    for name in ("a", "b", "c"):
        rig.start_worker(name)
    eventually(rig.leader, 20, "a first leader")
    job = rig.enqueue()
    faults = [fault for fault in FAULTS for _ in range(TIMES)]
    random.Random(7).shuffle(faults)

    for number, fault in enumerate(faults):
        goal = pages(rig) + 5
        eventually(lambda goal=goal: pages(rig) >= goal, 30, f"pages to flow before fault {number}")
        victim = eventually(rig.leader, 10, "a leader to strike")
        term = newest_term(rig)

        rig.send(victim, fault)
        eventually(lambda term=term: newest_term(rig) > term, 20, f"the term after {fault.name} number {number}")
        if fault is signal.SIGSTOP:
            rig.send(victim, signal.SIGCONT)
        else:
            rig.reap(victim)
            rig.start_worker(victim)
        eventually(lambda: len(rig.session.members()) >= 3, 20, "three members again")

        audit.check()  # I1, I3, I4
        running = rig.stores.jobs.get(job.id)
        assert running.state is JobState.RUNNING, running  # I6: picked up at once
        assert running.attempt == 1, running  # I7: no attempt was spent

    eventually(lambda: rig.stores.jobs.get(job.id).state.final, 120, "the sync to end")
    done = rig.stores.jobs.get(job.id)
    assert (done.state, done.attempt) == (JobState.COMPLETED, 1), done
    audit.check()
    assert_rows_equal(rig)


@pytest.mark.timeout(120)
def test_a_leader_stopped_inside_a_transaction_delays_nobody_and_commits_nothing(start: Start) -> None:
    """The leader's backend waits for a lock inside a fenced transaction when the leader is stopped."""
    import psycopg

    plan = Plan(session_timeout=SESSION_TIMEOUT, transactions=20_000, latency=timedelta(milliseconds=15))
    rig = start(plan)
    audit = Audit(rig.postgres.url)
    for name in ("a", "b"):
        rig.start_worker(name)
    victim = eventually(rig.leader, 20, "a first leader")
    rig.enqueue()
    eventually(lambda: pages(rig) >= 5, 20, "pages to flow")
    term = newest_term(rig)

    waiting = """
        SELECT count(*) AS n FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND application_name LIKE 'leaderjobs%%' AND xact_start IS NOT NULL
    """
    with psycopg.connect(rig.postgres.url) as blocker:
        blocker.execute("LOCK TABLE leaderjobs.stages IN EXCLUSIVE MODE")
        eventually(lambda: audit.execute(waiting)[0]["n"], 10, "the leader to wait inside its transaction")
        rig.send(victim, signal.SIGSTOP)
        held = pages(rig)
        eventually(
            lambda: rig.leader() not in {None, victim}, 2 * SESSION_TIMEOUT.total_seconds() + 3, "a new leader"
        )
        blocker.rollback()
    eventually(lambda: newest_term(rig) > term, 10, "a page of the new term")
    rig.send(victim, signal.SIGCONT)
    eventually(lambda: pages(rig) >= held + 20, 20, "pages to flow on")
    audit.check()
    eventually(lambda: rig.stores.jobs.counts()[JobState.COMPLETED] == 1, 60, "the sync to end")
    audit.check()
    assert_rows_equal(rig)
