"""A TCP proxy on loopback that can behave as badly as a network."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import Final, Self

from leaderjobs.clock import elapsed

CHUNK: Final = 65536
CONNECT_SECONDS: Final = 5.0
KNOCK_EVERY: Final = 0.02
"""Seconds between two tries to reach a target that is not there yet."""


@dataclass(eq=False)
class Pair:
    """One connection and what it is carried on by."""

    client: socket.socket
    server: socket.socket

    def cut(self) -> None:
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class TcpProxy:
    """Hands bytes on between whoever connects to `address` and one target; all methods from any thread.

    A fault lasts until `restore`. Bytes held back by `black_hole` arrive after it, as they would after TCP
    has sent them again.
    """

    def __init__(self, target_host: str, target_port: int, *, patience: float = 0.0) -> None:
        """Listens at once, on a free port of 127.0.0.1.

        `patience` is for clients that take an open connection for a server that is there: so long it is
        tried to reach one before the connection is broken off.
        """
        self._target = (target_host, target_port)
        self._patience = patience
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._drops = False
        self._loses_next = False
        self._loses_after: bytes | None = None
        self._refuses = False
        self._delay = 0.0
        self._lock = threading.Lock()
        self._pairs: set[Pair] = set()
        self._threads: set[threading.Thread] = set()
        self.accepted = 0
        """Connections so far."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, name="proxy-accept", daemon=True)
        self._acceptor.start()

    def black_hole(self) -> None:
        """Nothing arrives in either direction, and nobody is told; new connections open, and stay silent."""
        self._flowing.clear()

    def delay(self, seconds: float) -> None:
        """Hold every piece back for `seconds`."""
        self._delay = seconds

    def drop_answers(self) -> None:
        """Requests arrive, answers are thrown away; `restore` then also cuts, for the streams are torn."""
        self._drops = True

    def lose_next_answer(self, to: bytes = b"") -> None:
        """Throw one piece of an answer away and cut its connection: applied, but never acknowledged.

        Which one: the next after a request that holds the bytes `to`.
        """
        self._loses_after = to

    def refuse(self) -> None:
        """Break everything off, new connections at once, as if the server were down."""
        self._refuses = True
        self.cut()

    def restore(self) -> None:
        """End every fault."""
        torn, self._drops = self._drops, False
        self._refuses = False
        self._loses_next = False
        self._loses_after = None
        self._delay = 0.0
        if torn:
            self.cut()
        self._flowing.set()

    def cut(self) -> None:
        """Break every open connection off; new ones are served."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.cut()

    def close(self) -> None:
        """Stop listening and break everything off."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listening.close()
        self._flowing.set()
        self.cut()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            thread = threading.Thread(target=self._serve, args=(client,), name="proxy", daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, on a thread of its own and one more for the answers."""
        with client:
            server = self._reach()
            if server is not None:
                with server:
                    pair = Pair(client, server)
                    with self._lock:
                        self._pairs.add(pair)
                        self.accepted += 1
                    if self._closed.is_set():
                        pair.cut()
                    answers = threading.Thread(
                        target=self._carry,
                        args=(pair, server, client),
                        kwargs={"answers": True},
                        name="proxy-answers",
                        daemon=True,
                    )
                    answers.start()
                    self._carry(pair, client, server, answers=False)
                    answers.join()
                    with self._lock:
                        self._pairs.discard(pair)
                    self._ended(pair)
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _reach(self) -> socket.socket | None:
        end = elapsed() + self._patience
        while True:
            try:
                server = socket.create_connection(self._target, timeout=CONNECT_SECONDS)
            except OSError:
                if elapsed() >= end or self._closed.wait(KNOCK_EVERY):
                    return None
            else:
                server.settimeout(None)
                return server

    def _carry(self, pair: Pair, source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := self._received(pair, source, answers=answers):
                if self._delay:
                    self._closed.wait(self._delay)
                self._flowing.wait()
                if not answers and self._loses_after is not None and self._loses_after in piece:
                    self._loses_after = None
                    self._loses_next = True
                if answers and self._loses_next:
                    self._loses_next = False
                    break
                if not (answers and self._drops):
                    sink.sendall(self._passed(piece, answers=answers))
                    self._handed(pair, piece, answers=answers)
        pair.cut()

    # -- for proxies that know what they carry -------------------------------------------------------------

    def _received(self, pair: Pair, source: socket.socket, *, answers: bool) -> bytes:
        """The next piece, before anything is done to it."""
        del pair, answers
        return source.recv(CHUNK)

    def _passed(self, piece: bytes, *, answers: bool) -> bytes:
        """What is handed on in the place of a piece."""
        del answers
        return piece

    def _handed(self, pair: Pair, piece: bytes, *, answers: bool) -> None:
        """Called when a piece has been handed on."""

    def _ended(self, pair: Pair) -> None:
        """Called when both directions of a connection have ended."""
