"""ZooKeeper and Postgres go away and come back, or come back different, in the middle of a sync."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from leaderjobs.demo.rig import Plan, Rig
from tests.cluster.conftest import Start
from tests.cluster.watching import (
    assert_completed,
    flowing,
    leaderjobs,
    newest_term,
    pages,
    status,
    syncing,
)
from tests.support import eventually

PLAN = Plan(
    session_timeout=timedelta(seconds=2),
    transactions=20_000,
    page_size=100,
    latency=timedelta(milliseconds=20),
)

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def logs(rig: Rig) -> str:
    """What both members have said."""
    return (rig.directory / "a.log").read_text() + (rig.directory / "b.log").read_text()


def test_zookeeper_killed_and_restarted_costs_no_page_and_no_attempt(start: Start) -> None:
    rig, audit, job = syncing(start(PLAN), "a", "b")

    rig.zookeeper.kill()
    rig.zookeeper.start()

    flowing(rig, 20)
    assert_completed(rig, job)
    audit.check()


def test_a_leader_without_zookeeper_stops_by_its_own_clock(start: Start) -> None:
    """No server tells it that its session ended: ZooKeeper is down for longer than the timeout."""
    rig, audit, job = syncing(start(PLAN), "a", "b")

    rig.zookeeper.stop()
    stopped_at = audit.now()
    eventually(lambda: "term_ended" in logs(rig), 10)
    held = pages(rig)
    rig.zookeeper.start()

    last = max(entry.at for entry in audit.entries() if entry.fact("sequence") == held)
    assert last - stopped_at < PLAN.session_timeout.total_seconds(), "it committed beyond what it may believe"
    flowing(rig, 20)
    assert_completed(rig, job)
    audit.check()


def test_postgres_restarted_in_the_middle_of_a_sync_costs_no_attempt(start: Start) -> None:
    rig, audit, job = syncing(start(PLAN), "a", "b")

    rig.postgres.stop()
    rig.postgres.start()

    flowing(rig, 20)
    assert_completed(rig, job)
    audit.check()


def test_a_terminated_backend_costs_no_attempt(start: Start) -> None:
    rig, audit, job = syncing(start(PLAN), "a", "b")
    leader = eventually(rig.leader, 60, "a leader")

    # Between its transactions a backend carries the member's name, inside one that of the term.
    ended = audit.execute(
        """
        SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity
        WHERE application_name = %s OR application_name LIKE 'leaderjobs-term:%%'
        """,
        f"leaderjobs demo {leader}",
    )
    assert ended[0]["n"] >= 1

    flowing(rig, 20)
    assert_completed(rig, job)
    audit.check()


def test_a_wiped_zookeeper_is_refused_until_it_is_adopted(start: Start) -> None:
    rig, audit, job = syncing(start(PLAN), "a", "b")

    rig.zookeeper.stop()
    shutil.rmtree(rig.zookeeper.directory / "data")
    rig.zookeeper.start()
    eventually(
        lambda: any(problem["code"] == "unknown_origin" for problem in status(rig)["problems"]),
        30,
        "status to name the unknown origin",
    )
    # Until its own clock says otherwise the old leader may go on: the fence knows of no newer term.
    eventually(lambda: "term_ended" in logs(rig), 60, "the old term to end")
    term, held = newest_term(rig), pages(rig)
    assert leaderjobs(rig, "status", "--check").returncode == 3
    eventually(lambda: "adopt-coordinator" in logs(rig), 30)
    assert (newest_term(rig), pages(rig)) == (term, held), "a page was committed under an unknown origin"

    adopted = leaderjobs(rig, "db", "adopt-coordinator", "-y")
    assert adopted.returncode == 0, adopted.stderr

    flowing(rig, 20)
    assert newest_term(rig) > term
    assert_completed(rig, job)
    audit.check()
