"""The waker: what it is told, by whom, and what ends its waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.job import Completed
from leaderjobs.model.signal import SignalKind
from leaderjobs.store.jobs import Waker
from leaderjobs.store.pool import Database
from tests.integration.store.rig import Admin, Cluster
from tests.support import eventually, free_port

HOUR = timedelta(hours=1)


def test_waker_is_told_of_new_jobs_and_final_ones_of_its_cluster(
    make_cluster: Callable[[str], Cluster], database: Database
) -> None:
    one, two = make_cluster("one"), make_cluster("two")
    led = one.lead()
    waker = Waker(database, "one")
    try:
        assert waker.wait(timedelta(0)), "what came before it listened is not known"
        assert not waker.wait(timedelta(milliseconds=50))
        job = one.enqueue()
        assert waker.wait(timedelta(seconds=5))
        two.enqueue()
        assert not waker.wait(timedelta(milliseconds=200))
        assert one.enqueue("bank", priority=2, delay=HOUR)
        (told,) = waker.hear(timedelta(seconds=5))
        assert (told.kind, told.connection, told.priority) == (SignalKind.DUE, "bank", 2)
        assert told.at is not None
        assert told.at - clock.now() > timedelta(minutes=59)
        (job,) = one.claim(led)
        one.finish(led, job, Completed())
        assert waker.wait(timedelta(seconds=5))
    finally:
        waker.close()
    assert not waker.wait(timedelta(seconds=5))


def test_closing_a_waker_wakes_the_thread_that_waits(database: Database) -> None:
    waker = Waker(database, "acme")
    waker.wait(timedelta(0))
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(waker.wait(timedelta(seconds=60))))
    thread.start()
    assert not threading.Event().wait(0.1)

    waker.close()

    thread.join(2)
    assert told == [False]


def test_waker_listens_again_after_its_connection_was_ended(
    cluster: Cluster, database: Database, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.store.waker.RECONNECT_EVERY", 0.0)
    waker = Waker(database, cluster.name)
    try:
        waker.wait(timedelta(0))
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        assert admin.execute(ended).fetchall() == [(True,)]
        assert eventually(lambda: waker.wait(timedelta(milliseconds=50)))
        cluster.enqueue()
        assert waker.wait(timedelta(seconds=5))
    finally:
        waker.close()


def test_waker_without_a_database_only_waits() -> None:
    database = Database(f"postgresql://u@127.0.0.1:{free_port()}/x", application="test")
    waker = Waker(database, "acme")
    try:
        assert not waker.wait(timedelta(milliseconds=50))
    finally:
        waker.close()
    with pytest.raises(StoreUnavailable):
        database.connect()
