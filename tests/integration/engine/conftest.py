"""A bench around members of this process: memory coordinator, real Postgres, scripted provider."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.integration.engine.scripted import Bench, bench


@pytest.fixture
def surroundings(database_url: str) -> Iterator[Bench]:
    """A bench whose coordinator grants 15 s."""
    with bench(database_url) as made:
        yield made


@pytest.fixture(scope="module")
def migrated_url(postgres_server: PostgresServer) -> str:
    """A database for tests that use a cluster of their own: making one for each takes most of the time."""
    name = f"engine_{uuid.uuid4().hex}"
    with closing(psycopg.connect(postgres_server.url, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres_server.url_of(name)
    with closing(Database(url, application="test")) as made:
        Migrations(made).apply()
    return url


@pytest.fixture
def cluster_name() -> str:
    """One that no other test has."""
    return f"c{uuid.uuid4().hex[:12]}"
