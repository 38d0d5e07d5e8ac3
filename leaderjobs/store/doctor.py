"""What is assumed of Postgres, looked at from outside of any term; only facts, the engine judges them.

Every look uses connections of its own: what a session is given at its beginning is part of what is asked.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from leaderjobs import clock
from leaderjobs.errors import StoreUnavailable
from leaderjobs.store import queries
from leaderjobs.store.deadline import answered_within
from leaderjobs.store.faults import translated
from leaderjobs.store.pool import Connection, Database, Parameters, rows_of

OLDEST_SERVER = 140_000
"""`server_version_num`: the schema's functions are written in the standard's form, which came with 14."""
LOOK_PATIENCE = timedelta(seconds=10)
"""For all that one look asks."""
NOTICE_PATIENCE = timedelta(seconds=3)
MOST_NAMED = 5
"""Things that a look names."""
SETTINGS = (
    "autovacuum",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "statement_timeout",
    "synchronous_commit",
    "track_counts",
    "transaction_timeout",
)
_SQL = queries.load("doctor")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """What the server is; counts are connections."""

    version: str
    number: int
    standby: bool
    role: str
    superuser: bool
    most: int
    reserved: int
    most_of_role: int | None
    most_of_database: int | None
    connected: int
    ours: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a new session has it; `source` is Postgres's own word for who set it."""

    name: str
    setting: str
    source: str


@dataclass(frozen=True, slots=True)
class Schema:
    """What this role may do in a schema."""

    name: str
    there: bool
    may_use: bool
    may_create: bool
    may_create_schemas: bool


@dataclass(frozen=True, slots=True)
class Lacking:
    """A table that belongs to somebody else."""

    name: str
    owner: str
    unusable: bool
    """Whether rows cannot even be read and written."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """What stands between this program and the server."""

    between: bool
    """The server's process is not the one that greeted us."""
    shared: bool
    """Another connection of ours was served by the same process, or what a session had set was lost."""


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """Something that keeps dead rows from being removed; no age is known of a slot."""

    what: str
    role: str
    application: str
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class ClockSample:
    """The database's clock against this machine's."""

    ahead: timedelta
    """How far the database is ahead; negative: behind."""
    error: timedelta
    """Half of the round trip: the truth is within so much of it."""
    now: datetime
    """The database's, aware UTC."""


class _Once(Generic[T]):
    """An answer that is asked for at the first call; a failure is no answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._found: list[T] = []

    def get(self) -> T:
        with self._lock:
            if not self._found:
                self._found.append(self._ask())
            return self._found[0]


class DatabaseLooks:
    """One method a look; each raises StoreError where it could not be had. Any thread.

    What several checks ask, and does not change meanwhile, is asked once: a server may be far away, or have
    hardly a connection left.
    """

    def __init__(self, database: Database) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._server = _Once(self._ask_server)
        self._settings = _Once(self._ask_settings)
        self._pooling = _Once(self._ask_pooling)

    def server(self) -> Server:
        """What answers."""
        return self._server.get()

    def _ask_server(self) -> Server:
        (row,) = self._rows("server")
        return Server(**row)

    def settings(self) -> dict[str, Setting]:
        """SETTINGS by name; those that this server does not know are left out."""
        return self._settings.get()

    def _ask_settings(self) -> dict[str, Setting]:
        return {row["name"]: Setting(**row) for row in self._rows("settings", {"names": list(SETTINGS)})}

    def schemas(self, names: Sequence[str]) -> list[Schema]:
        """By name, also those that are not there."""
        return [Schema(**row) for row in self._rows("schemas", {"names": list(names)})]

    def lacking(self, tables: Sequence[str]) -> list[Lacking]:
        """Of our schema and of `tables` (`schema.name`), those that belong to a role that is not ours."""
        asked = {"tables": list(tables), "most": MOST_NAMED}
        return [Lacking(**row) for row in self._rows("lacking", asked)]

    def strangers(self) -> list[str]:
        """Roles of other members whose transactions this role may not end."""
        return [row["role"] for row in self._rows("strangers", {"most": MOST_NAMED})]

    def may_end_own(self) -> bool:
        """Whether one connection of ours can end another; never through a pooler: it would end others'."""
        with self._open() as one, self._open() as other:
            pid = self._ask(one, "backend")[0]["pid"]
            ended = bool(self._ask(other, "end_backend", {"pid": pid})[0]["ended"])
            with contextlib.suppress(StoreUnavailable):
                self._ask(one, "backend")
                return False
            return ended

    def notified(self) -> timedelta | None:
        """How long a notification took between two connections; None when none came in NOTICE_PATIENCE."""
        word = uuid.uuid4().hex
        with self._open() as hearing, self._open() as saying:
            with translated():
                hearing.execute(_SQL["hear"])
            began = clock.elapsed()
            self._ask(saying, "say", {"word": word})
            until = began + NOTICE_PATIENCE.total_seconds()
            while (left := until - clock.elapsed()) > 0:
                with translated():
                    payloads = [each.payload for each in hearing.notifies(timeout=left, stop_after=1)]
                if word in payloads:
                    return timedelta(seconds=clock.elapsed() - began)
        return None

    def pooling(self) -> Pooling:
        """Whether something pools connections in between, and whether it shares a process by the transaction.

        A server tells its process at the greeting, and a pooler answers that itself. One that shares gives
        the process that has just become idle to whoever asks next, and resets nothing in between.
        """
        return self._pooling.get()

    def _ask_pooling(self) -> Pooling:
        word = uuid.uuid4().hex
        with self._open() as one, self._open() as other:
            self._ask(one, "remember", {"word": word})
            first, second = (self._ask(each, "backend")[0]["pid"] for each in (one, other))
            words = [self._ask(each, "remembered")[0]["word"] for each in (one, other)]
            shared = first == second or words[0] != word or words[1] == word
            for each in (one, other):
                # Behind a pooler the next to be served by this process would find it.
                self._ask(each, "remember", {"word": ""})
            between = first != one.info.backend_pid or second != other.info.backend_pid
        return Pooling(between or shared, shared)

    def old_transactions(self, age: timedelta) -> list[OldTransaction]:
        """Those that are older, the oldest first; of other roles only as far as this one may see them."""
        return [
            OldTransaction(**row) for row in self._rows("old_transactions", {"age": age, "most": MOST_NAMED})
        ]

    def unvacuumed(self, tables: Sequence[str]) -> list[str]:
        """Of our schema and of `tables`, those that autovacuum leaves alone."""
        return [row["name"] for row in self._rows("unvacuumed", {"tables": list(tables), "most": MOST_NAMED})]

    def clock(self) -> ClockSample:
        """One sample, on a connection that has answered before."""
        with self._open() as connection:
            self._ask(connection, "clock")
            began, before = clock.elapsed(), clock.now()
            theirs = self._ask(connection, "clock")[0]["now"]
            half = timedelta(seconds=clock.elapsed() - began) / 2
        return ClockSample(theirs - (before + half), half, theirs)

    # -- asking --------------------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        with closing(self._database.connect()) as connection, answered_within(connection, LOOK_PATIENCE):
            yield connection

    def _rows(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        with self._open() as connection:
            return self._ask(connection, statement, parameters)

    @staticmethod
    def _ask(
        connection: Connection, statement: str, parameters: Parameters | None = None
    ) -> list[dict[str, Any]]:
        with translated():
            return rows_of(connection.execute(_SQL[statement], parameters))
