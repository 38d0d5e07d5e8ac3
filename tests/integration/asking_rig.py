"""A configuration with syncs and operations on a migrated database, for those who enqueue."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from leaderjobs import app, clock
from leaderjobs.app.asking import syncs
from leaderjobs.config import Settings, load
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.engine.stores import Stores
from leaderjobs.model.term import Term
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database, TermConnections
from leaderjobs.store.syncs import Syncs

CLUSTER = "acme"
_TEXT = """
[cluster]
name = "{cluster}"
coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
database = "{url}"
[connections.household]
connector = "plaid"
client_id = "c"
secret = "s"
access_token = "t"
[connections.billing]
connector = "stripe"
api_key = "k"
[syncs.household]
connection = "household"
max_attempts = 3
time_limit = "1h"
[syncs.invoices]
connection = "billing"
streams = ["invoices", "charges"]
"""


def raised(stores: Stores, cluster: str, token: int) -> Term:
    """A term that has raised the fence of a cluster with this token."""
    return Term(
        cluster=cluster,
        partition=0,
        number=stores.terms.raise_fence(0, token, "origin", f"member-{token}"),
        token=token,
        origin="origin",
        member=f"member-{token}",
        began_at=clock.now(),
        session_timeout=timedelta(seconds=60),
        elapsed=clock.elapsed,
        sent_at=clock.elapsed(),
    )


@dataclass
class Asking:
    """One cluster of a database, its settings, and the means to lead it."""

    url: str
    settings: Settings
    stores: Stores
    tokens: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def leading(self) -> Iterator[tuple[Term, TermConnections]]:
        """A term with a fence of its own; the one before is fenced out."""
        term = raised(self.stores, CLUSTER, next(self.tokens))
        connections = TermConnections(self.stores.database, term, 2)
        try:
            yield term, connections
        finally:
            connections.close()

    def publish(self) -> None:
        """Tell the database which syncs there are, as a leader does."""
        with self.leading() as (term, connections):
            Syncs(CLUSTER).publish(connections, term, syncs(self.settings))


@contextmanager
def asking(server: PostgresServer, name: str, directory: Path) -> Iterator[Asking]:
    """A migrated database of that name, and its configuration."""
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.url_of(name)
    file = directory / "leaderjobs.toml"
    file.write_text(_TEXT.format(cluster=CLUSTER, url=url))
    file.chmod(0o600)
    database = Database(url, application="test")
    try:
        Migrations(database).apply()
        yield Asking(url, load(file, {}), app.stores(database, CLUSTER))
    finally:
        database.close()
