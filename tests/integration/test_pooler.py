"""A pooler in transaction mode in front of Postgres: everything still holds, and nothing is ever woken by NOTIFY."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.types.json import Jsonb

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.errors import FencedOut
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState, NewJob, OnConflict
from leaderjobs.model.sync import Sync
from leaderjobs.store.jobs import Waker
from leaderjobs.store.pool import Database, TermConnections
from leaderjobs.store.syncs import Syncs
from tests.integration.asking_rig import raised
from tests.integration.engine.scripted import CLUSTER, Bench, Script, bench
from tests.pgbouncer import PgBouncer
from tests.support import eventually

BAD = (EventKind.SERVICE_FAILED, EventKind.STORE_UNAVAILABLE, EventKind.TERM_REFUSED)


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    made = PgBouncer(Path(tmp_path_factory.mktemp("pgbouncer")), postgres_server.url)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pooled_url(pooler: PgBouncer, database_url: str) -> str:
    return pooler.url_of(urlsplit(database_url).path[1:])


@pytest.fixture
def surroundings(pooled_url: str) -> Iterator[Bench]:
    """Members, stores and schema, all through the pooler."""
    with bench(pooled_url) as made:
        yield made


def test_the_pooler_is_real_and_does_what_is_feared_of_it(pooled_url: str) -> None:
    def prepare(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        for _ in range(20):
            connection.execute("SELECT 1 WHERE %s", (True,), prepare=True)

    with contextlib.ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(psycopg.connect(pooled_url)).execute("SELECT 1")
    with psycopg.connect(pooled_url, autocommit=True) as connection:
        backends = {connection.execute("SELECT pg_backend_pid()").fetchone() for _ in range(4)}
        assert len(backends) == 3
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            prepare(connection)


def test_a_notification_is_swallowed_and_waiting_ends_with_its_time(surroundings: Bench) -> None:
    waker = Waker(surroundings.stores.database, CLUSTER)
    try:
        waker.wait(timedelta(0))
        surroundings.enqueue()
        assert not waker.wait(timedelta(milliseconds=200))
    finally:
        waker.close()


def test_members_work_and_fail_over_through_the_pooler(surroundings: Bench) -> None:
    gate = threading.Semaphore(2)
    surroundings.script = Script(gate=gate, pages=5)
    first = surroundings.start("a")
    interrupted = surroundings.enqueue("c0")
    eventually(lambda: surroundings.sequences().get("first") == 2, what="two pages")
    second = surroundings.start("b")
    jobs = [
        surroundings.stores.jobs.enqueue(
            NewJob("sync", f"c{n}", ("first", "second"), key=f"k{n}", delay=timedelta(milliseconds=50 * n)),
            OnConflict.REPLACE,
        )[0]
        for n in range(1, 6)
        for _ in range(2)
    ]
    surroundings.server.expire(first.coordinator)
    gate.release(1000)

    for job in (interrupted, *jobs):
        assert surroundings.ended(job).state is JobState.COMPLETED, job
    assert len({job.id for job in jobs}) == 5
    assert surroundings.term() == 2
    for running in (first, second):
        running.stop()
        assert not [event for event in running.events if event.kind in BAD]
    with surroundings.stores.database.session() as connection:
        rows = connection.execute(
            "SELECT connection, count(*) AS n FROM scripted.first GROUP BY 1"
        ).fetchall()
    assert {row["connection"]: row["n"] for row in rows} == {f"c{n}": 5 for n in range(6)}


def test_the_fence_holds_through_the_pooler(surroundings: Bench, pooled_url: str) -> None:
    """Writers of two terms share the backends; what the old term writes after the raise is never there."""
    database = Database(pooled_url, application="old")
    syncs = Syncs(CLUSTER)
    old = raised(surroundings.stores, CLUSTER, 1)
    connections = TermConnections(database, old, limit=3)
    written = 0
    fenced = threading.Event()

    def write() -> None:
        nonlocal written
        while True:
            name = f"old{written}"
            try:
                syncs.publish(connections, old, [Sync(name, "c", ("first",), ("first",), (), 1)])
            except FencedOut:
                fenced.set()
                return
            written += 1

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        eventually(lambda: written > 20, what="the old term to write")
        new = raised(surroundings.stores, CLUSTER, 2)
        new_connections = TermConnections(surroundings.stores.database, new, limit=1)
        syncs.publish(new_connections, new, [Sync("new", "c", ("first",), ("first",), (), 1)])
        assert fenced.wait(10)
        found = surroundings.stores.database.rows("SELECT name FROM leaderjobs.syncs")
        new_connections.close()
    finally:
        writer.join(10)
        connections.close()
        database.close()
    assert [row["name"] for row in found] == ["new"]


def test_sql_enqueues_through_the_pooler(surroundings: Bench, pooled_url: str) -> None:
    sync = {"name": "sync", "connection": "c", "max_attempts": 1, "windowed": []}
    streams = {"streams": ["first"], "known": ["first"]}
    surroundings.stores.database.rows(
        "SELECT leaderjobs.publish_syncs(%(cluster)s, %(syncs)s)",
        {"cluster": CLUSTER, "syncs": Jsonb([sync | streams])},
    )
    with psycopg.connect(pooled_url) as connection:
        made = connection.execute("SELECT leaderjobs.enqueue('sync', cluster => %s)", (CLUSTER,)).fetchone()
    assert made is not None
    surroundings.start("a")

    assert surroundings.ended(surroundings.stores.jobs.get(made[0])).state is JobState.COMPLETED
