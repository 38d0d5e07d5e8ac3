"""One provider's HTTP: a request gets an answer, or an error that says whether it was sent.

Three outcomes (observed with `requests` against real sockets):

- *answered*: any status with a whole body becomes an `Answer`; what it means is the connector's matter.
- `NOT_SENT`: not a byte of it has left: no such host, refused, timed out or reset while connecting or in
  the TLS handshake. The provider cannot have acted.
- `NO_ANSWER`: reset, timed out, cut body, once it had begun to leave. The provider may have acted; a read
  may simply be repeated.

`post` and `fetch` keep their connection, for pages of reads. `exchange` is for what takes effect: a
connection of its own, so that no idle one can swallow the request; a guard that is asked when it stands,
right before the whole request leaves in one write (`http_wire`); and many of them at once.

Nothing is retried here and no redirect is followed: a redirected POST would hand credentials to whoever
the answer names. `requests` has no default timeout and its read timeout starts anew with every byte,
so a timer cuts the socket when the whole exchange is over its time; `close` uses the same cut, which
is how the end of a term reaches a thread that sits in a read. The one thing neither can cut is the
name lookup and TCP connect, which has a short timeout of its own; nothing leaves after it came too late.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from leaderjobs import clock
from leaderjobs.connectors.http_wire import Adapter, Exchange, Unsent
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.connectors.urls import is_loopback
from leaderjobs.errors import FatalError, Interrupted, LeaderJobsError, TransientError

MOST_BODY_BYTES = 32 * 1024 * 1024
MOST_RETRY_AFTER = timedelta(days=1)
MOST_HEADER_CHARS = 1024
"""Of an answer's header; longer ones are left out. `http.client` reads at most a hundred of them."""
MOST_LINK_CHARS = 64 * 1024
"""Of a Link header, whose absence would read as the end of a listing; `http.client` refuses longer lines."""
CONNECT_TIMEOUT = timedelta(seconds=5)
_CHUNK_BYTES = 256 * 1024
_NOT_KEPT = frozenset({"set-cookie", "set-cookie2"})


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


class _TooLarge(Exception):
    """The body has passed its bound."""


class HttpClient:
    """One origin; `post` and `fetch` on one thread at a time, `exchange` on any, `close` from any."""

    def __init__(self, base_url: str, *, timeout: timedelta) -> None:
        """`timeout` bounds a whole `fetch`, from the connect to the last byte of the body."""
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._lock = threading.Lock()
        self._posting = Exchange()
        self._out: set[Exchange] = set()
        self._closed = False
        # Only its settings are used, never its `send`: that reads a redirect's whole body, however long.
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(urlsplit(base_url).hostname or "")
        # Without an auth of its own, requests would add a password from ~/.netrc.
        self._session.auth = _no_auth
        self._kept = Adapter(lambda: self._posting)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """`fetch` of a POST with JSON."""
        return self.fetch("POST", path, body, {"Content-Type": "application/json", **headers})

    def fetch(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send over the kept connection and read the whole answer, whatever its status.

        TransientError with code NOT_SENT or NO_ANSWER, FatalError for an answer that can never be used
        (redirect, too large, a certificate that does not verify), Interrupted once `close` was called.
        `path` may hold a query; errors name the path only.
        """
        self._posting = exchange = Exchange()
        request = self._prepared(method, path, body, headers)
        where = self._base_url + path.partition("?")[0]
        try:
            answer = self._run(exchange, self._kept, request, self._timeout)
        except _TooLarge:
            raise FatalError(
                f"{where} answered more than {MOST_BODY_BYTES} bytes; ask for smaller pages"
            ) from None
        except TransientError:
            if self._closed:
                raise Interrupted(f"{where} was cut off: the connection was closed") from None
            raise
        if 300 <= answer.status < 400:
            raise FatalError(
                f"{where} answered {answer.status}: redirects are not followed; "
                "set base_url to the address that answers itself"
            )
        return answer

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout: timedelta,
        guard: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one request over a connection of its own; the answer, whatever its status.

        What `guard` raises passes through, and then nothing was sent. TransientError with code NOT_SENT or
        NO_ANSWER, FatalError with code NOT_SENT for a certificate that does not verify, Interrupted when
        `close` was called before the request began to leave; afterwards that is NO_ANSWER.
        """
        exchange = Exchange(guard, clock.elapsed() + timeout.total_seconds())
        # Not compressed: answers are small, and what is cut off in between is easier told.
        extra = {"Connection": "close", "Accept-Encoding": "identity"}
        request = self._prepared(method, path, body, {**extra, **headers})
        adapter = Adapter(lambda: exchange)
        try:
            return self._run(exchange, adapter, request, timeout)
        except _TooLarge:
            raise TransientError(
                f"{self._base_url}{path} answered more than {MOST_BODY_BYTES} bytes", code=NO_ANSWER
            ) from None
        finally:
            adapter.close()

    def close(self) -> None:
        """Cut every request that is out and refuse the next; safe to call twice and from any thread."""
        with self._lock:
            self._closed = True
            out = list(self._out)
        for exchange in out:
            exchange.cut("was cut off: the connection was closed")
        self._kept.close()

    def _prepared(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> requests.PreparedRequest:
        """The request as it will be written; FatalError for one that cannot be, without its values."""
        # Without the slash it could name another host, put after the base URL.
        url = self._base_url + path if path.startswith("/") else ""
        try:
            return self._session.prepare_request(
                requests.Request(method, url, headers=dict(headers), data=body or None)
            )
        except (requests.RequestException, HTTPError, ValueError):
            raise FatalError(
                f"{method} to {self._base_url} cannot be written: a bad path or header", code=NOT_SENT
            ) from None

    def _run(
        self, exchange: Exchange, adapter: Adapter, request: requests.PreparedRequest, timeout: timedelta
    ) -> Answer:
        where = (request.url or self._base_url).partition("?")[0]
        with self._lock:
            if self._closed:
                raise Interrupted(f"{where} was not asked: the connection is closed")
            self._out.add(exchange)
        seconds = max(timeout.total_seconds(), _LEAST_SECONDS)
        deadline = threading.Timer(seconds, exchange.cut, [f"gave no whole answer within {seconds:g} s"])
        deadline.daemon = True
        deadline.start()
        try:
            return _read(self._send(adapter, request, seconds))
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError, Unsent) as error:
            if exchange.stopped is not None:
                raise exchange.stopped from None
            raise self._classified(where, error, exchange) from None
        finally:
            deadline.cancel()
            exchange.over()
            with self._lock:
                self._out.discard(exchange)

    def _send(self, adapter: Adapter, request: requests.PreparedRequest, seconds: float) -> requests.Response:
        settings = self._session.merge_environment_settings(request.url, {}, True, None, None)
        return adapter.send(
            request,
            stream=True,
            timeout=(min(seconds, CONNECT_TIMEOUT.total_seconds()), seconds),
            verify=settings["verify"] or True,
            cert=settings["cert"],
            proxies=settings["proxies"],
        )

    def _classified(self, where: str, error: Exception, exchange: Exchange) -> LeaderJobsError:
        """The error to raise instead; the library's own text may hold the request and is never shown."""
        if exchange.leaving:
            return TransientError(f"{where} {exchange.reason or _BROKE_OFF}", code=NO_ANSWER)
        if self._closed:
            return Interrupted(f"{where} was not asked: the connection was closed")
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return FatalError(
                f"{where} shows a certificate that does not verify; check base_url and the CA store",
                code=NOT_SENT,
            )
        if isinstance(error, ValueError):
            return FatalError(f"{where} cannot be written: a bad path or header", code=NOT_SENT)
        return TransientError(f"{where} cannot be reached", code=NOT_SENT)


def _read(response: requests.Response) -> Answer:
    with response:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                raise _TooLarge
        headers = {
            name.lower(): value
            for name, value in response.headers.items()
            if len(name) + len(value) <= _most_chars(name) and name.lower() not in _NOT_KEPT
        }
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        return Answer(response.status_code, bytes(body), retry_after, headers)


def _most_chars(name: str) -> int:
    return MOST_LINK_CHARS if name.lower() == "link" else MOST_HEADER_CHARS


_LEAST_SECONDS = 0.001
_BROKE_OFF = "broke off without a whole answer"
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
