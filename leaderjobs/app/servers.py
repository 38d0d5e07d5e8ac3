"""Which coordinator and which database there are, configured or embedded, and what is kept in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from leaderjobs import logs
from leaderjobs.config import coordinator_url, database_url
from leaderjobs.errors import ConfigError, EmbeddedError

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.coordination.base import Coordinator
    from leaderjobs.engine.stores import Stores
    from leaderjobs.store.pool import Database

OBSERVER_TIMEOUT = timedelta(seconds=10)
"""Session timeout asked for by commands that only look; they close their session when done."""


@dataclass(frozen=True, slots=True, repr=False)
class Servers:
    """Where the coordinator and the database are; the URLs may hold passwords, so there is no repr."""

    coordinator: str
    database: str
    embedded_database: bool


def servers(settings: Settings, *, start: bool) -> Servers:
    """The configured servers, or the embedded pair where one is left out.

    With `start` the embedded pair is started when it is not running; without, EmbeddedError says how to.
    """
    coordinator, database = coordinator_url(settings.cluster), database_url(settings.cluster)
    if coordinator is not None and database is not None:
        return Servers(coordinator, database, embedded_database=False)
    from leaderjobs.embedded import dev

    directory = dev.default_directory()
    pair = dev.start(directory) if start else dev.status(directory)
    if pair is None:
        raise EmbeddedError("the embedded servers are not running; start them with: leaderjobs dev start")
    return Servers(
        coordinator or pair.coordinator_url,
        database or pair.database_url,
        embedded_database=database is None,
    )


def coordinator(settings: Settings, found: Servers, *, guid: str = "", timeout: timedelta) -> Coordinator:
    """A session-to-be with the coordinator that the URL names."""
    kind = found.coordinator.partition("://")[0]
    if kind == "zookeeper":
        from leaderjobs.coordination.zookeeper import ZooKeeperCoordinator

        return ZooKeeperCoordinator(
            found.coordinator, settings.cluster.name, guid or uuid.uuid4().hex, timeout
        )
    raise ConfigError(f"coordinator = {kind}://…: allowed: zookeeper://")


def database(found: Servers, application: str) -> Database:
    """Connections-to-be to Postgres; the embedded database is brought to the newest schema first."""
    from leaderjobs.store.migrate import Migrations
    from leaderjobs.store.pool import Database

    made = Database(found.database, application=application)
    if found.embedded_database:
        Migrations(made).apply()
    return made


def stores(made: Database, cluster: str) -> Stores:
    """The nouns kept in the database."""
    from leaderjobs.engine.stores import Stores
    from leaderjobs.store.batches import Batches
    from leaderjobs.store.effects import Effects
    from leaderjobs.store.history import History
    from leaderjobs.store.holds import Holds
    from leaderjobs.store.job_admin import JobAdmin
    from leaderjobs.store.jobs import Jobs
    from leaderjobs.store.markers import Markers
    from leaderjobs.store.notices import Notices
    from leaderjobs.store.overview import Overview
    from leaderjobs.store.queue import Queue
    from leaderjobs.store.quotas import Quotas
    from leaderjobs.store.rows import Rows
    from leaderjobs.store.schedules import Schedules
    from leaderjobs.store.tables import Tables
    from leaderjobs.store.terms import Terms

    return Stores(
        database=made,
        terms=Terms(made, cluster),
        jobs=Jobs(made, cluster),
        queue=Queue(made, cluster),
        markers=Markers(made, cluster),
        batches=Batches(made, cluster),
        holds=Holds(made, cluster),
        effects=Effects(made, cluster),
        quotas=Quotas(made, cluster),
        tables=Tables(made),
        rows=Rows(made, cluster),
        schedules=Schedules(made, cluster),
        job_admin=JobAdmin(made, cluster),
        overview=Overview(made, cluster),
        history=History(made, cluster, logs.redacted),
        notices=Notices(made, cluster),
    )


@contextmanager
def opened_stores(settings: Settings, *, start: bool = True, migrate: bool = False) -> Iterator[Stores]:
    """The stores of a configured cluster, the schema checked (or brought up to date); closed at the end."""
    from leaderjobs.store.migrate import Migrations

    made = database(servers(settings, start=start), "leaderjobs")
    try:
        if migrate:
            Migrations(made).apply()
        Migrations(made).check()
        yield stores(made, settings.cluster.name)
    finally:
        made.close()


@contextmanager
def observer(settings: Settings, *, start: bool = False) -> Iterator[Coordinator]:
    """A connected coordinator that neither joins nor campaigns, closed at the end."""
    made = coordinator(settings, servers(settings, start=start), timeout=OBSERVER_TIMEOUT)
    try:
        made.listen(lambda _event: None)
        made.connect(timedelta(seconds=5))
        yield made
    finally:
        made.close()


def coordinator_origin(settings: Settings) -> str:
    """The random id of the coordinator's data, as it is now."""
    with observer(settings, start=True) as session:
        return session.origin()
