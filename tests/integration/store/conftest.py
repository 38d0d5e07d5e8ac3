"""A migrated database, emptied for every test, and clusters in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.store import table_changes
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from tests.integration.store.rig import CONNECTOR, STREAM, Admin, Cluster
from tests.integration.store.tables_rig import Grown

_EMPTY = """
TRUNCATE leaderjobs.effect_sends, leaderjobs.effects, leaderjobs.terms, leaderjobs.jobs, leaderjobs.holds, leaderjobs.markers, leaderjobs.stages, leaderjobs.met, leaderjobs.quotas, leaderjobs.schedules, leaderjobs.fires, leaderjobs.attempts, leaderjobs.job_lines, leaderjobs.breaches, leaderjobs.notices, shop.things
"""


@pytest.fixture(scope="package")
def store_url(postgres_server: PostgresServer) -> str:
    """Migrated, with the table of STREAM; making a database for every test would take most of the time."""
    with closing(psycopg.connect(postgres_server.url, autocommit=True)) as connection:
        connection.execute("CREATE DATABASE stores")
    url = postgres_server.url_of("stores")
    with closing(Database(url, application="test")) as made:
        Migrations(made).apply()
        Tables(made).ensure(CONNECTOR, [STREAM])
    return url


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(psycopg.connect(store_url, autocommit=True)) as connection:
        connection.execute(_EMPTY)
    made = Database(store_url, application="test")
    yield made
    made.close()


@pytest.fixture
def make_cluster(database: Database) -> Iterator[Callable[[str], Cluster]]:
    made: list[Cluster] = []

    def make(name: str) -> Cluster:
        made.append(Cluster(database, name))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def cluster(make_cluster: Callable[[str], Cluster]) -> Cluster:
    return make_cluster("acme")


@pytest.fixture
def admin(database: Database, store_url: str) -> Iterator[Admin]:
    """A plain connection to look at what is stored, and to meddle."""
    del database
    with closing(psycopg.connect(store_url, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def grown(cluster: Cluster, admin: Admin) -> Iterator[Grown]:
    """A schema for tables that change, dropped afterwards."""
    yield Grown(cluster, admin)
    admin.execute("DROP SCHEMA IF EXISTS grown CASCADE; DELETE FROM leaderjobs.columns")


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is small enough to be rewritten."""
    monkeypatch.setattr(table_changes, "MOST_REWRITTEN_BYTES", -1)
