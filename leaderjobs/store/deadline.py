"""A bound on waiting for Postgres that does not depend on Postgres.

`statement_timeout` is kept by the server and TCP's own timeouts by its machine: a server that hangs, or
something in between that accepts every byte and answers nothing, keeps neither. So the client keeps one too.

One thread keeps the bounds of all connections. A timer thread for each would cost every transaction the start
and the end of a thread, which under load is milliseconds: each of the two waits for the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from leaderjobs import clock


class _Bound:
    """The connection of one block, to be cut off when its time is up."""

    def __init__(self, cut: socket.socket) -> None:
        self._cut = cut
        self._lock = threading.Lock()
        self.left = False
        """Whether the block was left; then nothing happens any more."""

    def pass_over(self) -> None:
        with self._lock:
            if not self.left:
                shut(self._cut)

    def leave(self) -> None:
        # Under the lock: a descriptor that is closed may at once be another's, and must not be shut down.
        with self._lock:
            self.left = True
            self._cut.close()


class _Watch:
    """Cuts off what is over its time, on one thread that is started with the first bound."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bounds: list[tuple[float, int, _Bound]] = []
        self._order = itertools.count()
        self._running = False

    def keep(self, bound: _Bound, seconds: float) -> None:
        at = clock.elapsed() + seconds
        with self._changed:
            first = not self._bounds or at < self._bounds[0][0]
            heapq.heappush(self._bounds, (at, next(self._order), bound))
            if len(self._bounds) > MOST_LEFT:
                self._bounds = [each for each in self._bounds if not each[2].left]
                heapq.heapify(self._bounds)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
            elif first:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._bounds and self._bounds[0][2].left:
                    heapq.heappop(self._bounds)
                if not self._bounds:
                    self._changed.wait()
                    continue
                left = self._bounds[0][0] - clock.elapsed()
                if left > 0:
                    self._changed.wait(left)
                    continue
                bound = heapq.heappop(self._bounds)[2]
            bound.pass_over()


MOST_LEFT = 1_000
"""Bounds of blocks that were left and not forgotten yet; more are swept at once."""
_watch = _Watch()


def _begin_anew() -> None:
    """No thread lives on in a forked process."""
    global _watch  # noqa: PLW0603 - the one of this process
    _watch = _Watch()


os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def answered_within(connection: psycopg.Connection[Any], limit: timedelta) -> Iterator[None]:
    """Cut the connection off when the block is not left in time: whoever waits on it then raises.

    The socket is shut down through a duplicate, because libpq's own must not be closed while another
    thread waits on it. Nothing is cut off any more once this has returned.
    """
    bound = _Bound(duplicate(connection))
    _watch.keep(bound, limit.total_seconds())
    try:
        yield
    finally:
        bound.leave()


def duplicate(connection: psycopg.Connection[Any]) -> socket.socket:
    """Another descriptor of the connection's socket; the caller closes it."""
    borrowed = socket.socket(fileno=connection.fileno())
    try:
        return borrowed.dup()
    finally:
        borrowed.detach()


def shut(cut: socket.socket) -> None:
    """End both directions at once; a socket that is gone already is fine."""
    with contextlib.suppress(OSError):
        cut.shutdown(socket.SHUT_RDWR)
