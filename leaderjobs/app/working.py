"""One member, put together."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from leaderjobs import __version__, clock
from leaderjobs.app.connecting import connector_maker
from leaderjobs.app.scheduling import scheduler_maker
from leaderjobs.app.servers import coordinator, database, servers, stores
from leaderjobs.app.telling import herald_maker
from leaderjobs.errors import StoreUnavailable, UsageError
from leaderjobs.model.event import Event, EventKind
from leaderjobs.model.member import Member

if TYPE_CHECKING:
    from datetime import timedelta

    from leaderjobs.config import Settings
    from leaderjobs.config.watch import Reloading
    from leaderjobs.engine.leader import MakeBeside
    from leaderjobs.engine.limiter import Limits
    from leaderjobs.engine.stores import Stores
    from leaderjobs.engine.upkeep import Upkeep
    from leaderjobs.engine.worker import Worker
    from leaderjobs.model.event import Emit
    from leaderjobs.model.job import JobState
    from leaderjobs.model.stream import Stream

WARM_CONNECTIONS = 3
"""What the first page of a term needs: one to raise the fence, one to claim, one to commit."""


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
def worker(reloading: Reloading, member_id: str | None, emit: Emit) -> Iterator[Worker]:
    """A member ready to `run`, its configuration read again when it changes; all is let go at the end."""
    from leaderjobs.engine.leader import Parts
    from leaderjobs.engine.replica import Replica
    from leaderjobs.engine.signals import Signals
    from leaderjobs.engine.upkeep import Upkeep
    from leaderjobs.engine.worker import Worker
    from leaderjobs.store.jobs import Waker

    settings = reloading.current()
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
        prepare = preparation(reloading.current, built, upkeep)
        stack.enter_context(_kept_up(reloading, prepare, emit))
        waker = Waker(made, settings.cluster.name)
        stack.callback(waker.close)
        replica = Replica(directory / "replica.json", reloading.problems)
        if replica.discarded:
            emit(Event(EventKind.SERVICE_FAILED, {"service": "replica on disk", "error": replica.discarded}))
        session = coordinator(settings, found, guid=member.guid, timeout=settings.cluster.session_timeout)
        stack.callback(session.close)
        signals = Signals(waker)
        yield Worker(
            member=member,
            cluster=settings.cluster.name,
            coordinator=session,
            parts=Parts(
                stores=built,
                replica=replica,
                make_connector=connector_maker(reloading.current),
                prepare=prepare,
                upkeep=upkeep,
                beside=(
                    herald_maker(reloading.current, built, emit),
                    publishing_maker(reloading, settings.cluster.name, emit),
                    scheduler_maker(reloading, built, signals, emit),
                ),
                signals=signals,
                limits=limits(reloading.current),
                retention=lambda: retention(reloading.current()),
                drain_timeout=settings.cluster.drain_timeout,
                emit=emit,
            ),
        )


def limits(current: Callable[[], Settings]) -> Callable[[], Limits]:
    """What may run at a time, by the settings as they are now; the same object for the same settings."""
    from leaderjobs.engine.limiter import Limits

    known: list[tuple[Settings, Limits]] = []

    def now() -> Limits:
        settings = current()
        if not known or known[0][0] is not settings:
            known[:] = [
                (
                    settings,
                    Limits(
                        settings.cluster.concurrency,
                        {name: each.jobs for name, each in settings.limits.connections.items() if each.jobs},
                        {name: each.jobs for name, each in settings.limits.providers.items() if each.jobs},
                        {name: each.connector for name, each in settings.connections.items()},
                    ),
                )
            ]
        return known[0][1]

    return now


def retention(settings: Settings) -> dict[JobState, timedelta]:
    """How long ended jobs are kept, by state."""
    from leaderjobs.model.job import JobState

    kept = settings.retention
    return {
        JobState.COMPLETED: kept.completed,
        JobState.CANCELLED: kept.cancelled,
        JobState.DISCARDED: kept.discarded,
    }


@contextmanager
def _kept_up(reloading: Reloading, prepare: Callable[[], None], emit: Emit) -> Iterator[None]:
    """The database is prepared for the settings, and again whenever they change."""

    def prepare_soon(_settings: object = None) -> None:
        try:
            prepare()
        except StoreUnavailable as error:
            # A member that cannot reach Postgres yet still follows; it prepares when it comes to lead.
            emit(Event(EventKind.STORE_UNAVAILABLE, {"error": str(error)}))

    prepare_soon()
    forget = reloading.subscribe(prepare_soon, last=True)
    watching = threading.Thread(target=reloading.run, name="configuration", daemon=True)
    watching.start()
    try:
        yield
    finally:
        forget()
        reloading.stop()


def publishing_maker(reloading: Reloading, cluster: str, emit: Emit) -> MakeBeside:
    """What tells the database of the syncs there are, for one term."""
    from leaderjobs.app.asking import syncs
    from leaderjobs.engine.publishing import Publishing
    from leaderjobs.store.syncs import Syncs

    return lambda term, connections: Publishing(
        term=term,
        connections=connections,
        syncs=Syncs(cluster),
        current=lambda: syncs(reloading.current()),
        on_change=reloading.subscribe,
        emit=emit,
    )


def preparation(current: Callable[[], Settings], built: Stores, upkeep: Upkeep) -> Callable[[], None]:
    """What must be true of the database before this member leads; checked until it was true of the settings.

    The schema fits, the destination tables exist, and the connectors' code is loaded: neither a take-over nor
    the first page of a new connection should wait for these. Any thread.
    """
    from leaderjobs.connectors import registry
    from leaderjobs.store.migrate import Migrations

    done: list[Settings] = []
    preparing = threading.Lock()

    def prepare() -> None:
        with preparing:
            settings = current()
            if done and done[0] is settings:
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
            done[:] = [settings]

    return prepare
