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
from leaderjobs.app.servers import coordinator, database, servers, stores
from leaderjobs.errors import StoreUnavailable, UsageError
from leaderjobs.model.member import Member

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.engine.stores import Stores
    from leaderjobs.engine.upkeep import Upkeep
    from leaderjobs.engine.worker import Worker
    from leaderjobs.model.event import Emit
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
            beside=(),
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
