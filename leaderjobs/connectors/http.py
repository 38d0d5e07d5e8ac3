"""One provider's HTTP: a POST gets an answer, or a TransientError that says whether it was sent.

Three outcomes (observed with `requests` against real sockets):

- *answered*: any status with a whole body becomes an `Answer`; what it means is the connector's matter.
- `NOT_SENT`: refused, no such host, timed out while connecting. The provider cannot have acted.
- `NO_ANSWER`: reset, timed out, cut body. The provider may have acted; a read may simply be repeated.

Nothing is retried here and no redirect is followed: a redirected POST would hand credentials to whoever
the answer names. `requests` has no default timeout and its read timeout starts anew with every byte,
so a timer cuts the socket when the whole exchange is over its time; `close` uses the same cut, which
is how the end of a term reaches a thread that sits in a read. The one thing neither can cut is the
name lookup and TCP connect, which has a short timeout of its own.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import ProxyManager

from leaderjobs import clock
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.connectors.urls import is_loopback
from leaderjobs.errors import FatalError, Interrupted, LeaderJobsError, TransientError

MOST_BODY_BYTES = 32 * 1024 * 1024
MOST_RETRY_AFTER = timedelta(days=1)
CONNECT_TIMEOUT = timedelta(seconds=5)
_CHUNK_BYTES = 256 * 1024


def parse_retry_after(value: str | None) -> timedelta | None:
    """The Retry-After header (RFC 9110 §10.2.3): seconds or a date; bounded, None when unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), MOST_RETRY_AFTER.total_seconds()))
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return min(max(instant - clock.now(), timedelta(0)), MOST_RETRY_AFTER)


class _Exchange:
    """One request that is out, and the right to cut it from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self.reason = ""

    def watch(self, connection: HTTPConnection) -> None:
        """Remember where the bytes go; a cut that came before the connect is made up for here."""
        with self._lock:
            self._connection = connection
            if self.reason:
                _shut(connection)

    def cut(self, reason: str) -> None:
        """Make the thread that reads the answer fail at once."""
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
        # The plain socket's method: SSLSocket's own would drop the TLS state under the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # Already closed or never connected: there is nothing left to cut.


def _pools(watch: Callable[[HTTPConnection], None]) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools whose connections report themselves.

    Before they connect, once they have, and at every request: a connection that is kept from the
    request before gives no other sign.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            watch(self)
            super().connect()
            watch(self)

        def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
            watch(self)
            super().request(*args, **kwargs)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            watch(self)
            super().connect()
            watch(self)

        def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
            watch(self)
            super().request(*args, **kwargs)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Adapter(HTTPAdapter):
    """An adapter that tells which connection a request went out on; urllib3 retries nothing."""

    def __init__(self, watch: Callable[[HTTPConnection], None]) -> None:
        self._pools = _pools(watch)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - passed through
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class HttpClient:
    """A keep-alive connection to one origin; `post` on one thread at a time, `close` from any."""

    def __init__(self, base_url: str, *, timeout: timedelta) -> None:
        """`timeout` bounds a whole exchange, from the connect to the last byte of the body."""
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout.total_seconds()
        self._connect_timeout = min(self._timeout, CONNECT_TIMEOUT.total_seconds())
        self._lock = threading.Lock()
        self._exchange = _Exchange()
        self._closed = False
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(urlsplit(base_url).hostname or "")
        # Without an auth of its own, requests would add a password from ~/.netrc.
        self._session.auth = _no_auth
        for prefix in ("http://", "https://"):
            self._session.get_adapter(prefix).close()
            self._session.mount(prefix, _Adapter(self._watch))

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send JSON and read the whole answer, whatever its status.

        TransientError with code NOT_SENT or NO_ANSWER, FatalError for an answer that can never be used
        (redirect, too large, a certificate that does not verify), Interrupted once `close` was called.
        """
        exchange = self._begin(path)
        deadline = threading.Timer(
            self._timeout, exchange.cut, [f"gave no whole answer within {self._timeout:g} s"]
        )
        deadline.daemon = True
        deadline.start()
        try:
            return self._read(path, self._send(path, body, headers))
        except (requests.RequestException, HTTPError, OSError) as error:
            raise self._classified(path, error, exchange.reason) from None
        finally:
            deadline.cancel()
            exchange.over()

    def close(self) -> None:
        """Cut a request that is out and refuse the next; safe to call twice and from any thread."""
        with self._lock:
            self._closed = True
            exchange = self._exchange
        exchange.cut("was closed")
        self._session.close()

    def _begin(self, path: str) -> _Exchange:
        with self._lock:
            if self._closed:
                raise Interrupted(f"{self._base_url}{path} was not asked: the connection is closed")
            self._exchange = _Exchange()
            return self._exchange

    def _watch(self, connection: HTTPConnection) -> None:
        self._exchange.watch(connection)

    def _send(self, path: str, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        return self._session.post(
            self._base_url + path,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=(self._connect_timeout, self._timeout),
            allow_redirects=False,
            stream=True,
        )

    def _read(self, path: str, response: requests.Response) -> Answer:
        with response:
            if 300 <= response.status_code < 400:
                raise FatalError(
                    f"{self._base_url}{path} answered {response.status_code}: redirects are not followed; "
                    "set base_url to the address that answers itself"
                )
            body = bytearray()
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    raise FatalError(
                        f"{self._base_url}{path} answered more than {MOST_BODY_BYTES} bytes; "
                        "ask for smaller pages"
                    )
            retry_after = parse_retry_after(response.headers.get("Retry-After"))
            return Answer(response.status_code, bytes(body), retry_after)

    def _classified(self, path: str, error: Exception, cut: str) -> LeaderJobsError:
        """The error to raise instead; the library's own text may hold the request and is never shown."""
        where = f"{self._base_url}{path}"
        if self._closed:
            return Interrupted(f"{where} was cut off: the connection was closed")
        if cut:
            return TransientError(f"{where} {cut}", code=NO_ANSWER)
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return FatalError(
                f"{where} shows a certificate that does not verify; check base_url and the CA store",
                code=NOT_SENT,
            )
        if any(isinstance(cause, _NEVER_SENT) for cause in causes):
            return TransientError(f"{where} cannot be reached", code=NOT_SENT)
        return TransientError(f"{where} broke off without a whole answer", code=NO_ANSWER)


_NEVER_SENT = (NewConnectionError, NameResolutionError, requests.ConnectTimeout)
_MOST_CAUSES = 16


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: requests and urllib3 keep the reason in arguments, not in causes."""
    pending: list[object] = [error]
    for _ in range(_MOST_CAUSES):
        if not pending:
            return
        found = pending.pop()
        if isinstance(found, BaseException):
            yield found
            pending += [*found.args, getattr(found, "reason", None), found.__cause__]


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
