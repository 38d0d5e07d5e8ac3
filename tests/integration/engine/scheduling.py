"""A scheduler of a term that leads, on a thread of the test, over a real Postgres."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from leaderjobs import app, clock
from leaderjobs.connectors.base import Connector
from leaderjobs.cron import Decided, DecidedFire, Expression
from leaderjobs.engine.firing import Configured, Wishes
from leaderjobs.engine.planner import Planner
from leaderjobs.engine.scheduler import Scheduler
from leaderjobs.engine.stores import Stores
from leaderjobs.errors import TransientError
from leaderjobs.model.event import Event, EventKind
from leaderjobs.model.job import NewJob
from leaderjobs.model.schedule import FireOutcome, Schedule, ScheduleSpec
from leaderjobs.model.term import Term
from leaderjobs.store.pool import Database, TermConnections
from tests.integration.engine.scripted import Script, ScriptedConnector
from tests.support import eventually

SPEC = ScheduleSpec("hourly", "sync", "* * * * *")
SYNC = NewJob("sync", "c", ("first", "second"), max_attempts=4)


@dataclass
class Led:
    """A scheduler at work."""

    scheduler: Scheduler
    thread: threading.Thread
    connections: TermConnections
    events: list[Event]

    def saw(self, kind: EventKind) -> list[Event]:
        """The events of a kind, in order."""
        return [event for event in self.events if event.kind is kind]

    def stop(self) -> None:
        """Tell it to stop and wait until it has."""
        self.scheduler.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.connections.close()


@dataclass
class Planning:
    """A cluster whose terms begin when the test says."""

    database: Database
    cluster: str
    admin: Database
    script: Script = field(default_factory=Script)
    configured: Configured = field(default_factory=lambda: Configured({}, {"sync": SYNC}))
    tokens: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    led: list[Led] = field(default_factory=list)
    told: list[Callable[[object], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stores: Stores = app.stores(self.database, self.cluster)

    def configure(self, *specs: ScheduleSpec) -> None:
        """Change the file's schedules, and tell."""
        self.configured = Configured({spec.name: spec for spec in specs}, {"sync": SYNC})
        self.tell()

    def tell(self) -> None:
        """Let the schedulers read at once."""
        for told in list(self.told):
            told(None)

    def lead(self) -> Led:
        """Begin a new term, whose scheduler runs until the test ends."""
        token = next(self.tokens)
        number = self.stores.terms.raise_fence(0, token, "origin", f"member-{token}")
        term = Term(
            cluster=self.cluster,
            partition=0,
            number=number,
            token=token,
            origin="origin",
            member=f"member-{token}",
            began_at=clock.now(),
            session_timeout=timedelta(seconds=60),
            elapsed=clock.elapsed,
            sent_at=clock.elapsed(),
        )
        connections = TermConnections(self.database, term, 4)
        events: list[Event] = []
        scheduler = Scheduler(
            term=term,
            connections=connections,
            schedules=self.stores.schedules,
            wishes=Wishes(lambda: self.configured, Planner(self.stores.effects, self.connector)),
            current=lambda: self.configured,
            subscribe=(self._subscribe,),
            emit=events.append,
        )
        thread = threading.Thread(target=scheduler.run, name=f"scheduler-{token}")
        self.led.append(Led(scheduler, thread, connections, events))
        thread.start()
        return self.led[-1]

    def add(self, since: timedelta = timedelta(0), **more: object) -> Schedule:
        """A person's schedule that nobody has decided for so long."""
        spec = replace(SPEC, **more)  # type: ignore[arg-type]
        self.stores.schedules.add(spec)
        self.rewind(spec.name, since)
        return self.stores.schedules.get(spec.name)

    def rewind(self, name: str, since: timedelta) -> None:
        """As if nobody had decided for so long."""
        self.admin.rows(
            "UPDATE leaderjobs.schedules SET version = version + 1, "
            "decided_until = date_trunc('minute', now()) - %(since)s, created_at = now() - %(since)s "
            "WHERE cluster = %(cluster)s AND name = %(name)s RETURNING name",
            {"since": since, "cluster": self.cluster, "name": name},
        )
        self.tell()

    def fires(self, name: str = "hourly", count: int = 1, timeout: float = 10) -> list[FireOutcome]:
        """How the fire times were decided, the oldest first, once there are so many."""
        eventually(lambda: len(self.stores.schedules.fires(name, 1000)) >= count, timeout, f"{count} fires")
        return [fire.outcome for fire in self.stores.schedules.fires(name, 1000)][::-1]

    def jobs(self) -> list[tuple[str, datetime, datetime]]:
        """Target, fire time and the instant of its making, of every job."""
        rows = self.admin.rows(
            "SELECT target, fire_time, created_at FROM leaderjobs.jobs WHERE cluster = %(cluster)s ORDER BY id",
            {"cluster": self.cluster},
        )
        return [(row["target"], row["fire_time"], row["created_at"]) for row in rows]

    def connector(self, name: str) -> Connector:
        """Of the only connection there is."""
        if name != "c":
            raise TransientError(f"connection {name} is not in this member's configuration")
        return ScriptedConnector(self.script)

    def _subscribe(self, told: Callable[[object], None]) -> Callable[[], None]:
        self.told.append(told)
        return self.told.clear


@contextmanager
def planning(database_url: str, cluster: str) -> Iterator[Planning]:
    """Everything around schedulers; all of them are stopped at the end."""
    database, admin = Database(database_url, application="test"), Database(database_url, application="admin")
    made = Planning(database, cluster, admin)
    try:
        yield made
    finally:
        for led in made.led:
            led.stop()
        database.close()
        admin.close()


def every(period: timedelta) -> Callable[..., Decided]:
    """In the place of `cron.decide`: fires at every multiple of a period shorter than a minute; no catch-up."""

    def decide(_spec: ScheduleSpec, _cron: Expression, until: datetime, now: datetime, most: int) -> Decided:
        fires: list[DecidedFire] = []
        following = _next(until, period)
        while following <= now and len(fires) < most:
            fires.append(DecidedFire(following, FireOutcome.ENQUEUED))
            following = _next(following, period)
        return Decided(tuple(fires), 0, missed_more=False, until=_last(fires, until), next=following)

    return decide


def _last(fires: list[DecidedFire], until: datetime) -> datetime:
    return fires[-1].fire_time if fires else until


def _next(instant: datetime, period: timedelta) -> datetime:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    return epoch + ((instant - epoch) // period + 1) * period
