"""Below `http`: connections that hold a request back until all of it may leave, and that can be cut.

`http.client` sends the head of a request and then its body; whatever asks "may this still leave?" before
the first of them cannot speak for the second. So a connection here keeps the pieces, is connected first (TCP
and TLS, which tell a provider nothing), asks its exchange, and gives everything to the socket in ONE call.
"""

from __future__ import annotations

import functools
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager
from urllib3.util.ssl_ import create_urllib3_context

from leaderjobs import clock

MOST_UNACKNOWLEDGED_MS = 10_000
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


class Unsent(Exception):
    """The exchange was cut before a byte of the request had left."""


class Exchange:
    """One request that is out: whether it has begun to leave, and the right to cut it from another thread."""

    def __init__(self, guard: Callable[[], None] | None = None, deadline: float | None = None) -> None:
        """`guard` is called right before the request leaves; after `deadline` (`clock.elapsed`) none does."""
        self._guard = guard
        self._deadline = deadline
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self.reason = ""
        """Why it was cut; empty while it was not."""
        self.leaving = False
        """False: not a byte of the request has been given to the socket, and none will be after a cut."""
        self.stopped: BaseException | None = None
        """What the guard raised."""

    def watch(self, connection: HTTPConnection) -> None:
        """Remember where the bytes go; a cut that came before the connect is made up for here."""
        with self._lock:
            self._connection = connection
            if self.reason:
                _shut(connection)

    def write(self, sock: socket.socket, request: bytes) -> None:
        """The one place where a request leaves."""
        if self._guard is not None:
            try:
                self._guard()
            except BaseException as error:  # noqa: BLE001 - raised again by whoever called the library
                self.stopped = (
                    error  # As itself it might be wrapped, or (a reset) be passed over for an answer.
                )
                raise Unsent from None
        late = self._deadline is not None and clock.elapsed() >= self._deadline
        with self._lock:
            if self.reason or late:
                raise Unsent
            self.leaving = True
        sock.sendall(request)

    def cut(self, reason: str) -> None:
        """Make the thread that waits for the answer fail at once; what has not begun to leave never will."""
        with self._lock:
            self.reason = self.reason or reason
            if self._connection is not None:
                _shut(self._connection)

    def over(self) -> None:
        """Forget the connection, so that a late cut cannot hit the one that is kept for the next."""
        with self._lock:
            self._connection = None


def _shut(connection: HTTPConnection) -> None:
    sock = getattr(connection, "sock", None)
    if not isinstance(sock, socket.socket):
        return
    try:
        # So that closing it throws away what the kernel still holds of the request, and sends it no more.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The plain socket's method: SSLSocket's own would drop the TLS state under the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # Already closed or never connected: there is nothing left to cut.


class _Plain(HTTPConnection):
    """Reports itself before it connects, once it has, and at every request, as one that is kept must."""

    current: Callable[[], Exchange]
    _pieces: list[bytes] | None = None

    def connect(self) -> None:
        self.current().watch(self)
        super().connect()
        if _USER_TIMEOUT is not None:
            # A request that nobody acknowledges is given up by the kernel, and does not arrive minutes later.
            self.sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, MOST_UNACKNOWLEDGED_MS)
        self.current().watch(self)

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        exchange = self.current()
        if self.sock is None:
            self.connect()  # Before anything is held: asking a proxy for a tunnel is a send as well.
        exchange.watch(self)
        self._pieces = []
        try:
            super().request(*args, **kwargs)
            request = b"".join(self._pieces)
        finally:
            self._pieces = None
        exchange.write(self.sock, request)

    def send(self, data: Any) -> None:  # noqa: ANN401 - passed through
        if self._pieces is None:
            super().send(data)
        else:
            self._pieces.append(data)


class _Secure(_Plain, HTTPSConnection):
    """The same over TLS."""


def _pools(current: Callable[[], Exchange]) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections belong to whichever exchange is the current one."""

    class Plain(_Plain):
        pass

    class Secure(_Secure):
        pass

    # Not in the class bodies: there a function would become a method.
    Plain.current = Secure.current = staticmethod(current)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class Adapter(HTTPAdapter):
    """An adapter over such connections; urllib3 retries nothing."""

    def __init__(self, current: Callable[[], Exchange]) -> None:
        """`current` is asked whenever a connection is made or used."""
        self._pools = _pools(current)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        """As the base class, with our pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: HTTPConnectionPool, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401 - passed through
        """As the base class, but the CA file is read once and not for every connection: that takes 70 ms."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if isinstance(conn, HTTPSConnectionPool) and conn.ca_certs:
            bundle = Path(conn.ca_certs)
            conn.conn_kw["ssl_context"] = _trusting(bundle, bundle.stat().st_mtime_ns)
            conn.ca_certs = None

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - passed through
        """As the base class, with our pools."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


@functools.lru_cache(maxsize=4)
def _trusting(bundle: Path, _written: int) -> ssl.SSLContext:
    """A context with the CAs of a file as it was written then."""
    context = create_urllib3_context()
    context.load_verify_locations(bundle)
    return context
