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
from leaderjobs.store import queries
from leaderjobs.store.deadline import answered_within
from leaderjobs.store.faults import translated
from leaderjobs.store.pool import SHORT_STATEMENT, Connection, Database

RECONNECT_EVERY = 5.0
"""Seconds between two tries to listen again; in between `wait` only waits."""
CLOSE_PATIENCE = 10.0
_SQL = queries.load("jobs")


class Waker:
    """Tells that a job of a cluster was enqueued, released or ended. One thread waits; any may close.

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
        """Wait until told, at most `timeout`; True when there may be something new.

        True also right after it began to listen (again): what was told before then is not known. Raises
        nothing for a database that is away.
        """
        deadline = clock.elapsed() + max(0.0, timeout.total_seconds())
        with self._waiting:
            if self._closed.is_set():
                return False
            if self._connection is None and clock.elapsed() >= self._next_try and self._listen():
                return True
            while not self._closed.is_set():
                left = deadline - clock.elapsed()
                if self._told() or (left > 0 and self._sleep(left) and self._told()):
                    return True
                if left <= 0:
                    return False
            self._let_go()
            return False

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

    def _told(self) -> bool:
        """Whether a notification for this cluster has come; a broken connection is let go."""
        if self._connection is None:
            return False
        try:
            payloads = [note.payload for note in self._connection.notifies(timeout=0)]
        except psycopg.Error:
            self._let_go()
            return False
        return self._cluster in payloads

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
