"""A kazoo client that is kept from doing what an election cannot stand.

What kazoo 2.11 does by itself, and what is done here instead:

- It queues requests while the connection is in doubt and sends them later, possibly in another session.
  `StrictClient` refuses them at once, and after the session is over for good; the refusal and the change of
  state hold one lock, so no request slips between them.
- It keeps the granted session timeout to itself. It is read off the connection, see `_measured`.
- It waits up to an hour between tries to connect after a long outage, and a whole session timeout for one
  TCP connect, then for the server's greeting. A server that has just started opens its port before it
  answers, and forgets what it was sent till then (seen here). All three are short, see `_invoke_soon`.
- It logs every request at DEBUG, credentials included. Nothing under ERROR passes.

kazoo is pinned because this module reaches into its connection; `_measured` tells should the shape differ.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, SessionExpiredError
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.states import EventType, KeeperState
from kazoo.retry import KazooRetry
from kazoo.security import CREATOR_ALL_ACL

from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl

RECONNECT_FIRST: Final = 0.1
RECONNECT_MOST: Final = 1.0
"""Seconds between tries to connect."""
SHORTEST_CONNECT: Final = 1.0
"""Seconds that one TCP connect, and one greeting after it, may take at least."""
GREETING_SHARE: Final = 1 / 10
"""Of the session timeout: a server that is slower could not hold an election's heartbeats either."""


def _only_errors(record: logging.LogRecord) -> bool:
    # Changes of state are told as events, and the requests that kazoo logs may hold credentials.
    return record.levelno >= logging.ERROR


log = logging.getLogger("leaderjobs.coordination.kazoo")
log.addFilter(_only_errors)


class _ShortConnects(SequentialThreadingHandler):  # type: ignore[misc]
    """Gives a TCP connect its own, short time instead of the whole session timeout per host."""

    def __init__(self, longest: float) -> None:
        super().__init__()
        self._longest = longest

    def create_connection(self, *where: Any, timeout: float, **options: Any) -> Any:  # noqa: ANN401
        """As kazoo's, with `timeout` cut to the longest allowed."""
        return super().create_connection(*where, timeout=min(timeout, self._longest), **options)


class StrictClient(KazooClient):  # type: ignore[misc]
    """Sends a request now or refuses it; with `renews` false, in one session only."""

    def __init__(
        self,
        server: ZooKeeperUrl,
        timeout: timedelta,
        *,
        renews: bool,
        on_state: Callable[[str], None],
        on_granted: Callable[[float], None],
    ) -> None:
        """`on_state` and `on_granted` (seconds) are called on the connection thread, under the gate."""
        self._gate = threading.RLock()
        self._renews = renews
        self._sealed = False
        longest = max(SHORTEST_CONNECT, timeout.total_seconds() / (3 * len(server.hosts)))
        handler = _ShortConnects(longest)
        super().__init__(
            hosts=",".join(server.hosts),
            timeout=timeout.total_seconds(),
            handler=handler,
            default_acl=CREATOR_ALL_ACL if server.credential else None,
            auth_data=[("digest", server.credential)] if server.credential else None,
            connection_retry=KazooRetry(
                max_tries=-1,
                delay=RECONNECT_FIRST,
                max_delay=RECONNECT_MOST,
                sleep_func=handler.sleep_func,
            ),
            logger=log,
            use_ssl=server.tls,
            ca=server.ca,
            check_hostname=server.tls,
        )
        self._on_granted = on_granted
        self._greeting = max(SHORTEST_CONNECT, timeout.total_seconds() * GREETING_SHARE)
        self._invoke = self._connection._invoke  # noqa: SLF001 - as below
        self._connection._invoke = self._invoke_soon  # noqa: SLF001 - as below
        self._connect_once = self._connection._connect  # noqa: SLF001 - kazoo tells the granted timeout nowhere else
        self._connection._connect = self._measured  # noqa: SLF001 - as above
        self.add_listener(on_state)

    def _invoke_soon(self, timeout: float, request: Any, xid: int | None = None) -> Any:  # noqa: ANN401
        # kazoo uses this for the greeting and the credentials only.
        return self._invoke(min(timeout, self._greeting), request, xid)

    def _measured(self, *where: Any) -> Any:  # noqa: ANN401
        # The state becomes CONNECTED inside this call, so the timeout is known only after that event.
        answer = self._connect_once(*where)
        match answer:
            case (int() | float() as read_ms, int() | float()) if read_ms > 0:
                # kazoo's connection.py makes the read timeout two thirds of the granted session timeout.
                self._on_granted(round(read_ms * 3 / 2) / 1000)
            case _:
                self._on_granted(0.0)
        return answer

    def _call(self, request: Any, async_object: Any) -> Any:  # noqa: ANN401
        with self._gate:
            if self._sealed:
                async_object.set_exception(SessionExpiredError())
                return False
            if self._state == KeeperState.CONNECTING:
                async_object.set_exception(ConnectionLoss())
                return False
            return super()._call(request, async_object)

    def _session_callback(self, state: str) -> None:
        with self._gate:
            if state in {KeeperState.EXPIRED_SESSION, KeeperState.AUTH_FAILED, KeeperState.CLOSED}:
                self._sealed = not self._renews
            super()._session_callback(state)

    def shut(self) -> None:
        """Break the connection off, so that a thread that waits on it sees its end."""
        broken = self._connection._socket  # noqa: SLF001 - nothing public gives the socket
        if broken is not None:
            with contextlib.suppress(OSError, ValueError):
                broken.shutdown(socket.SHUT_RDWR)

    def peer(self) -> tuple[str, int] | None:
        """Address of the server that is connected to at the moment."""
        connected = self._connection._socket  # noqa: SLF001 - nothing public gives the socket
        try:
            return None if connected is None else connected.getpeername()[:2]
        except OSError:
            return None


def is_disconnect(event: Any) -> bool:  # noqa: ANN401
    """Whether a watch was told only that the connection broke, which drops every watch."""
    return bool(event.type == EventType.NONE)
