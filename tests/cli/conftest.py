"""One migrated database for all tests of commands, and a cluster of its own in it for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.cli.typed import Typed


@pytest.fixture(scope="package")
def migrated_url(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"typed_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = postgres_server.url_of(name)
    with closing(Database(url, application="test")) as made:
        Migrations(made).apply()
    yield url
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def typed(tmp_path: Path, migrated_url: str) -> Typed:
    """Two syncs, one connection with operations, and nobody who works."""
    cluster = f"acme-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        name = "{cluster}"
        coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
        database = "{migrated_url}"
        [connections.household]
        connector = "plaid"
        client_id = "c"
        secret = "s"
        access_token = "t"
        [connections.billing]
        connector = "stripe"
        base_url = "http://127.0.0.1:1"
        api_key = "k"
        [syncs.household]
        connection = "household"
        [syncs.balances]
        connection = "household"
        streams = ["accounts"]
        """
    )
    path.chmod(0o600)
    return Typed(path, cluster)
