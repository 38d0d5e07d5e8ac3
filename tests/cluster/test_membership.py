"""Who is told apart from whom: members of one name, clusters of one database, leaders by request."""

from __future__ import annotations

import ctypes
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from leaderjobs import app
from leaderjobs.config import load
from leaderjobs.demo.rig import SYNC, Plan, Rig
from leaderjobs.model.job import JobState, NewJob
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.watching import (
    assert_completed,
    flowing,
    leaderjobs,
    newest_term,
    other_config,
    start_workers,
    status,
)
from tests.support import eventually

PLAN = Plan(
    session_timeout=timedelta(seconds=2),
    transactions=10_000,
    page_size=100,
    latency=timedelta(milliseconds=20),
)

WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND application_name LIKE 'leaderjobs-term:%'
"""
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def test_two_clusters_in_one_database_do_not_touch_each_other(start: Start) -> None:
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    config = other_config(rig, "other.toml", name='"other"')
    settings = load(config, {})
    start_workers(rig, "a", "b")
    rig.start_worker("x", config)
    with app.opened_stores(settings) as other:
        eventually(lambda: other.terms.current(0), 60, "the other cluster's leader")
        mine = rig.enqueue()
        theirs, _ = other.jobs.enqueue(NewJob(SYNC, SYNC, ("accounts", "transactions")))
        flowing(rig)
        victim = eventually(rig.leader, 60, "a leader")
        rig.send(victim, signal.SIGKILL)
        rig.reap(victim)

        assert_completed(rig, mine)
        eventually(lambda: other.jobs.get(theirs.id).state.final, 60, "the other sync to end")
        assert other.jobs.get(theirs.id).state is JobState.COMPLETED
        term = other.terms.current(0)
        assert term is not None
        assert term.number == 1, "the other cluster's term was touched"
        stored = sum(1 for _ in other.rows.documents("plaid", "transactions", SYNC))
        assert stored == PLAN.transactions
    audit.check("demo")
    audit.check("other")


def test_a_second_member_of_the_same_name_on_one_machine_is_refused(start: Start) -> None:
    rig = start(PLAN)
    start_workers(rig, "a")
    ran = leaderjobs(rig, "run", "--id", "a")
    assert ran.returncode == 2
    assert "choose another --id" in ran.stderr.splitlines()[-1]
    assert rig.leader() == "a"


def test_members_of_the_same_name_on_two_machines_are_told_apart(start: Start) -> None:
    """Another state directory stands for another machine: their locks cannot see each other."""
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    start_workers(rig, "a")
    first = rig.workers.pop("a")
    elsewhere = f'"{rig.directory / "elsewhere"}"'
    rig.start_worker("a", other_config(rig, "elsewhere.toml", state_directory=elsewhere))
    eventually(lambda: len(rig.session.members()) == 2, 60, "both members")
    told = status(rig)
    assert [member["id"] for member in told["members"]] == ["a", "a"]
    assert sorted(member["role"] for member in told["members"]) == ["follower", "leader"]
    assert any(problem["code"] == "duplicate_member" for problem in told["problems"])

    job = rig.enqueue()
    flowing(rig)
    first.kill()
    first.wait(10)
    assert_completed(rig, job)
    audit.check()


def test_a_leader_asked_to_resign_hands_over_in_the_middle_of_a_sync(start: Start) -> None:
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    before = start_workers(rig, "a", "b")
    eventually(lambda: len(rig.session.members()) == 2, 60, "both members")
    job = rig.enqueue()
    flowing(rig)
    term = newest_term(rig)

    ran = leaderjobs(rig, "leader", "resign")

    assert ran.returncode == 0, ran.stderr
    after = eventually(rig.leader, 60, "the next leader")
    assert after != before
    assert f"{before} resigned" in ran.stdout
    eventually(lambda: newest_term(rig) > term, 60, "a page of the next term")
    assert_completed(rig, job)
    audit.check()


def test_a_second_signal_ends_a_leader_at_once(start: Start) -> None:
    """The first one waits for the page that is being committed; here a lock holds that commit up."""
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    leader = start_workers(rig, "a")
    job = rig.enqueue()
    flowing(rig)
    with psycopg.connect(rig.postgres.url) as blocker:
        blocker.execute("LOCK TABLE leaderjobs.stages IN EXCLUSIVE MODE")
        eventually(partial(audit.execute, WAITING), 60, "a commit to wait for the lock")
        rig.send(leader, signal.SIGTERM)
        eventually(
            lambda: "term_draining" in (rig.directory / "a.log").read_text(), 10, "the leader to drain"
        )
        assert rig.workers[leader].poll() is None
        rig.send(leader, signal.SIGTERM)
        assert rig.reap(leader) == 0
    rig.start_worker("a")
    assert_completed(rig, job)
    audit.check()


def test_a_signal_that_the_system_hands_to_another_thread_is_heard(start: Start) -> None:
    """It wakes that thread only, and Python runs handlers on the main one."""
    rig = start(PLAN)
    leader = start_workers(rig, "a")
    pid = rig.workers[leader].pid
    others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)]
    # The oldest lives as long as the process; a timer's would take the signal with it.
    assert ctypes.CDLL(None, use_errno=True).tgkill(pid, min(others), signal.SIGTERM) == 0
    assert rig.reap(leader) == 0


def test_a_provider_that_hangs_does_not_delay_an_orderly_stop(start: Start) -> None:
    rig = start(PLAN)
    leader = start_workers(rig, "a")
    job = rig.enqueue()
    flowing(rig)
    rig.provider.faults({"kind": "hang"})
    eventually(lambda: rig.provider.state()["faults_struck"] > 0, 60, "a request that hangs")
    rig.send(leader, signal.SIGTERM)
    assert rig.reap(leader) == 0
    given_back = rig.stores.jobs.get(job.id)
    assert (given_back.state, given_back.attempt) == (JobState.AVAILABLE, 0)


def test_status_follows_a_cluster_from_nobody_to_a_finished_sync(start: Start) -> None:
    rig = start(PLAN)
    nobody = leaderjobs(rig, "status", "--check", "--output", "json")
    assert nobody.returncode == 3
    assert leaderjobs(rig, "leader", "show").returncode == 3

    start_workers(rig, "a", "b")
    eventually(lambda: len(rig.session.members()) == 2, 60, "both members")
    waited = leaderjobs(rig, "enqueue", SYNC, "--wait", "--output", "json")
    assert waited.returncode == 0, waited.stderr
    healthy = eventually(lambda: _healthy(rig), 60, "a healthy cluster")
    assert healthy["jobs"]["completed"] == 1
    assert {marker["stream"] for marker in healthy["markers"]} == {"accounts", "transactions"}
    follower = next(member for member in healthy["members"] if member["role"] == "follower")
    assert follower["lag"] == {"markers": 0, "seconds": 0.0}


def _healthy(rig: Rig) -> dict[str, Any] | None:
    ran = leaderjobs(rig, "status", "--check")
    return status(rig) if ran.returncode == 0 else None
