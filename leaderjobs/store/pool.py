"""Connections, and the two kinds of transaction: a short one of anybody's, and a fenced one of a term's."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from leaderjobs import clock
from leaderjobs.errors import ConfigError, LeadershipLost, StoreUnavailable
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.deadline import answered_within, duplicate, shut
from leaderjobs.store.faults import translated, unreachable

CONNECT_TIMEOUT_SECONDS = 5
UNACKNOWLEDGED_TIMEOUT_MS = 10_000
"""After this long without an acknowledgement from the server's machine the kernel gives a connection up."""
MOST_IDLE = 4
"""Connections kept for short transactions; more are made when needed, and closed after."""
LOCK_PATIENCE = timedelta(seconds=5)
SHORT_STATEMENT = timedelta(seconds=10)
LONGEST_STATEMENT = timedelta(minutes=15)
"""Longest single statement of all: applying a large update."""
LONGEST_SESSION = timedelta(hours=1)
"""How long a connection may be lent for: adding a column to a large table, reading one back."""
ANSWER_SLACK = timedelta(seconds=2)
"""How much longer than the server's own limit the client waits, before it takes the server for hung."""
LONGEST_IDLE = timedelta(seconds=30)
TERM_CONNECTION_PATIENCE = 30.0
"""Seconds that a thread waits for one of its term's connections."""

Connection: TypeAlias = psycopg.Connection[dict[str, Any]]
Parameters: TypeAlias = Mapping[str, object]
_SQL = queries.load("pool")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class Database:
    """Where the data is. Any thread; connects when first used."""

    def __init__(self, url: str, *, application: str) -> None:
        """ConfigError when `url` is not a connection string; the message does not quote it."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error:
            raise ConfigError(
                "the database URL cannot be read; expected postgresql://USER:PASSWORD@HOST:PORT/NAME, "
                "with special characters percent-encoded"
            ) from None
        self._url = url
        self._application = application
        self._place = _place(parts)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def __repr__(self) -> str:
        """Host, port and name; never the URL."""
        return f"Database({self._place})"

    def connect(self) -> Connection:
        """A new connection in autocommit, which the caller closes; StoreUnavailable within seconds.

        Statements are never prepared by name: behind a pooler in transaction mode the next one may go to
        another backend, which has not seen it.
        """
        try:
            return psycopg.connect(
                self._url,
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
                application_name=self._application,
                client_encoding="utf8",
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                keepalives=1,
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=UNACKNOWLEDGED_TIMEOUT_MS,
            )
        except psycopg.Error as error:
            raise unreachable(error, self._place) from None

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Lend a connection for a moment; a broken one is dropped, and the idle ones with it."""
        with self._lent() as connection, answered_within(connection, LONGEST_SESSION):
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A short transaction in one round trip: results are there after the block, not inside it."""
        bounds = milliseconds(LOCK_PATIENCE, SHORT_STATEMENT)
        # Not a session: its long bound would cost a second timer thread beside this short one.
        with self._lent() as connection, piped(connection, SHORT_STATEMENT, bounds):
            yield connection

    def rows(self, query: LiteralString, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """What one statement returns, run in a short transaction."""
        with self.transaction() as connection:
            cursor = connection.execute(query, parameters)
        return rows_of(cursor)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        with self._lock:
            self._closed = True
        self.drop_idle()

    def warm(self, count: int) -> None:
        """Have so many connections idle (at most MOST_IDLE), each used once; the schema must be there.

        A new one costs a take-over 10 to 30 ms, and the first statements on it some 5 ms more.
        """
        with contextlib.ExitStack() as lent:
            for _ in range(min(count, MOST_IDLE)):
                lent.enter_context(self.session()).execute(_SQL["warm"])

    def take(self) -> Connection:
        """An idle connection, or a new one; it is the caller's from now on."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self.connect()
            if _usable(connection):
                return connection
            connection.close()

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        connection = self.take()
        try:
            with translated():
                yield connection
        finally:
            self._put(connection)

    def drop_idle(self) -> None:
        """Whatever broke one connection (a restart, a dead link) has broken the idle ones as well."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _put(self, connection: Connection) -> None:
        if not _usable(connection):
            connection.close()
            self.drop_idle()
            return
        with self._lock:
            keep = not self._closed and len(self._idle) < MOST_IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()


class TermConnections:
    """The connections of one term, at most `limit`: made when needed, lent to any thread, cut together."""

    def __init__(self, database: Database, term: Term, limit: int) -> None:
        """Nothing is connected before the first use."""
        self._database = database
        self._term = term
        self._limit = limit
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._sockets: dict[Connection, socket.socket] = {}
        self._lent = 0
        self._ended = False

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Lend the one used last; LeadershipLost after `abort`, StoreUnavailable when all stay lent."""
        connection = self._take()
        try:
            with translated():
                yield connection
        finally:
            self._put(connection)

    def abort(self) -> None:
        """Cut every connection off at once, so that threads blocked on them raise; any thread.

        The sockets are shut down through duplicates: libpq's own must not be closed while another thread
        waits on it. Nothing can be lent afterwards.
        """
        with self._changed:
            self._ended = True
            for cut in self._sockets.values():
                shut(cut)
            self._changed.notify_all()
        self.close()

    def close(self) -> None:
        """Close what is idle, and what is lent when it comes back; nothing can be lent afterwards."""
        with self._changed:
            self._ended = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            self._drop(connection)

    def _take(self) -> Connection:
        deadline = clock.elapsed() + TERM_CONNECTION_PATIENCE
        with self._changed:
            while not self._ended and self._lent >= self._limit:
                if clock.elapsed() >= deadline:
                    raise StoreUnavailable(f"all {self._limit} connections of the term stayed in use")
                self._changed.wait(deadline - clock.elapsed())
            if self._ended:
                raise self._over()
            self._lent += 1
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is not None and not _usable(connection):
                self._drop(connection)
                connection = None
            return connection or self._connect()
        except BaseException:
            self._give_place_back()
            raise

    def _connect(self) -> Connection:
        connection = self._database.take()
        with self._changed:
            if not self._ended:
                self._sockets[connection] = duplicate(connection)
                return connection
        connection.close()
        raise self._over()

    def _put(self, connection: Connection) -> None:
        with self._changed:
            ended = self._ended
            keep = not ended and _usable(connection)
            if keep:
                self._idle.append(connection)
        if not keep:
            self._drop(connection)
            if not ended:
                self._database.drop_idle()
        self._give_place_back()

    def _give_place_back(self) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify()

    def _drop(self, connection: Connection) -> None:
        with self._changed:
            cut = self._sockets.pop(connection, None)
        connection.close()
        if cut is not None:
            cut.close()

    def _over(self) -> LeadershipLost:
        return LeadershipLost(f"term {self._term.number} is over: its connections are cut off")


@contextmanager
def fenced(
    connections: TermConnections, term: Term, statement: timedelta = SHORT_STATEMENT
) -> Iterator[Connection]:
    """One transaction of `term` in one round trip: all of it is committed while the term leads, or nothing.

    Results are there after the block, not inside it. FencedOut when a newer term leads; LeadershipLost when
    the term is over by its own clock; StoreUnavailable when the connection broke, perhaps in the COMMIT, or
    when nothing was answered within `statement`, which is also the server's limit for each statement.
    """
    term.check()
    idle = min(max(term.session_timeout / 4, timedelta(milliseconds=100)), LONGEST_IDLE)
    who = {"cluster": term.cluster, "partition": term.partition, "number": term.number}
    bounds = {**milliseconds(LOCK_PATIENCE, statement), "idle_ms": round(idle.total_seconds() * 1000)}
    with connections.use() as connection, piped(connection, statement):
        connection.execute(_SQL["enter"], {**who, **bounds})
        yield connection
        term.check()
        connection.execute(_SQL["fence"], who)


def rows_of(cursor: psycopg.Cursor[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a finished statement returned; instants as UTC, whatever the server's zone."""
    return [
        {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in cursor.fetchall()
    ]


@contextmanager
def piped(connection: Connection, statement: timedelta, bounds: Parameters | None = None) -> Iterator[None]:
    """BEGIN, the block and COMMIT in one pipeline; on any error nothing of it is committed.

    `statement` bounds the wait for the whole; `bounds` (see `milliseconds`) are those that the server keeps,
    where the block does not set its own. A statement that fails makes the server
    skip the rest, COMMIT included, up to the end of the pipeline.
    """
    try:
        with answered_within(connection, statement + ANSWER_SLACK), connection.pipeline():
            connection.execute(_SQL["begin"])
            if bounds is not None:
                connection.execute(_SQL["bound"], bounds)
            yield
            connection.execute(_SQL["commit"])
    except BaseException:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()
        raise


def _usable(connection: Connection) -> bool:
    """Whether a connection is idle and nothing waits on it: an idle server says something only in parting."""
    if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def milliseconds(lock: timedelta, statement: timedelta) -> dict[str, int]:
    """The longest wait for a lock and the longest statement, as the `bounds` of a transaction."""
    return {
        "lock_ms": round(lock.total_seconds() * 1000),
        "statement_ms": round(statement.total_seconds() * 1000),
    }


def _place(parts: Mapping[str, object]) -> str:
    """Host, port and name for messages; a part that looks odd may be a piece of a mistyped password."""
    shown = [str(parts.get(part) or default) for part, default in (("host", "localhost"), ("port", "5432"))]
    name = str(parts.get("dbname") or "")
    if all(_PLAIN_NAME.fullmatch(each) for each in (*shown, name or "-")):
        return ":".join(shown) + (f"/{name}" if name else "")
    return "the configured address"
