"""The half that every provider of effects has: keys, a book, arrivals, a settable clock, stale reads."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import Message
from threading import RLock
from typing import Any, ClassVar, Literal

import msgspec

from leaderjobs import clock
from leaderjobs.sandbox.book import Book
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.keys import MOST_KEY_LENGTH, Claim, Keys, Use
from leaderjobs.sandbox.sends import Sends
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.sandbox.settable_clock import SettableClock

MOST_LAG = timedelta(hours=1)
MOST_NUMBER = 1_000_000_000
KEY_HEADER = "Idempotency-Key"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf something happens; without a request, somebody else's."""

    request: str | None = None
    idempotency_key: str | None = None
    """As it was sent."""
    honoured_key: str | None = None
    """The same, where the provider does not ignore keys."""
    user_agent: str | None = None

    @property
    def by(self) -> str:
        """The word for the book."""
        return "other" if self.request is None else "api"


OTHER = Actor()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request."""

    reply: Reply
    acted: bool = False
    """Whether it changed something."""
    began: bool = True
    """Whether the work began, so that the answer stays with the key; not so for a request that was unfit."""


class KeyedSandbox(Sandbox):
    """A provider whose POSTs take effect once per key, unless it is told to ignore keys.

    A request goes through `begin`, then whatever `latency` there is, then `answer`. Its key is in use from
    `begin` on, so that a second request meets it there; what is said in the end is kept under the key in the
    same breath as the effect, before a fault can take the answer away.
    """

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "DELETE"})

    def __init__(self, *, seed: int, port: int, latency: timedelta, retention: timedelta) -> None:
        """Keys are forgotten `retention` after their first use, by the sandbox's `clock`."""
        super().__init__(seed=seed, port=port, latency=latency)
        self.clock = SettableClock()
        self.book = Book()
        self.sends = Sends()
        self.read_lag = timedelta(0)
        self.keys: Literal["honoured", "ignored"] = "honoured"
        self._seed = seed
        self._state = RLock()
        self._kept = Keys(retention)
        self._replays = 0

    def advance(self, by: timedelta) -> None:
        """Put the provider's clock forward."""
        self.clock.advance(by)

    def received(self, method: str, path: str, query: str, headers: Message, body: bytes) -> Request:
        """Also enter a POST with a key among the arrivals."""
        request = super().received(method, path, query, headers, body)
        key = _sent_key(request)
        if key is not None:
            self.sends.arrived(request, key)
        return request

    def begin(self, request: Request, faults: tuple[Fault, ...]) -> Reply | None:
        """Refuse, or replay, or take the key into use."""
        said = self.unauthorized(request)
        if said is None:
            said = self._refused(faults)
        replayed = False
        if said is None and (key := self._key(request)) is not None:
            said, replayed = self._claim(request, key)
        if said is not None:
            self.sends.said(request, said.status, replayed=replayed)
            said = self.dressed(request, said, worked=False)
        return said

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """Act and keep the answer; a `server_error` comes before the work, or in the place of its answer."""
        # Whether the key was taken into use is for `_kept` to say: the switch may have been thrown since.
        key, ours = self._scoped(request), self.request_id(request)
        try:
            outcome = self._outcome(request, faults)
            said = kept = outcome.reply
            for fault in faults:
                if fault.kind is FaultKind.SERVER_ERROR and fault.after:
                    said = self.failure(fault)
                    kept = said if fault.stored else kept
                elif fault.kind is FaultKind.SHAPELESS:
                    said = replace(said, body=b"{}")
            # Before the key gives it back: whoever reads a replay can read the arrival that made it.
            self.sends.said(request, said.status, acted=outcome.acted)
            if key is not None and outcome.began:
                self._kept.keep(key, ours, kept)
        finally:
            if key is not None:
                self._kept.release(key, ours)
        return self.dressed(request, said, worked=True)

    def record_json(self, name: str) -> bytes | None:
        """`book` and `sends`."""
        records: dict[str, Callable[[], bytes]] = {"book": self.book.json, "sends": self.sends.json}
        return records[name]() if name in records else None

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Take what `changes` names, one after the other; nothing is changed when a name is unknown."""
        changes = self.changes()
        unknown = set(wanted) - set(changes)
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}; allowed: {sorted(changes)}")
        return {name: changes[name](value) for name, value in wanted.items()}

    def changes(self) -> dict[str, Callable[[Any], Any]]:
        """The changes that every such provider knows."""
        return {
            "advance_seconds": lambda value: self.advance(timedelta(seconds=number(value))),
            "keys": self._switch_keys,
            "read_lag_ms": self._set_read_lag,
        }

    def as_of(self) -> float | None:
        """The instant by `clock.elapsed` that reads show; None: now."""
        return clock.elapsed() - self.read_lag.total_seconds() if self.read_lag else None

    def request_id(self, request: Request) -> str:
        """The same for the same seed and order of arrival."""
        return f"req_{hashlib.sha256(f'{self._seed}/{request.number}'.encode()).hexdigest()[:14]}"

    def actor(self, request: Request) -> Actor:
        """Whose request it is."""
        return Actor(
            request=self.request_id(request),
            idempotency_key=_sent_key(request),
            honoured_key=None if self.keys == "ignored" else _sent_key(request),
            user_agent=request.headers.get("User-Agent"),
        )

    @abstractmethod
    def unauthorized(self, request: Request) -> Reply | None:
        """The refusal of a request without the right credentials."""

    @abstractmethod
    def limited(self, fault: Fault) -> Reply:
        """429 in the provider's shape."""

    @abstractmethod
    def failure(self, fault: Fault) -> Reply:
        """5xx, or what an `error` names, in the provider's shape."""

    @abstractmethod
    def key_refused(self, claim: Claim | None, key: str, request: Request, first: Use | None) -> Reply:
        """What is said to a key that cannot be used so; without a claim it is too long."""

    @abstractmethod
    def parameters(self, request: Request) -> str:
        """What must be the same for the same key."""

    @abstractmethod
    def execute(self, request: Request, faults: tuple[Fault, ...]) -> Outcome:
        """Act."""

    @abstractmethod
    def dressed(self, request: Request, reply: Reply, *, worked: bool) -> Reply:
        """The reply with the provider's headers; `worked`: it comes from `execute`, not from `begin`."""

    def key_scope(self, _request: Request) -> str:
        """Keys of one scope do not meet those of another."""
        return ""

    def _key(self, request: Request) -> str | None:
        """The request's key in its scope, where keys are honoured."""
        return None if self.keys == "ignored" else self._scoped(request)

    def _scoped(self, request: Request) -> str | None:
        key = _sent_key(request)
        return None if key is None else f"{self.key_scope(request)} {key}"

    def _refused(self, faults: tuple[Fault, ...]) -> Reply | None:
        """What the faults say before anything is looked at."""
        for fault in faults:
            if fault.kind is FaultKind.RATE_LIMITED:
                return self.limited(fault)
            if fault.kind is FaultKind.ERROR:
                return self.failure(fault)
        return None

    def _claim(self, request: Request, key: str) -> tuple[Reply | None, bool]:
        """What a key has to say, and whether that is a replay."""
        sent = _sent_key(request) or ""
        if len(sent) > MOST_KEY_LENGTH:
            return self.key_refused(None, sent, request, None), False
        use = Use(
            endpoint=f"{request.method} {request.path}",
            parameters=self.parameters(request),
            at=self.clock.now(),
            request=self.request_id(request),
        )
        claim, first = self._kept.claim(key, use)
        if claim is Claim.NEW:
            return None, False
        if claim is Claim.REPLAY and first.reply is not None:
            with self._state:
                self._replays += 1
            again = {**first.reply.headers, "Idempotent-Replayed": "true", "Original-Request": first.request}
            return replace(first.reply, headers=again), True
        return self.key_refused(claim, sent, request, first), False

    def _outcome(self, request: Request, faults: tuple[Fault, ...]) -> Outcome:
        for fault in faults:
            if fault.kind is FaultKind.SERVER_ERROR and not fault.after:
                return Outcome(self.failure(fault), began=fault.stored)
        return self.execute(request, faults)

    def _switch_keys(self, value: object) -> None:
        if value not in {"honoured", "ignored"}:
            raise ValueError("keys: allowed: honoured, ignored")
        self.keys = "ignored" if value == "ignored" else "honoured"

    def _set_read_lag(self, value: object) -> None:
        self.read_lag = milliseconds(value, "read_lag_ms")


def number(value: object) -> float:
    """A number of a JSON document; ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_NUMBER:
        return value
    raise ValueError(f"{value!r}: allowed: a number of up to {MOST_NUMBER}")


def milliseconds(value: object, name: str) -> timedelta:
    """A duration that somebody may have to wait for."""
    wanted = timedelta(milliseconds=number(value))
    if not timedelta(0) <= wanted <= MOST_LAG:
        raise ValueError(f"{name}: allowed: 0 to {int(MOST_LAG.total_seconds() * 1000)}")
    return wanted


def _sent_key(request: Request) -> str | None:
    return request.headers.get(KEY_HEADER) or None if request.method == "POST" else None
