"""A connector that yields what a test wrote down, and members around it on a real Postgres."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from leaderjobs import app, clock
from leaderjobs.connectors.base import Connector, Operation, ReadContext
from leaderjobs.connectors.outcome import Answer
from leaderjobs.coordination.memory import MemoryCoordinator
from leaderjobs.coordination.memory_server import MemoryServer
from leaderjobs.engine.leader import MakeBeside, Parts
from leaderjobs.engine.limiter import Limits
from leaderjobs.engine.replica import Replica
from leaderjobs.engine.signals import Signals
from leaderjobs.engine.stores import Stores
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.engine.worker import Worker
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.effect import Request
from leaderjobs.model.event import Event, EventKind
from leaderjobs.model.job import Job, JobState, NewJob, Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.member import Member
from leaderjobs.model.stream import Stream
from leaderjobs.store.jobs import Waker
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.support import eventually

CLUSTER = "acme"
RETENTION = {
    JobState.COMPLETED: timedelta(days=1),
    JobState.CANCELLED: timedelta(days=1),
    JobState.DISCARDED: timedelta(days=7),
}


@dataclass
class Script:
    """What the provider does; shared by all connectors that are made of it."""

    pages: int = 3
    error: Callable[[str, int], BaseException | None] = lambda _stream, _page: None
    """Asked before each page."""
    gate: threading.Semaphore | None = None
    """Taken before each page, where given: the test lets pages through one by one."""
    reads: list[tuple[str, int]] = field(default_factory=list)
    """(stream, page) in the order they were fetched."""
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set when a read waits at the gate."""
    read: Callable[[str, Cursor | None, ReadContext], Iterator[Batch]] | None = None
    """In the place of the pages, where given."""
    operations: dict[str, Operation] = field(default_factory=dict)
    exchange: Callable[[Request, Callable[[], None]], Answer] | None = None
    """What the provider does with a request; calls the guard right before it counts as sent."""


class ScriptedConnector(Connector):
    """Streams `first` and `second`, one row a page."""

    name: ClassVar[str] = "scripted"
    schema = "scripted"
    streams = (
        Stream("first", ("id",), "one"),
        Stream("second", ("id",), "two", windowed=True),
    )

    def __init__(self, script: Script) -> None:
        self._script = script

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """Page after page from the cursor."""
        script = self._script
        if script.read is not None:
            yield from script.read(stream, cursor, context)
            return
        page = int(str(cursor["page"])) if cursor else 0
        while page < script.pages:
            context.check()
            error = script.error(stream, page)
            if error is not None:
                raise error
            if script.gate is not None:
                while not script.gate.acquire(blocking=False):
                    script.waiting.set()
                    context.wait(timedelta(milliseconds=10))
            page += 1
            script.reads.append((stream, page))
            body = b'{"rows": [{"id": "%d"}]}' % page
            yield Batch(stream, body, ("rows",), None, {"page": page}, Landing.UPSERT, 1)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of the script."""
        return self._script.operations

    def exchange(self, request: Request, *, timeout: timedelta, guard: Callable[[], None]) -> Answer:
        """As the script says, within any time."""
        del timeout
        assert self._script.exchange is not None
        return self._script.exchange(request, guard)

    def check(self) -> None:
        """Nothing to prove."""

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Running:
    """A member on a thread of this process."""

    worker: Worker
    coordinator: MemoryCoordinator
    thread: threading.Thread
    events: list[Event]
    failure: list[BaseException]

    def saw(self, kind: EventKind) -> list[Event]:
        """The events of a kind, in order."""
        return [event for event in self.events if event.kind is kind]

    def stop(self, *, now: bool = False) -> None:
        """Tell it to stop and wait until it has."""
        self.worker.stop(now=now)
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert not self.failure, self.failure


@dataclass
class Bench:
    """A cluster's surroundings: the coordinator's server, the database, the provider's script."""

    server: MemoryServer
    url: str
    stores: Stores
    script: Script
    limits: Limits = field(default_factory=lambda: Limits(4))
    beside: tuple[MakeBeside, ...] = ()
    running: list[Running] = field(default_factory=list)

    def start(self, name: str, *, url: str | None = None) -> Running:
        """A member, perhaps with a database of its own."""
        events: list[Event] = []
        failure: list[BaseException] = []
        database = Database(url or self.url, application=name)
        stores = app.stores(database, CLUSTER)
        guid = uuid.uuid4().hex
        coordinator = MemoryCoordinator(self.server, CLUSTER, guid, timedelta(seconds=15))
        waker = Waker(database, CLUSTER)
        upkeep = Upkeep(stores.tables, events.append)
        worker = Worker(
            member=Member(name, guid, "host", os.getpid(), "1", clock.now()),
            cluster=CLUSTER,
            coordinator=coordinator,
            parts=Parts(
                stores=stores,
                replica=Replica(None),
                make_connector=lambda _name: ScriptedConnector(self.script),
                prepare=lambda: upkeep.ensure("scripted", ScriptedConnector.streams),
                upkeep=upkeep,
                beside=self.beside,
                signals=Signals(waker),
                limits=lambda: self.limits,
                retention=lambda: RETENTION,
                drain_timeout=timedelta(seconds=5),
                emit=events.append,
            ),
        )

        def run() -> None:
            try:
                worker.run()
            except BaseException as error:  # noqa: BLE001 - shown by the test's thread
                failure.append(error)
            finally:
                waker.close()
                database.close()

        thread = threading.Thread(target=run, name=f"member-{name}")
        thread.start()
        self.running.append(Running(worker, coordinator, thread, events, failure))
        return self.running[-1]

    def enqueue(
        self,
        connection: str = "c",
        *,
        streams: tuple[str, ...] = ("first", "second"),
        max_attempts: int = 20,
        full: bool = False,
        window: Window | None = None,
    ) -> Job:
        """A job over both streams."""
        new = NewJob("sync", connection, streams, max_attempts=max_attempts, full=full, window=window)
        return self.stores.jobs.enqueue(new)[0]

    def ended(self, job: Job, timeout: float = 20) -> Job:
        """The job once nothing moves it on."""
        eventually(lambda: self.stores.jobs.get(job.id).state.final, timeout, "the job to end")
        return self.stores.jobs.get(job.id)

    def term(self) -> int:
        """The fence's number."""
        stored = self.stores.terms.current(0)
        return stored.number if stored else 0

    def sequences(self) -> dict[str, int]:
        """Committed batches by stream."""
        return {marker.stream: marker.sequence for marker in self.stores.markers.all()}


@contextmanager
def bench(url: str, session_timeout: timedelta = timedelta(seconds=15)) -> Iterator[Bench]:
    """Everything around members; all of them are stopped at the end."""
    database = Database(url, application="test")
    Migrations(database).apply()
    made = Bench(MemoryServer(session_timeout), url, app.stores(database, CLUSTER), Script())
    try:
        yield made
    finally:
        for running in made.running:
            running.worker.stop(now=True)
        for running in made.running:
            running.thread.join(20)
        database.close()
