"""Real servers for every test that wants one: one of each per session, or a private one to break."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.zookeeper import ZooKeeperServer

S = TypeVar("S", ZooKeeperServer, PostgresServer)


@pytest.fixture(scope="session")
def zookeeper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    """Shared by the session: do not stop it."""
    yield from _serving(ZooKeeperServer(tmp_path_factory.mktemp("zookeeper"), durable=False))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Shared by the session: do not stop it."""
    yield from _serving(PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False))


@pytest.fixture
def own_zookeeper(tmp_path: Path) -> Iterator[ZooKeeperServer]:
    """A private server that the test may kill and start again."""
    yield from _serving(ZooKeeperServer(tmp_path / "zookeeper", durable=False))


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A private server that the test may kill and start again."""
    yield from _serving(PostgresServer(tmp_path / "postgres", durable=False))


@pytest.fixture
def zookeeper_url(zookeeper_server: ZooKeeperServer) -> str:
    """A chroot that nobody has used."""
    return f"zookeeper://{zookeeper_server.address}/test-{uuid.uuid4().hex}"


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh empty database, dropped afterwards with whoever is still connected to it."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield postgres_server.url_of(name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _serving(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
