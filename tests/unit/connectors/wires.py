"""A server on loopback that shows what came over each of its connections, and answers what it is told."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
SILENT = b""
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl to make a certificate"
)
Behave = Callable[[socket.socket, bytes], None]
"""What to do with a connection once a whole request has come."""


class Wire:
    """One connection as the server saw it."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = threading.Event()

    @property
    def head(self) -> str:
        return self.heard.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        return self.heard.partition(b"\r\n\r\n")[2]


class Server:
    """Accepts every connection on a thread of its own."""

    def __init__(self, behave: Behave, tls: ssl.SSLContext | None = None) -> None:
        self.wires: list[Wire] = []
        self._behave = behave
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        port = self._socket.getsockname()[1]
        return f"https://localhost:{port}" if self._tls else f"http://127.0.0.1:{port}"

    @property
    def heard(self) -> list[bytes]:
        return [wire.heard for wire in self.wires]

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                wire = Wire()
                self.wires.append(wire)
                threading.Thread(target=self._serve, args=(connection, wire), daemon=True).start()

    def _serve(self, connection: socket.socket, wire: Wire) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while not _whole(wire.heard):
                more = connection.recv(1024 * 1024)
                if not more:
                    return
                wire.heard += more
            self._behave(connection, wire.heard)
        except OSError:
            return
        finally:
            wire.ended.set()
            connection.close()


def _whole(heard: bytes) -> bool:
    head, found, body = heard.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found) and len(body) >= (int(lengths[0].split(b":")[1]) if lengths else 0)


@contextmanager
def serving(behave: Behave, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behave, tls)
    try:
        yield server
    finally:
        server.stop()


def answering(answer: bytes) -> Behave:
    return lambda connection, _: connection.sendall(answer)


def resetting(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hanging(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


def certificate(folder: Path) -> Path:
    """Key and self-signed certificate of localhost in one file, which is also the CA file."""
    both, key = folder / "both.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(both)],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    both.write_bytes(both.read_bytes() + key.read_bytes())
    return both


def tls(both: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context
