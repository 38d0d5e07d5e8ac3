"""The composition root: the only file that names concrete backends, each imported where it is chosen.

Every command builds what it needs from here and closes it: `servers` finds (or starts) the coordinator
and the database, the rest are constructors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from leaderjobs import __version__, clock, logs
from leaderjobs.config import coordinator_url, database_url
from leaderjobs.errors import (
    ConfigError,
    EmbeddedError,
    StoreUnavailable,
    TransientError,
    UsageError,
)
from leaderjobs.model.member import Member
from leaderjobs.values import secrets_in

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.connectors.base import Connector
    from leaderjobs.coordination.base import Coordinator
    from leaderjobs.engine.checks import Checked
    from leaderjobs.engine.planner import Planner
    from leaderjobs.engine.reconcile import Report
    from leaderjobs.engine.stores import Stores
    from leaderjobs.engine.upkeep import Upkeep
    from leaderjobs.engine.worker import Worker
    from leaderjobs.model.event import Emit
    from leaderjobs.model.report import StatusReport
    from leaderjobs.model.stream import Stream
    from leaderjobs.store.pool import Database

WARM_CONNECTIONS = 3
"""What the first page of a term needs: one to raise the fence, one to claim, one to commit."""
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
    from leaderjobs.store.holds import Holds
    from leaderjobs.store.jobs import Jobs
    from leaderjobs.store.markers import Markers
    from leaderjobs.store.quotas import Quotas
    from leaderjobs.store.rows import Rows
    from leaderjobs.store.tables import Tables
    from leaderjobs.store.terms import Terms

    return Stores(
        database=made,
        terms=Terms(made, cluster),
        jobs=Jobs(made, cluster),
        markers=Markers(made, cluster),
        batches=Batches(made, cluster),
        holds=Holds(made, cluster),
        effects=Effects(made, cluster),
        quotas=Quotas(made, cluster),
        tables=Tables(made),
        rows=Rows(made, cluster),
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


def connector_maker(settings: Settings) -> Callable[[str], Connector]:
    """Make connectors of configured connections; TransientError for a name that this member does not know.

    Transient, because while a new configuration is rolled out some members know a connection that others
    do not yet. What the secrets are now is kept out of the log from here on.
    """
    from leaderjobs.connectors.pacing import Paces

    paces = Paces()

    def make(connection: str) -> Connector:
        from leaderjobs.connectors import registry

        found = settings.connections.get(connection)
        if found is None:
            raise TransientError(
                f"connection {connection} is not in this member's configuration; "
                f"add [connections.{connection}]"
            )
        for value in msgspec.structs.asdict(found.options).values():
            for secret in secrets_in(value):
                logs.redact(secret.reveal())
        return registry.make(found.connector, found.name, found.options, paces, found.operations)

    return make


@contextmanager
def planner(settings: Settings, built: Stores) -> Iterator[Planner]:
    """What turns a wish for an operation into a planned effect."""
    from leaderjobs.engine.planner import Planner

    made = Planner(built.effects, connector_maker(settings))
    try:
        yield made
    finally:
        made.close()


def reconcile(settings: Settings, connection: str, span: timedelta) -> Report:
    """What ledger and provider disagree on, for one connection."""
    from leaderjobs.engine.reconcile import reconcile as compare

    settings.connection(connection)
    connector = connector_maker(settings)(connection)
    try:
        with opened_stores(settings) as built:
            return compare(built.effects, connector, connection, span)
    finally:
        connector.close()


def check_connections(settings: Settings, connection: str | None) -> list[Checked]:
    """How every configured connection is, or the one that is named."""
    from leaderjobs.engine.checks import check_all

    wanted = settings.connections.values() if connection is None else [settings.connection(connection)]
    return check_all([(found.name, found.connector) for found in wanted], connector_maker(settings))


def state_directory(settings: Settings, member_id: str) -> Path:
    """Where a member keeps its replica; made if missing."""
    from platformdirs import user_state_path

    given = settings.cluster.state_directory
    root = Path(given) if given else user_state_path("leaderjobs", appauthor=False)
    path = root / settings.cluster.name / member_id
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def lock_member(directory: Path, member_id: str) -> IO[bytes]:
    """Hold this name on this machine until the process ends; UsageError when another process has it.

    Members on other machines cannot be seen from here: they are told apart by their guid, and `status`
    names the clash.
    """
    handle = (directory / "member.lock").open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UsageError(
            f"another leaderjobs run on this machine is called {member_id}; choose another --id"
        ) from None
    return handle


def default_member_id() -> str:
    """The host's name and the process: readable, and different for two workers of one machine."""
    return f"{socket.gethostname()}-{os.getpid()}"


@contextmanager
def worker(settings: Settings, member_id: str | None, emit: Emit) -> Iterator[Worker]:
    """A member ready to `run`; everything it holds is let go at the end."""
    from leaderjobs.engine.replica import Replica
    from leaderjobs.engine.upkeep import Upkeep
    from leaderjobs.engine.worker import Worker
    from leaderjobs.model.event import Event, EventKind
    from leaderjobs.store.jobs import Waker

    name = member_id or default_member_id()
    found = servers(settings, start=True)
    member = Member(name, uuid.uuid4().hex, socket.gethostname(), os.getpid(), __version__, clock.now())
    with contextlib.ExitStack() as stack:
        directory = state_directory(settings, name)
        stack.enter_context(lock_member(directory, name))
        made = database(found, f"leaderjobs {settings.cluster.name} {name}")
        stack.callback(made.close)
        built = stores(made, settings.cluster.name)
        upkeep = Upkeep(built.tables, emit)
        prepare = preparation(settings, built, upkeep)
        try:
            prepare()
        except StoreUnavailable as error:
            # A member that cannot reach Postgres yet still follows; it prepares when it comes to lead.
            emit(Event(EventKind.STORE_UNAVAILABLE, {"error": str(error)}))
        waker = Waker(made, settings.cluster.name)
        stack.callback(waker.close)
        replica = Replica(directory / "replica.json")
        if replica.discarded:
            emit(Event(EventKind.SERVICE_FAILED, {"service": "replica on disk", "error": replica.discarded}))
        session = coordinator(settings, found, guid=member.guid, timeout=settings.cluster.session_timeout)
        stack.callback(session.close)
        yield Worker(
            member=member,
            cluster=settings.cluster.name,
            coordinator=session,
            stores=built,
            replica=replica,
            make_connector=connector_maker(settings),
            prepare=prepare,
            upkeep=upkeep,
            waker=waker,
            concurrency=settings.cluster.concurrency,
            drain_timeout=settings.cluster.drain_timeout,
            emit=emit,
        )


def preparation(settings: Settings, built: Stores, upkeep: Upkeep) -> Callable[[], None]:
    """What must be true of the database before this member leads; checked until it was true once.

    The schema fits, the destination tables exist, and the connectors' code is loaded: a take-over must
    wait for none of these.
    """
    from leaderjobs.connectors import registry
    from leaderjobs.store.migrate import Migrations

    done = threading.Event()

    def prepare() -> None:
        if done.is_set():
            return
        Migrations(built.database).check()
        # Many connections share a schema and streams: each is asked for once.
        wanted: dict[str, dict[Stream, None]] = {}
        for found in settings.connections.values():
            which = (found.connector, found.name, found.options)
            wanted.setdefault(registry.schema(*which), {}).update(dict.fromkeys(registry.streams(*which)))
        for schema, streams in wanted.items():
            upkeep.ensure(schema, tuple(streams))
        for name in sorted({found.connector for found in settings.connections.values()}):
            registry.preload(name)
        built.database.warm(WARM_CONNECTIONS)
        done.set()

    return prepare


def status(settings: Settings) -> StatusReport:
    """What is going on, whatever is down."""
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.status import collect, unreachable

    try:
        found = servers(settings, start=False)
    except EmbeddedError as error:
        return unreachable(settings.cluster.name, str(error))
    with contextlib.ExitStack() as opened:
        session = coordinator(settings, found, timeout=OBSERVER_TIMEOUT)
        opened.callback(session.close)
        session.listen(lambda _event: None)

        def open_stores() -> Stores:
            from leaderjobs.store.pool import Database

            made = Database(found.database, application="leaderjobs status")
            opened.callback(made.close)
            return stores(made, settings.cluster.name)

        return collect(settings.cluster.name, session, open_stores, PARTITION, settings.cluster.max_lag)


def coordinator_origin(settings: Settings) -> str:
    """The random id of the coordinator's data, as it is now."""
    with observer(settings, start=True) as session:
        return session.origin()
