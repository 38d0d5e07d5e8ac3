"""A bound on waiting for Postgres that does not depend on Postgres.

`statement_timeout` is kept by the server and TCP's own timeouts by its machine: a server that hangs, or
something in between that accepts every byte and answers nothing, keeps neither. So the client keeps one too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg


@contextmanager
def answered_within(connection: psycopg.Connection[Any], limit: timedelta) -> Iterator[None]:
    """Cut the connection off when the block is not left in time: whoever waits on it then raises.

    The socket is shut down through a duplicate, because libpq's own must not be closed while another
    thread waits on it. The timer has ended when this returns, so it never touches a reused descriptor.
    """
    cut = duplicate(connection)
    timer = threading.Timer(limit.total_seconds(), shut, (cut,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        cut.close()


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
