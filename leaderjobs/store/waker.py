"""Waiting for work without asking all the time: LISTEN where it works, plain waiting where it does not."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from datetime import timedelta

import psycopg

from leaderjobs import clock
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.signal import Signal, SignalKind, parse
from leaderjobs.store import queries
from leaderjobs.store.deadline import answered_within
from leaderjobs.store.faults import translated
from leaderjobs.store.pool import SHORT_STATEMENT, Connection, Database

RECONNECT_EVERY = 5.0
"""Seconds between two tries to listen again; in between `wait` only waits."""
CLOSE_PATIENCE = 10.0
_SQL = queries.load("jobs")


class Waker:
    """Tells what happens to a cluster's jobs and schedules. One thread waits; any may close.

    A notification is a hint: one may be lost (a pooler in transaction mode swallows all), so the caller also
    looks at the queue when the time is up.
    """

    def __init__(self, database: Database, cluster: str) -> None:
        """Connects at the first wait, with a connection of its own."""
        self._database = database
        self._cluster = cluster
        self._connection: Connection | None = None
        self._next_try = 0.0
        self._waiting = threading.Lock()
        self._closed = threading.Event()
        self._inner, self._outer = socket.socketpair()

    def wait(self, timeout: timedelta) -> bool:
        """Wait until told, at most `timeout`; True when there may be something new. As `hear`."""
        return bool(self.hear(timeout))

    def hear(self, timeout: timedelta) -> list[Signal]:
        """Wait until told, at most `timeout`: what was told to this cluster meanwhile, perhaps nothing.

        RESCAN right after it began to listen (again): what was told before then is not known. Raises
        nothing for a database that is away.
        """
        deadline = clock.elapsed() + max(0.0, timeout.total_seconds())
        with self._waiting:
            if self._closed.is_set():
                return []
            if self._connection is None and clock.elapsed() >= self._next_try and self._listen():
                return [Signal(SignalKind.RESCAN)]
            while not self._closed.is_set():
                left = deadline - clock.elapsed()
                told = self._told()
                if not told and left > 0 and self._sleep(left):
                    told = self._told()
                if told or left <= 0:
                    return told
            self._let_go()
            return []

    def rest(self) -> None:
        """Stop listening until the next wait: what nobody reads would pile up in the server."""
        with self._waiting:
            self._let_go()
            self._next_try = 0.0

    def close(self) -> None:
        """Stop listening, and wake the thread that waits; safe to call twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(OSError):
            self._outer.send(b"\0")
        if self._waiting.acquire(timeout=CLOSE_PATIENCE):
            try:
                self._let_go()
                self._inner.close()
                self._outer.close()
            finally:
                self._waiting.release()

    def _listen(self) -> bool:
        self._next_try = clock.elapsed() + RECONNECT_EVERY
        try:
            self._connection = self._database.connect()
            with translated(), answered_within(self._connection, SHORT_STATEMENT):
                self._connection.execute(_SQL["listen"])
        except StoreUnavailable:
            self._let_go()
            return False
        return True

    def _told(self) -> list[Signal]:
        """What has come for this cluster; a broken connection is let go."""
        if self._connection is None:
            return []
        try:
            payloads = [note.payload for note in self._connection.notifies(timeout=0)]
        except psycopg.Error:
            self._let_go()
            return []
        return [signal for payload in payloads if (signal := parse(payload, self._cluster)) is not None]

    def _sleep(self, seconds: float) -> bool:
        """Until the server or `close` says something, or the time is up; True for the first two."""
        poll = select.poll()
        poll.register(self._inner, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
