"""The faults themselves: how each is drawn, what it needs for itself, what it does, and how it is undone."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import psycopg

from leaderjobs.demo.rig import SYNC
from tests.cluster.ensemble import Ensemble
from tests.cluster.field import MEMBERS, Field
from tests.cluster.field_config import BILLING
from tests.cluster.provider_faults import PLAID_FAULTS, STRIPE_FAULTS, WIRE_FAULTS
from tests.support_proxy import TcpProxy

How = Mapping[str, Any]
HOURS: Final = 3600.0


class Kind(StrEnum):
    """Everything that can go wrong."""

    KILL = "kill"
    PAUSE = "pause"
    STOP = "stop"
    ZOOKEEPER_DOWN = "zookeeper_down"
    QUORUM_LOST = "quorum_lost"
    ZOOKEEPER_ISOLATED = "zookeeper_isolated"
    CUT_ZOOKEEPER = "cut_zookeeper"
    CUT_POSTGRES = "cut_postgres"
    POSTGRES_RESTART = "postgres_restart"
    BACKENDS_ENDED = "backends_ended"
    PROVIDER = "provider"
    WIRE = "wire"
    SLOW = "slow"
    CLOCK = "clock"


class Struck:
    """A field, and what of it is under a fault right now."""

    def __init__(self, field: Field) -> None:
        """Nothing is."""
        self.field = field
        self._lock = threading.Lock()
        self._taken: set[tuple[str, str]] = set()
        self._leader = MEMBERS[0]

    def leader(self) -> str:
        """Whose term is the newest; while Postgres is away, whose it was when it was last asked."""
        with suppress(psycopg.Error):
            found = self.field.audit.execute(
                "SELECT member FROM leaderjobs.terms WHERE cluster = %s", self.field.cluster
            )
            self._leader = found[0]["member"] if found else self._leader
        return self._leader

    def reserve(self, stack: ExitStack, kind: Kind, target: str) -> str | None:
        """Take what a fault needs until the stack unwinds: whom it strikes, or None when all is taken."""
        wanted = self.leader() if target == "leader" else target
        for name in (wanted, *(each for each in MEMBERS if each != wanted)):
            needs = {(part, name if part in PERSONAL else "") for part in STRIKES[kind].needs}
            with self._lock:
                if needs & self._taken:
                    continue
                self._taken |= needs
            stack.callback(self._give_back, needs)
            return name
        return None

    def _give_back(self, needs: set[tuple[str, str]]) -> None:
        with self._lock:
            self._taken -= needs


PERSONAL: Final = frozenset({"process", "zookeeper", "postgres", "billing", "household", "clock"})
"""Parts of which every member has its own."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One kind of fault."""

    needs: tuple[str, ...]
    strike: Callable[[Struck, str, How], AbstractContextManager[None]]
    drawn: Callable[[random.Random], dict[str, Any]] = lambda _source: {}


# -- processes ---------------------------------------------------------------------------------------------


@contextmanager
def _killed(struck: Struck, name: str, how: How) -> Iterator[None]:
    """End the process, and start it again afterwards."""
    struck.field.end_member(name, signal.Signals[how["signal"]])
    try:
        yield
    finally:
        struck.field.start_member(name)


@contextmanager
def _paused(struck: Struck, name: str, how: How) -> Iterator[None]:
    del how
    struck.field.send(name, signal.SIGSTOP)
    try:
        yield
    finally:
        struck.field.send(name, signal.SIGCONT)


@contextmanager
def _clock_moved(struck: Struck, name: str, how: How) -> Iterator[None]:
    struck.field.set_clock(name, how["hours"] * HOURS)
    try:
        yield
    finally:
        struck.field.set_clock(name, 0.0)


# -- servers -----------------------------------------------------------------------------------------------


@contextmanager
def _zookeeper_down(struck: Struck, name: str, how: How) -> Iterator[None]:
    del name
    ensemble = struck.field.ensemble
    with ensemble.down(how["server"] % ensemble.size):
        yield


@contextmanager
def _quorum_lost(struck: Struck, name: str, how: How) -> Iterator[None]:
    del name
    ensemble = struck.field.ensemble
    spared = how["server"] % ensemble.size if ensemble.size > 1 else None
    with ensemble.down(*(index for index in range(ensemble.size) if index != spared)):
        yield


@contextmanager
def _zookeeper_isolated(struck: Struck, name: str, how: How) -> Iterator[None]:
    """The server that leads, or another; of a single one, all of its clients."""
    del name
    ensemble, links = struck.field.ensemble, struck.field.links
    with ExitStack() as stack:
        if ensemble.size > 1:
            stack.enter_context(ensemble.isolated(_server(ensemble, how)))
        else:
            for each in links.values():
                stack.enter_context(_cut(each.zookeeper, "black_hole"))
        yield


def _server(ensemble: Ensemble, how: How) -> int:
    leads = [index for index in range(ensemble.size) if ensemble.mode(index) == "leader"]
    return leads[0] if leads and how["leads"] else int(how["server"]) % ensemble.size


@contextmanager
def _postgres_restarted(struck: Struck, name: str, how: How) -> Iterator[None]:
    del name
    server = struck.field.postgres
    (server.kill if how["crash"] else server.stop)()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _backends_ended(struck: Struck, name: str, how: How) -> Iterator[None]:
    del how
    with suppress(psycopg.Error):
        struck.field.audit.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = %s OR application_name LIKE 'leaderjobs-term:%%'
            """,
            f"leaderjobs {struck.field.cluster} {name}",
        )
    yield


# -- ways --------------------------------------------------------------------------------------------------


@contextmanager
def _cut(proxies: list[TcpProxy], by: str, seconds: float = 0.0) -> Iterator[None]:
    for proxy in proxies:
        match by:
            case "black_hole":
                proxy.black_hole()
            case "refuse":
                proxy.refuse()
            case "delay":
                proxy.delay(seconds)
            case "drop_answers":
                proxy.drop_answers()
            case "lose_next_answer":
                proxy.lose_next_answer()
            case _:
                proxy.cut()
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.restore()


def _zookeeper_cut(struck: Struck, name: str, how: How) -> AbstractContextManager[None]:
    return _cut(struck.field.links[name].zookeeper, how["by"])


def _postgres_cut(struck: Struck, name: str, how: How) -> AbstractContextManager[None]:
    return _cut([struck.field.links[name].postgres], how["by"])


def _slowed(struck: Struck, name: str, how: How) -> AbstractContextManager[None]:
    return _cut(struck.field.links[name].all, "delay", how["milliseconds"] / 1000)


def _wire_spoilt(struck: Struck, name: str, how: How) -> AbstractContextManager[None]:
    proxy: TcpProxy = struck.field.links[name].providers[how["provider"]]
    return _cut([proxy], how["by"], how.get("milliseconds", 0) / 1000)


@contextmanager
def _provider_spoilt(struck: Struck, name: str, how: How) -> Iterator[None]:
    del name
    provider = struck.field.stripe if how["provider"] == BILLING else struck.field.provider
    provider.faults(*how["faults"])
    try:
        yield
    finally:
        provider.faults()


def _drawn_provider(source: random.Random) -> dict[str, Any]:
    if source.random() < 0.85:
        return {"provider": BILLING, "faults": [dict(source.choice(STRIPE_FAULTS))]}
    return {"provider": SYNC, "faults": [dict(source.choice(PLAID_FAULTS))]}


def _drawn_cut(source: random.Random) -> dict[str, Any]:
    return {"by": source.choice(("black_hole", "black_hole", "refuse", "cut", "drop_answers"))}


def _drawn_clock(source: random.Random) -> dict[str, Any]:
    return {"hours": source.choice((-30, -25, -3, -0.02, 0.02, 3, 25, 30))}


def _drawn_server(source: random.Random) -> dict[str, Any]:
    return {"server": source.randrange(3), "leads": source.random() < 0.5}


STRIKES: Final[Mapping[Kind, Strike]] = {
    Kind.KILL: Strike(("process",), _killed, lambda _source: {"signal": "SIGKILL"}),
    Kind.STOP: Strike(("process",), _killed, lambda _source: {"signal": "SIGTERM"}),
    Kind.PAUSE: Strike(("process",), _paused),
    Kind.CLOCK: Strike(("clock",), _clock_moved, _drawn_clock),
    Kind.ZOOKEEPER_DOWN: Strike(("ensemble",), _zookeeper_down, _drawn_server),
    Kind.QUORUM_LOST: Strike(("ensemble",), _quorum_lost, _drawn_server),
    Kind.ZOOKEEPER_ISOLATED: Strike(("ensemble",), _zookeeper_isolated, _drawn_server),
    Kind.POSTGRES_RESTART: Strike(
        ("database",), _postgres_restarted, lambda source: {"crash": source.random() < 0.5}
    ),
    Kind.BACKENDS_ENDED: Strike(("postgres",), _backends_ended),
    Kind.CUT_ZOOKEEPER: Strike(("zookeeper",), _zookeeper_cut, _drawn_cut),
    Kind.CUT_POSTGRES: Strike(("postgres",), _postgres_cut, _drawn_cut),
    Kind.SLOW: Strike(
        ("zookeeper", "postgres", "billing", "household"),
        _slowed,
        lambda source: {"milliseconds": source.choice((5, 20, 60, 150))},
    ),
    Kind.WIRE: Strike(
        ("billing", "household"), _wire_spoilt, lambda source: dict(source.choice(WIRE_FAULTS))
    ),
    Kind.PROVIDER: Strike(("provider",), _provider_spoilt, _drawn_provider),
}
