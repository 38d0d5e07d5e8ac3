"""The HTTP half of every sandbox: connections, faults on the wire, counters, steering."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Mapping
from datetime import timedelta
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import WIRE, Fault, FaultKind, Faults

CONTROL = "/_sandbox/"
MOST_REQUEST_BYTES = 1024 * 1024
MOST_HUGE_BYTES = 1024 * 1024 * 1024
MOST_HANG = timedelta(minutes=10)
MOST_RECORDED = 1000
MOST_RECORDED_BYTES = 64 * 1024
_IDLE_SECONDS = 120
_POLL_SECONDS = 0.01
_HTML = b"<!doctype html><title>Sorry</title><h1>We will be right back</h1>"


class Sandbox(ABC):
    """A provider on 127.0.0.1; use it as a context manager, or call `start` and `stop`."""

    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    """The others are refused with 405."""

    def __init__(self, *, seed: int, port: int = 0, latency: timedelta = timedelta(0)) -> None:
        """`port` 0 takes a free one; `latency` comes on top of every answer of the provider."""
        self.faults = Faults(seed)
        self.stopping = threading.Event()
        self.latency = latency
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._received = 0
        self._record: deque[Request] = deque(maxlen=MOST_RECORDED)
        self._server = _Server(port, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name="sandbox"
        )

    @property
    def url(self) -> str:
        """The address to use as a connection's `base_url`; known before `start`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Serve until `stop`; once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection, also those that hang, and wait for their threads; safe to call twice."""
        self.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def pause(self, seconds: float) -> bool:
        """Wait so long; whether the sandbox is stopping, so that waiting on makes no sense."""
        return seconds > 0 and self.stopping.wait(seconds)

    def requests(self) -> dict[str, int]:
        """How many requests each path got, also those that a fault struck; steering not counted."""
        with self._lock:
            return dict(self._requests)

    def received(self, method: str, path: str, query: str, headers: Message, body: bytes) -> Request:
        """Note that a request has come in whole, before anything can happen to it."""
        with self._lock:
            self._received += 1
            self._requests[self.counted_as(method, path)] += 1
            request = Request(self._received, method, path, query, headers, body)
            if len(body) <= MOST_RECORDED_BYTES:
                self._record.append(request)
            return request

    def recorded(self) -> list[Request]:
        """The last MOST_RECORDED requests, as they came, except for those with large bodies."""
        with self._lock:
            return list(self._record)

    def counted_as(self, _method: str, path: str) -> str:
        """The name under which `requests` counts such a request."""
        return path

    def begin(self, _request: Request, _faults: tuple[Fault, ...]) -> Reply | None:
        """What can be said before the work begins, such as a refusal; None: `answer` will be called."""
        return None

    @abstractmethod
    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """Act, and say how it went; `faults` are those that struck."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Counts for `GET /_sandbox/state`."""

    @abstractmethod
    def rows_json(self) -> bytes:
        """The objects that the provider holds now, for `GET /_sandbox/rows`."""

    @abstractmethod
    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out `POST /_sandbox/change`; ValueError for what it does not know."""

    def record_json(self, _name: str) -> bytes | None:
        """A record of the provider's own for `GET /_sandbox/<name>`; None: it keeps none of that name."""
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._live: set[socket.socket] = set()
        self._live_lock = threading.Lock()
        self._closing = False
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up this machine's name here, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, so that `close_connections` can end its thread."""
        with self._live_lock:
            self._live.add(connection)
            if self._closing:
                _shut(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._live_lock:
            self._live.discard(connection)

    def close_connections(self) -> None:
        """End every connection, also one whose thread has only just begun."""
        with self._live_lock:
            self._closing = True
            for connection in self._live:
                _shut(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away, which is what half of the tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed: any of the servers


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._receive(self.headers.get("Content-Length", "0"))

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._receive(self.headers.get("Content-Length", ""))

    def _receive(self, length: str) -> None:
        if not length.isdigit():
            self.close_connection = True
            self._send(_plain(HTTPStatus.LENGTH_REQUIRED))
        elif int(length) > MOST_REQUEST_BYTES:
            self.close_connection = True
            self._send(_plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):  # The client died in the middle: nobody acts on half a request.
                self.close_connection = True
            else:
                self._serve(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the counters tell more."""

    def _serve(self, body: bytes) -> None:
        sandbox = self.server.sandbox
        path, _, query = self.path.partition("?")
        if path.startswith(CONTROL):
            self._send(_steer(sandbox, self.command, path, body))
            return
        request = sandbox.received(self.command, path, query, self.headers, body)
        if self.command not in sandbox.methods:
            self._send(_plain(HTTPStatus.METHOD_NOT_ALLOWED))
            return
        try:
            self._carry_out(request, sandbox.faults.draw(path, self.command))
        except OverflowError as full:
            self.close_connection = True
            self._send(_plain(HTTPStatus.INSUFFICIENT_STORAGE, str(full)))

    def _carry_out(self, request: Request, faults: tuple[Fault, ...]) -> None:
        """Answer, with the faults in their places: before the provider hears of it, or once it has acted."""
        sandbox = self.server.sandbox
        before = {fault.kind: fault for fault in faults if not fault.after}
        after = {fault.kind: fault for fault in faults if fault.after}
        lost = not WIRE.isdisjoint(before)
        said = None if lost else sandbox.begin(request, faults)
        if sandbox.pause(sandbox.latency.total_seconds() + _delay(before.get(FaultKind.LATENCY))):
            return
        if lost:
            self._strike(request, before)
            return
        if said is None:
            said = sandbox.answer(request, faults)
        if sandbox.pause(_delay(after.get(FaultKind.LATENCY))):
            return
        if WIRE.isdisjoint(after):
            self._send_faulty(said, before | after)
        else:
            self._strike(request, after)

    def _strike(self, request: Request, wire: Mapping[FaultKind, Fault]) -> None:
        """What is there instead of an answer."""
        sandbox = self.server.sandbox
        if FaultKind.HANG in wire:
            sandbox.pause(MOST_HANG.total_seconds())
            self.close_connection = True
        elif FaultKind.RESET in wire:
            self._reset()
        elif FaultKind.DROP in wire:
            self.close_connection = True
        elif FaultKind.HUGE in wire:
            self._send_huge()
        elif FaultKind.REDIRECT in wire:
            self._send(Reply(307, b"{}", {"Location": sandbox.url + request.path}))
        else:
            self._send(Reply(wire[FaultKind.HTML].status or 200, _HTML, content_type="text/html"))

    def _send_faulty(self, reply: Reply, wire: Mapping[FaultKind, Fault]) -> None:
        if FaultKind.TRUNCATED in wire:
            self.close_connection = True
            head = self._head(reply)
            self.wfile.write(head + reply.body[: len(reply.body) // 2])
        elif FaultKind.SLOW_DRIP in wire:
            self.close_connection = True
            for byte in self._head(reply) + reply.body:
                self.wfile.write(bytes((byte,)))
                if self.server.sandbox.pause(_delay(wire[FaultKind.SLOW_DRIP])):
                    return
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.wfile.write(self._head(reply) + reply.body)

    def _head(self, reply: Reply, length: int | None = None) -> bytes:
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": reply.content_type,
            "Content-Length": str(len(reply.body) if length is None else length),
            **reply.headers,
        }
        if self.close_connection:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {reply.status} {_phrase(reply.status)}\r\n{lines}\r\n".encode("latin-1")

    def _send_huge(self) -> None:
        self.close_connection = True
        self.wfile.write(self._head(Reply(200, b""), length=MOST_HUGE_BYTES))
        block = b" " * (1024 * 1024)
        for _ in range(MOST_HUGE_BYTES // len(block)):
            self.wfile.write(block)

    def _reset(self) -> None:
        """Close so that the client sees RST and not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _steer(sandbox: Sandbox, method: str, path: str, body: bytes) -> Reply:
    """The paths under /_sandbox/; what is asked wrongly is answered with 400 and a sentence."""
    try:
        match (method, path.removeprefix(CONTROL)):
            case ("GET", "state"):
                return _json(sandbox.state())
            case ("GET", "rows"):
                return Reply(200, sandbox.rows_json())
            case ("POST", "faults"):
                sandbox.faults.replace(*msgspec.json.decode(body, type=list[Fault]))
                return _json({})
            case ("POST", "change"):
                return _json(sandbox.change(msgspec.json.decode(body, type=dict[str, Any])))
            case ("GET", name) if (record := sandbox.record_json(name)) is not None:
                return Reply(200, record)
            case _:
                return _plain(HTTPStatus.NOT_FOUND)
    except (msgspec.DecodeError, ValueError) as error:
        return Reply(400, msgspec.json.encode({"error": str(error)}))


def _json(document: dict[str, Any]) -> Reply:
    return Reply(200, msgspec.json.encode(document))


def _plain(status: HTTPStatus, text: str = "") -> Reply:
    return Reply(status, msgspec.json.encode({"error": text or status.phrase}))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in _STATUSES else "Unknown"


def _delay(fault: Fault | None) -> float:
    return fault.delay_ms / 1000 if fault else 0.0


_STATUSES = frozenset(HTTPStatus)
