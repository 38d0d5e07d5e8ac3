"""Every request with a key that arrived, whatever became of it."""

from __future__ import annotations

import hashlib
import threading

import msgspec

from leaderjobs import clock
from leaderjobs.sandbox.exchange import Request

MOST_SENDS = 200_000


class Send(msgspec.Struct, kw_only=True):
    """One arrival, and what the provider made of it."""

    at: float
    """When the request was in whole, before any latency and fault; seconds by the wall clock."""
    method: str
    path: str
    idempotency_key: str
    user_agent: str | None
    body_sha256: str
    acted: bool = False
    """Whether this request itself changed something at the provider."""
    status: int | None = None
    """What the provider said, also if the wire swallowed it; None: it never heard of it, or is at work."""
    replayed: bool = False
    """Whether it was given an earlier request's answer."""


class Sends:
    """The latest arrivals, oldest first."""

    def __init__(self) -> None:
        """Nothing has arrived."""
        self._lock = threading.Lock()
        self._sends: dict[int, Send] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._sends)

    def arrived(self, request: Request, key: str) -> None:
        """Take down an arrival; the oldest is forgotten when there are too many."""
        send = Send(
            at=clock.now().timestamp(),
            method=request.method,
            path=request.path,
            idempotency_key=key,
            user_agent=request.headers.get("User-Agent"),
            body_sha256=hashlib.sha256(request.body).hexdigest(),
        )
        with self._lock:
            self._sends[request.number] = send
            if len(self._sends) > MOST_SENDS:
                del self._sends[next(iter(self._sends))]

    def said(self, request: Request, status: int, *, acted: bool = False, replayed: bool = False) -> None:
        """Add what came of it."""
        with self._lock:
            send = self._sends.get(request.number)
            if send is not None:
                send.status, send.acted, send.replayed = status, acted, replayed

    def all(self) -> list[Send]:
        """Copies, oldest first."""
        with self._lock:
            return [msgspec.structs.replace(send) for send in self._sends.values()]

    def json(self) -> bytes:
        """As `GET /_sandbox/sends` gives them."""
        with self._lock:
            return msgspec.json.encode(list(self._sends.values()))
