"""Connections: what breaks is told in one line without secrets, and mended without help."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.errors import ConfigError, LeaderJobsError, StoreError, StoreUnavailable
from leaderjobs.store import pool, queries
from leaderjobs.store.deadline import answered_within
from leaderjobs.store.pool import Connection, Database
from tests.integration.store.rig import Admin, Cluster
from tests.support import free_port
from tests.support_proxy import TcpProxy

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/x",
        f"postgresql://u:p@{SECRET}@127.0.0.1:1/x",
        f"postgresql://u:{SECRET}/p@127.0.0.1:1/x",
        f"postgresql://u:12/{SECRET}@127.0.0.1/x",
        f"postgresql://u:p?{SECRET}@127.0.0.1/x",
        f"postgresql://u:p#{SECRET}@nohost.invalid/x",
        f"postgresql://u:%zz{SECRET}@127.0.0.1/x",
        f"host=127.0.0.1 port=1 password={SECRET} dbname=x",
        f"host=127.0.0.1 port=1 password='{SECRET}",
    ],
)
def test_no_password_is_told_however_the_url_is_mistyped(url: str) -> None:
    with pytest.raises(LeaderJobsError) as failed:
        Database(url, application="test").connect()

    assert isinstance(failed.value, ConfigError | StoreUnavailable)
    if isinstance(failed.value, StoreUnavailable):
        assert SECRET not in repr(Database(url, application="test"))
    assert SECRET not in str(failed.value)
    assert "\n" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_unreachable_server_is_told_with_its_place_and_reason(postgres_server: PostgresServer) -> None:
    port = free_port()
    with pytest.raises(
        StoreUnavailable, match=rf"127\.0\.0\.1:{port}/x cannot be reached: nothing listens there"
    ):
        Database(f"postgresql://u@127.0.0.1:{port}/x", application="test").connect()
    with pytest.raises(StoreUnavailable, match="the database does not exist"):
        Database(postgres_server.url_of("nowhere"), application="test").connect()


def test_idle_connections_that_a_restart_has_broken_are_not_lent(own_postgres: PostgresServer) -> None:
    with closing(Database(own_postgres.url, application="test")) as database:
        with database.session() as one, database.session() as two:
            one.execute("SELECT 1")
            two.execute("SELECT 1")
        own_postgres.kill()
        with pytest.raises(StoreUnavailable):
            database.rows("SELECT 1 AS one")
        own_postgres.start()

        assert database.rows("SELECT 1 AS one") == [{"one": 1}]


def test_connection_that_breaks_within_a_statement_is_store_unavailable(
    database: Database, admin: Admin
) -> None:
    def break_within() -> None:
        with database.session() as connection:
            admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            connection.execute("SELECT 1")

    with pytest.raises(StoreUnavailable):
        break_within()

    assert database.rows("SELECT 1 AS one") == [{"one": 1}]


def test_failed_statement_is_one_line_and_leaves_a_usable_connection(database: Database) -> None:
    with pytest.raises(StoreError, match="division by zero") as failed:
        database.rows("SELECT 1 / 0")

    assert type(failed.value) is StoreError
    assert "\n" not in str(failed.value)
    assert database.rows("SELECT 1 AS one") == [{"one": 1}]


def test_short_transactions_are_bounded(database: Database) -> None:
    shown = "SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l"
    assert database.rows(shown) == [{"s": "10s", "l": "5s"}]


def test_few_connections_are_kept(database: Database, admin: Admin) -> None:
    sessions = [database.session() for _ in range(pool.MOST_IDLE + 3)]
    for session in sessions:
        session.__enter__()
    for session in sessions:
        session.__exit__(None, None, None)

    assert len(database._idle) == pool.MOST_IDLE
    del admin


def test_term_connections_are_bounded_and_lent_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    led = cluster.lead(limit=1)
    with led.connections.use() as connection:
        first = connection.info.backend_pid
        waits: list[int] = []
        thread = threading.Thread(target=lambda: waits.append(_pid(cluster, led.connections)))
        thread.start()
        assert not threading.Event().wait(0.1)
        assert waits == []
    thread.join(5)
    assert waits == [first]

    monkeypatch.setattr(pool, "TERM_CONNECTION_PATIENCE", 0.1)
    with (
        led.connections.use(),
        pytest.raises(StoreUnavailable, match="all 1 connections"),
        led.connections.use(),
    ):
        pass


def _pid(cluster: Cluster, connections: pool.TermConnections) -> int:
    del cluster
    with connections.use() as connection:
        return connection.info.backend_pid


def test_broken_term_connection_is_replaced(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead(limit=1)
    with led.connections.use() as connection:
        pid = connection.info.backend_pid
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    assert cluster.claim(led) == []


def test_nothing_is_prepared_by_name(cluster: Cluster) -> None:
    """Behind a pooler in transaction mode the next statement may reach a backend that has not seen it."""
    led = cluster.lead(limit=1)
    for _ in range(10):
        cluster.claim(led)

    with led.connections.use() as connection:
        assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


@pytest.mark.parametrize(
    "text", ["SELECT 1", "-- name: a\n-- only why\n", "-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n"]
)
def test_statement_without_a_name_or_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"test\.sql"):
        queries.parse(text, "test.sql")


def test_unknown_statement_is_told_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"'nosuch'.*rescue"):
        queries.load("jobs")["nosuch"]


def test_a_server_that_hangs_is_given_up_without_its_help(
    postgres_server: PostgresServer, database_url: str
) -> None:
    """Every byte is acknowledged and nothing is answered: no timeout of the server's or of TCP's fires."""
    there = urlsplit(database_url)
    with TcpProxy("127.0.0.1", postgres_server.port) as proxy:
        through = there._replace(netloc=f"{there.username}:{there.password}@{proxy.address}").geturl()
        database = Database(through, application="test")
        database.rows("SELECT 1 AS one")
        proxy.black_hole()
        with pytest.raises(StoreUnavailable), _lent(database, timedelta(milliseconds=200)) as connection:
            connection.execute("SELECT 1")
        proxy.restore()
        assert database.rows("SELECT 1 AS one") == [{"one": 1}]
        database.close()


@contextmanager
def _lent(database: Database, limit: timedelta) -> Iterator[Connection]:
    with database.session() as connection, answered_within(connection, limit):
        yield connection
