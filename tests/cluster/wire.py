"""A proxy before a provider that notes what it carries: who sent what when, and what came back.

An instant of a request is when its first bytes reached the proxy's socket, as the kernel noted it: so neither a
busy proxy nor a delay of the rig makes a request look later than it was sent.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.cluster.history import Entry, What
from tests.support_proxy import CHUNK, Pair, TcpProxy

SO_TIMESTAMPNS: Final = 35
"""asm-generic/socket.h; Python has no name for it. Elsewhere the proxy's own clock must do."""
MOST_HEAD_BYTES: Final = 65_536
KEY_PREFIX: Final = "lj-"
_AGENT = re.compile(r"\(term (\d+); send (\d+)\)")
_TIMESPEC: Final = struct.Struct("@qq")


@dataclass
class Message:
    """One request or answer as far as it has come in."""

    at: float
    first: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    missing: int = 0
    """Bytes of the body that are still to come."""


class Reader:
    """Cuts a stream of bytes into messages with a Content-Length, which is all that providers here use."""

    def __init__(self) -> None:
        """Nothing has come in."""
        self._buffer = b""
        self._now: Message | None = None
        self._at = 0.0

    def feed(self, piece: bytes, at: float) -> list[tuple[Message, bool]]:
        """What the piece adds: each message whose head is complete, and whether the message is."""
        self._at = self._at if self._buffer else at
        self._buffer += piece
        found: list[tuple[Message, bool]] = []
        while self._buffer:
            if self._now is None:
                head, end, rest = self._buffer.partition(b"\r\n\r\n")
                if not end:
                    break
                self._now = _message(head, self._at)
                self._buffer, self._at = rest, at
            now = self._now
            taken, self._buffer = self._buffer[: now.missing], self._buffer[now.missing :]
            now.body += taken
            now.missing -= len(taken)
            found.append((now, not now.missing))
            if now.missing:
                break
            self._now = None
        return found


def _message(head: bytes, at: float) -> Message:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length", "")
    return Message(at, first, headers, missing=int(length) if length.isdigit() else 0)


@dataclass
class Conversation:
    """What is under way on one connection."""

    requests: Reader = field(default_factory=Reader)
    answers: Reader = field(default_factory=Reader)
    waiting: deque[Entry] = field(default_factory=deque)
    """Requests that were not answered yet, the oldest first."""


class ProviderProxy(TcpProxy):
    """Between one member and one provider."""

    def __init__(self, host: str, port: int, member: str, tell: Callable[[Entry], None]) -> None:
        """`tell` is called from the proxy's threads."""
        self._who = f"wire {member}"
        self._tell = tell
        self._conversations: dict[int, Conversation] = {}
        super().__init__(host, port)
        self._listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # what it accepts inherits that

    def _received(self, pair: Pair, source: socket.socket, *, answers: bool) -> bytes:
        conversation = self._conversations.setdefault(id(pair), Conversation())
        if answers:
            return source.recv(CHUNK)
        piece, extra, _, _ = source.recvmsg(CHUNK, socket.CMSG_SPACE(_TIMESPEC.size))
        at = time.time()
        for level, _, data in extra:
            if level == socket.SOL_SOCKET and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                at = seconds + nanoseconds / 1e9
        for message, whole in conversation.requests.feed(piece, at):
            if whole:
                entry = sent(self._who, message)
                conversation.waiting.append(entry)
                self._tell(entry)
        return piece

    def _handed(self, pair: Pair, piece: bytes, *, answers: bool) -> None:
        if not answers:
            return
        conversation = self._conversations[id(pair)]
        for message, whole in conversation.answers.feed(piece, time.time()):
            if whole and conversation.waiting:
                self._tell(answered(self._who, conversation.waiting.popleft(), message, whole=True))

    def _ended(self, pair: Pair) -> None:
        self._conversations.pop(id(pair), None)


def sent(who: str, message: Message) -> Entry:
    """The entry of a request: a send of an effect when it carries one of our keys, else a look."""
    method, _, rest = message.first.partition(" ")
    path = rest.rpartition(" ")[0]
    key = message.headers.get("idempotency-key", "")
    agent = _AGENT.search(message.headers.get("user-agent", ""))
    if not key and agent is None:
        return Entry(at=message.at, who=who, what=What.LOOK, facts={"method": method, "path": path})
    return Entry(
        at=message.at,
        who=who,
        what=What.SEND,
        term=int(agent[1]) if agent else 0,
        effect=key.removeprefix(KEY_PREFIX),
        facts={
            "n": int(agent[2]) if agent else 0,
            "method": method,
            "path": path,
            "key": key,
            "body": hashlib.sha256(message.body).hexdigest()[:16],
        },
    )


def answered(who: str, request: Entry, message: Message, *, whole: bool) -> Entry:
    """The entry of an answer that was handed to the member."""
    status = message.first.split(" ")[1:2]
    return Entry(
        at=message.at,
        who=who,
        what=What.ANSWER,
        term=request.term,
        effect=request.effect,
        facts={
            "n": request.n,
            "path": request.fact("path"),
            "body": request.fact("body"),
            "status": int(status[0]) if status and status[0].isdigit() else 0,
            "replayed": message.headers.get("idempotent-replayed") == "true",
            "should_retry": message.headers.get("stripe-should-retry"),
            "whole": whole,
        },
    )
