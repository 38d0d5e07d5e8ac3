"""I1: a write of an older term never commits after a newer term has begun, whatever the older one does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from leaderjobs.errors import FencedOut, LeadershipLost, Refused, StoreUnavailable, UnknownOrigin
from leaderjobs.model.job import Completed, JobState
from leaderjobs.store import terms
from leaderjobs.store.pool import fenced
from tests.integration.store.rig import Admin, Cluster, Led, live, page
from tests.support import eventually


def _enter(connection: Admin, led: Led) -> None:
    connection.execute(
        "SELECT leaderjobs.enter(%s, 0, %s, 60000, 60000, 60000)", (led.term.cluster, led.term.number)
    )


def _fence(connection: Admin, led: Led) -> None:
    connection.execute("SELECT leaderjobs.fence(%s, 0, %s)", (led.term.cluster, led.term.number))


def test_numbers_rise_by_one_with_every_raise(cluster: Cluster) -> None:
    assert [cluster.lead().term.number for _ in range(3)] == [1, 2, 3]

    stored = cluster.terms.current(0)
    assert stored is not None
    assert (stored.number, stored.token, stored.origin, stored.member) == (3, 3, "origin", "member-3")
    assert stored.raised_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("token", [4, 5])
def test_token_that_is_not_higher_is_refused(cluster: Cluster, token: int) -> None:
    cluster.terms.raise_fence(0, 5, "origin", "first")

    with pytest.raises(FencedOut, match=r"token 5; token .* is not higher"):
        cluster.terms.raise_fence(0, token, "origin", "late")

    assert cluster.terms.raise_fence(0, 6, "origin", "next") == 2


def test_other_origin_is_refused_until_adopted_and_numbers_go_on(cluster: Cluster) -> None:
    led = cluster.lead()

    with pytest.raises(UnknownOrigin, match=r"origin rebuilt.*\(origin\).*db adopt-coordinator"):
        cluster.terms.raise_fence(0, 99, "rebuilt", "m")
    assert cluster.terms.adopt("rebuilt") == 1
    with pytest.raises(FencedOut):
        cluster.claim(led)
    with pytest.raises(UnknownOrigin):
        cluster.terms.raise_fence(0, 99, "origin", "m")

    assert cluster.terms.raise_fence(0, 1, "rebuilt", "m") == 3
    assert cluster.terms.adopt("rebuilt") == 0


def test_racing_raises_end_with_the_highest_token(cluster: Cluster) -> None:
    refused: list[int] = []
    raised: dict[int, int] = {}

    def claim(token: int) -> None:
        try:
            raised[token] = cluster.terms.raise_fence(0, token, "origin", f"m{token}")
        except FencedOut:
            refused.append(token)

    threads = [threading.Thread(target=claim, args=(token,)) for token in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    stored = cluster.terms.current(0)
    assert stored is not None
    assert stored.token == 8
    assert len(raised) + len(refused) == 8
    by_token = [raised[token] for token in sorted(raised)]
    assert by_token == list(range(1, len(raised) + 1))


def test_raise_waits_for_a_commit_in_flight(cluster: Cluster, admin: Admin) -> None:
    """Held by a transaction that cannot be evicted (no name): the raise must not pass before it ends."""
    old = cluster.lead()
    done = threading.Event()

    def lead() -> None:
        cluster.lead()
        done.set()

    thread = threading.Thread(target=lead)
    with admin.transaction():
        _fence(admin, old)
        thread.start()
        assert not done.wait(1.0)
        before = cluster.terms.current(0)
    assert done.wait(5.0)
    thread.join(5)

    after = cluster.terms.current(0)
    assert before is not None
    assert after is not None
    assert (before.number, after.number) == (1, 2)


def test_fence_that_comes_during_a_raise_is_refused(cluster: Cluster, admin: Admin, store_url: str) -> None:
    """The old term's fence waits on the uncommitted raise, then must see the new number, not its snapshot's."""
    old = cluster.lead()
    refused = threading.Event()

    def fence() -> None:
        with psycopg.connect(store_url, autocommit=True) as connection:
            try:
                _fence(connection, old)
            except psycopg.Error as error:
                if error.sqlstate == "LJ001":
                    refused.set()

    thread = threading.Thread(target=fence)
    with admin.transaction():
        admin.execute("UPDATE leaderjobs.terms SET number = number + 1")
        thread.start()
        assert not refused.wait(0.3)
    assert refused.wait(5.0)
    thread.join(5)


def test_stalled_term_that_holds_the_fence_does_not_delay_the_raise(cluster: Cluster, admin: Admin) -> None:
    old = cluster.lead()
    admin.execute("BEGIN")
    _enter(admin, old)
    _fence(admin, old)
    began = time.monotonic()

    cluster.lead()

    assert time.monotonic() - began < 1.0
    with pytest.raises(psycopg.OperationalError):
        admin.execute("COMMIT")


def test_backend_stalled_within_a_pipeline_is_freed_by_the_raise(
    cluster: Cluster, admin: Admin, store_url: str
) -> None:
    """Such a backend counts as active, so that no idle timeout ever ends it."""
    old = cluster.lead()
    with closing(psycopg.connect(store_url, autocommit=True)) as stalled:
        pipe = stalled.pgconn
        pipe.enter_pipeline_mode()
        who = f"'{old.term.cluster}', 0, {old.term.number}"
        for statement in (
            "BEGIN",
            f"SELECT leaderjobs.enter({who}, 100, 5000, 60000)",
            f"SELECT leaderjobs.fence({who})",
        ):
            pipe.send_query_params(statement.encode(), [])
        pipe.send_flush_request()
        while pipe.flush():
            pass
        state = "SELECT state FROM pg_stat_activity WHERE application_name LIKE 'leaderjobs-term:%' AND query LIKE '%fence%'"
        assert eventually(lambda: admin.execute(state).fetchone()) == ("active",)
        assert not threading.Event().wait(0.3), "longer than its idle timeout"
        assert admin.execute(state).fetchone() == ("active",)
        began = time.monotonic()

        cluster.lead()

        assert time.monotonic() - began < 1.0
        assert eventually(lambda: admin.execute(state).fetchone() is None)


def test_transaction_stalled_before_its_fence_lets_go_of_its_rows_at_the_raise(
    cluster: Cluster, admin: Admin
) -> None:
    old = cluster.lead()
    job = cluster.start(old)
    admin.execute("BEGIN")
    _enter(admin, old)
    admin.execute("UPDATE leaderjobs.jobs SET error = 'stalled' WHERE id = %s", (job.id,))
    new = cluster.lead()
    began = time.monotonic()

    assert cluster.jobs.rescue(new.connections, new.term) == 1

    assert time.monotonic() - began < 1.0
    assert cluster.jobs.get(job.id).error is None


def test_older_term_is_refused_on_entering_so_it_takes_no_locks(cluster: Cluster, admin: Admin) -> None:
    old = cluster.lead()
    cluster.lead()

    with pytest.raises(psycopg.Error) as refused:
        _enter(admin, old)

    assert refused.value.sqlstate == "LJ001"


def test_claimant_with_a_lower_token_does_not_cut_off_the_leader(cluster: Cluster, admin: Admin) -> None:
    next(cluster.tokens)
    leader = cluster.lead()
    admin.execute("BEGIN")
    _enter(admin, leader)
    _fence(admin, leader)

    with pytest.raises(FencedOut):
        cluster.terms.raise_fence(0, 1, "origin", "late")

    admin.execute("COMMIT")


def test_eviction_leaves_other_clusters_and_partitions_alone(
    make_cluster: Callable[[str], Cluster], admin: Admin
) -> None:
    one, two = make_cluster("one"), make_cluster("two")
    leader = two.lead()
    one.lead()
    admin.execute("BEGIN")
    _enter(admin, leader)

    one.lead()
    one.terms.raise_fence(1, 1, "origin", "m")

    admin.execute("COMMIT")


def _claim(cluster: Cluster, led: Led) -> object:
    cluster.enqueue("other")
    return cluster.claim(led)


def _finish(cluster: Cluster, led: Led) -> object:
    (job,) = cluster.jobs.running()
    return cluster.finish(led, job, Completed())


def _commit(cluster: Cluster, led: Led) -> object:
    (job,) = cluster.jobs.running()
    return cluster.commit(led, job, page({"id": "late"}), None)


def _rescue(cluster: Cluster, led: Led) -> object:
    return cluster.jobs.rescue(led.connections, led.term)


@pytest.mark.parametrize("write", [_claim, _finish, _commit, _rescue])
def test_every_write_of_an_older_term_is_refused_and_leaves_nothing(
    cluster: Cluster, admin: Admin, write: Callable[[Cluster, Led], object]
) -> None:
    old = cluster.lead()
    job = cluster.start(old)
    cluster.lead()

    with pytest.raises(FencedOut):
        write(cluster, old)

    assert cluster.jobs.get(job.id) == job
    assert cluster.jobs.counts()[JobState.RUNNING] == 1
    assert cluster.markers.all() == []
    assert live(admin) == set()


def _write_while(led: Led, meddle: Callable[[], object]) -> None:
    """A transaction of the term, with `meddle` between its work, which has run, and its fence."""
    with fenced(led.connections, led.term) as connection:
        connection.execute("INSERT INTO leaderjobs.holds VALUES ('acme', 'c', '', '', now(), now())")
        connection.execute("SELECT 1").fetchone()
        meddle()


def test_raise_between_the_work_and_its_fence_rolls_the_work_back(cluster: Cluster, admin: Admin) -> None:
    """The raise evicts it or the fence refuses it; either way nothing stays."""
    old = cluster.lead()

    with pytest.raises((FencedOut, StoreUnavailable)):
        _write_while(old, cluster.lead)

    assert admin.execute("SELECT count(*) FROM leaderjobs.holds").fetchone() == (0,)


def test_fence_refuses_what_the_eviction_did_not_reach(cluster: Cluster, admin: Admin) -> None:
    """The number rises without any eviction: the last statement alone must stop the commit."""
    old = cluster.lead()

    with pytest.raises(FencedOut):
        _write_while(old, lambda: admin.execute("UPDATE leaderjobs.terms SET number = number + 1"))

    assert admin.execute("SELECT count(*) FROM leaderjobs.holds").fetchone() == (0,)


def test_term_that_is_over_by_its_own_clock_sends_no_commit(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()

    with pytest.raises(LeadershipLost, match="stop"):
        _write_while(led, lambda: led.term.end("stop"))

    assert admin.execute("SELECT count(*) FROM leaderjobs.holds").fetchone() == (0,)
    with pytest.raises(LeadershipLost):
        cluster.claim(led)


def test_transaction_of_a_term_is_bounded_and_named_and_leaves_no_trace_in_the_session(
    cluster: Cluster,
) -> None:
    led = cluster.lead(limit=1)
    shown = "SELECT current_setting(%s) AS value"
    names = ("application_name", "idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")

    with fenced(led.connections, led.term) as connection:
        inside = [connection.execute(shown, (name,)) for name in names]
    with led.connections.use() as connection:
        after = [connection.execute(shown, (name,)) for name in names]

    values = [cursor.fetchone()["value"] for cursor in inside]  # type: ignore[index]
    assert values[0].startswith("leaderjobs-term:")
    assert values[1:] == ["15s", "5s", "10s"]
    assert [cursor.fetchone()["value"] for cursor in after] == ["test", "0", "0", "0"]  # type: ignore[index]


def test_abort_makes_a_blocked_statement_raise_at_once(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    raised = threading.Event()

    def block() -> None:
        with pytest.raises(StoreUnavailable), led.connections.use() as connection:
            connection.execute("SELECT pg_sleep(60)")
        raised.set()

    thread = threading.Thread(target=block)
    thread.start()
    asleep = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()"
    eventually(lambda: admin.execute(asleep).fetchone())

    led.connections.abort()

    assert raised.wait(2.0)
    thread.join(5)
    with pytest.raises(LeadershipLost), led.connections.use():
        pass


def test_raise_gives_up_with_advice_when_the_lock_cannot_be_had(
    cluster: Cluster, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "RAISE_PATIENCE", timedelta(milliseconds=300))
    old = cluster.lead()
    with admin.transaction():
        _fence(admin, old)
        with pytest.raises(StoreUnavailable, match="pg_signal_backend"):
            cluster.lead()


def test_job_ids_of_nobody_are_refused(cluster: Cluster) -> None:
    with pytest.raises(Refused, match="no job 7"):
        cluster.jobs.get(7)
