"""Three members between real servers and stand-ins, with a proxy on every way from each of them.

What `demo.rig` is for one ZooKeeper and one sync, for faults: ZooKeeper may be an ensemble, every member
reaches every server through proxies of its own, runs through `tests.cluster.member`, and everything that
happens is written to a history.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import UUID

from leaderjobs import app, clock
from leaderjobs.config import load
from leaderjobs.demo.process import tied
from leaderjobs.demo.provider import OrdersProvider, Provider, StripeProvider
from leaderjobs.demo.rig import SYNC, Plan, Rig
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.server import write_private
from tests.cluster.audit import Audit
from tests.cluster.ensemble import TICK, Ensemble
from tests.cluster.field_config import BILLING, RULES, SHOP, written
from tests.cluster.history import Entry, History, What
from tests.cluster.points import Tokens
from tests.cluster.wire import ProviderProxy
from tests.support_proxy import TcpProxy

ROOT: Final = Path(__file__).parents[2]
MEMBERS: Final = ("a", "b", "c")
END_PATIENCE: Final = 20.0
"""For a member that was told to end; it drains for less."""


_AGE: Final = (
    """
    UPDATE leaderjobs.effect_sends SET sent_at = sent_at - %(by)s, ended_at = ended_at - %(by)s
    WHERE effect = %(effect)s
    """,
    """
    UPDATE leaderjobs.effects
    SET created_at = created_at - %(by)s, first_sent_at = first_sent_at - %(by)s, settled_at = settled_at - %(by)s
    WHERE id = %(effect)s
    """,
    "UPDATE leaderjobs.jobs SET scheduled_at = now() WHERE effect = %(effect)s AND scheduled_at > now()",
)


class TrackingPostgres(PostgresServer):
    """Keeps the instant of every commit, so that an audit need not guess."""

    def _prepare(self, lock: int) -> None:
        super()._prepare(lock)
        path = self._data / "postgresql.auto.conf"
        wanted = "track_commit_timestamp = on\n"
        if wanted not in (text := path.read_text()):
            path.write_text(text + wanted)


@dataclass(frozen=True, slots=True)
class Terrain:
    """What a field holds beside what every rig has (`rig`)."""

    rig: Plan
    zookeeper: int = 1
    tick: timedelta = TICK
    """Of ZooKeeper; the session timeout must be four of them."""
    invoices: int = 0
    """Open ones at Stripe, to begin with."""
    answers_after: timedelta = timedelta(milliseconds=80)
    """How long Stripe takes for everything, so that there is something to interrupt."""
    shop: bool = False
    """Whether orders can be placed."""
    seed: int = 1


@dataclass
class Links:
    """Every way on which one member reaches anybody."""

    zookeeper: list[TcpProxy]
    postgres: TcpProxy
    providers: dict[str, ProviderProxy]

    @property
    def all(self) -> list[TcpProxy]:
        """All of them."""
        return [*self.zookeeper, self.postgres, *self.providers.values()]


class Field(Rig):
    """Entering starts servers, stand-ins and proxies; members are started one by one."""

    def __init__(self, directory: Path, terrain: Terrain) -> None:
        """Nothing happens before the context is entered."""
        super().__init__(directory, terrain.rig)
        self.terrain = terrain
        self.postgres = TrackingPostgres(directory / "postgres", durable=False)
        self.ensemble = Ensemble(directory / "zookeepers", terrain.zookeeper, terrain.tick)
        self.tokens = Tokens(directory / "points")
        self.links: dict[str, Links] = {}
        self.cluster = terrain.rig.cluster
        self.began = 0.0
        """When the scene began; what the providers' books say of before belongs to another."""
        self.history: History
        self.stripe: StripeProvider
        self.orders: OrdersProvider
        self.audit: Audit
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
        self._scene = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything but the members, side by side where possible; make the schema; begin a scene."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            with ThreadPoolExecutor(max_workers=2) as threads:
                starting = [threads.submit(server.start) for server in (self.ensemble, self.postgres)]
                self._start_providers()
                for started in starting:
                    started.result()
            for name in MEMBERS:
                self.links[name] = self._linked(name)
            self.begin(self.cluster)
            self.audit = Audit(self.postgres.url)
            undo.pop_all()
        return self

    def begin(self, cluster: str, session_timeout: timedelta | None = None) -> None:
        """Begin a scene of its own: another cluster, an empty history, everything in order, no members."""
        self.end_scene()
        self.cluster, self.began = cluster, clock.now().timestamp()
        timeout = session_timeout or self.plan.session_timeout
        self.history = self._scene.enter_context(History(self.directory / f"{cluster}.jsonl"))
        self.tokens.clear()
        self.heal()
        for name in MEMBERS:
            (self.directory / f"{name}.log").unlink(missing_ok=True)
        for name in MEMBERS:
            self._write(self.config_of(name), self.links[name], timeout)
        self.config = self.directory / "leaderjobs.toml"
        self._write(self.config, None, timeout)
        self.settings = load(self.config, {})
        self.session = self._scene.enter_context(app.observer(self.settings))
        self.stores = self._scene.enter_context(app.opened_stores(self.settings, migrate=True))
        self.tell("rig", What.RUN, seed=self.terrain.seed, zookeeper=self.terrain.zookeeper, rules=RULES)

    def end_scene(self) -> None:
        """End every member, and let go of what the scene had open."""
        for worker in self.workers.values():
            worker.kill()  # a stopped process hears nothing else
        for worker in self.workers.values():
            worker.wait(END_PATIENCE)
        self.workers.clear()
        self._scene.close()

    def stop(self) -> None:
        """End everything that was started; safe to call twice."""
        self.end_scene()
        super().stop()
        self.ensemble.stop()
        self._starter.shutdown()

    # -- members -------------------------------------------------------------------------------------------

    def start_member(self, name: str, mutations: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """One member as a process of its own, see `tests.cluster.member`; what it logs is in `<name>.log`."""
        # The kernel ends a member with the thread that started it, so one thread that stays starts them all.
        return self._starter.submit(self._spawn, name, mutations).result()

    def _spawn(self, name: str, mutations: tuple[str, ...]) -> subprocess.Popen[bytes]:
        told = {
            "clock": str(self._clock_file(name)),
            "points": str(self.directory / "points"),
            "mutations": mutations,
        }
        command = [sys.executable, "-m", "tests.cluster.member", json.dumps(told)]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                tied([*command, "--config", str(self.config_of(name)), "run", "--id", name]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )
        return self.workers[name]

    def end_member(self, name: str, number: signal.Signals) -> None:
        """Signal a member and wait for its end; one that has ended already, or does not end, is told of."""
        worker = self.workers.pop(name)
        if worker.poll() is not None:
            self.tell("rig", What.DIED, member=name, code=worker.returncode)
        worker.send_signal(number)
        try:
            worker.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(END_PATIENCE)
            self.tell("rig", What.DIED, member=name, code=f"none {END_PATIENCE:g} s after {number.name}")

    def check_members(self) -> None:
        """Tell of members that have ended by themselves."""
        for name, worker in self.workers.items():
            if worker.poll() is not None:
                self.tell("rig", What.DIED, member=name, code=worker.returncode)

    def logs(self, *names: str) -> str:
        """What members said, all of them or these."""
        paths = [self.directory / f"{name}.log" for name in names or MEMBERS]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def set_clock(self, name: str, offset: float) -> None:
        """Let a member's wall clock be so many seconds ahead; takes effect within a moment."""
        write_private(self._clock_file(name), str(offset))

    def heal(self) -> None:
        """Every link carries again, every clock is right, and no provider has a fault."""
        for name, links in self.links.items():
            for link in links.all:
                link.restore()
            self.set_clock(name, 0.0)
        for provider in (self.provider, self.stripe, self.orders):
            provider.faults()
        for keyed in (self.stripe, self.orders):
            keyed.change(keys="honoured", read_lag_ms=0)

    def age(self, effect: UUID, seconds: float) -> None:
        """Put an effect's ledger back in time, as if so much of it had passed; its job is due."""
        by = timedelta(seconds=seconds)
        for statement in _AGE:
            self.audit.execute(statement, {"by": by, "effect": effect})
        self.history.add(
            Entry(
                at=clock.now().timestamp(),
                who="rig",
                what=What.AGED,
                effect=str(effect),
                facts={"seconds": seconds},
            )
        )

    def _clock_file(self, name: str) -> Path:
        return self.directory / f"{name}.clock"

    # -- telling -------------------------------------------------------------------------------------------

    def tell(self, who: str, what: What, **more: Any) -> None:
        """Write an entry of this instant down."""
        self.history.add(Entry(at=clock.now().timestamp(), who=who, what=what, facts=more))

    # -- configuration -------------------------------------------------------------------------------------

    def config_of(self, name: str) -> Path:
        """The configuration of a member, whose addresses are those of its own proxies."""
        return self.directory / f"{name}.toml"

    def _write(self, path: Path, links: Links | None, session_timeout: timedelta) -> None:
        """A configuration through a member's links, or straight to the servers."""
        servers = {SYNC: self.provider, BILLING: self.stripe, SHOP: self.orders}
        if links is None:
            zookeeper, database = self.ensemble.url, self.postgres.url
            providers = {name: server.url for name, server in servers.items()}
        else:
            zookeeper = self.ensemble.url_through([proxy.address for proxy in links.zookeeper])
            database = self._through(links.postgres)
            providers = {name: f"http://{proxy.address}" for name, proxy in links.providers.items()}
        milliseconds = round(session_timeout.total_seconds() * 1000)
        written(
            path,
            cluster={
                "name": f'"{self.cluster}"',
                "coordinator": f'"{zookeeper}"',
                "session_timeout": f'"{milliseconds}ms"',
                "state_directory": f'"{self.directory / "state"}"',
                **self.plan.settings,
            },
            providers=providers,
            secrets={**self.secrets(), "database": database},
            shop=self.terrain.shop,
        )

    def secrets(self) -> dict[str, str]:
        """What must not be seen anywhere, by name."""
        plaid = self.provider
        return {
            "client_id": plaid.client_id,
            "secret": plaid.secret,
            "access_token": plaid.access_token,
            "api_key": self.stripe.api_key,
            "token": self.orders.token,
        }

    # -- parts ---------------------------------------------------------------------------------------------

    def _start_providers(self) -> None:
        """On the thread that enters: a stand-in ends with the thread that started it."""
        plan, seed = self.plan, ["--seed", str(self.terrain.seed)]
        latency = ["--latency", f"{round(plan.latency.total_seconds() * 1000)}ms"]
        rows = ["--transactions", str(plan.transactions), "--row-bytes", str(plan.row_bytes)]
        self.provider = Provider([*rows, *seed, *latency], self.directory / "plaid.log")
        self._stack.callback(self.provider.stop)
        invoices = ["--invoices", str(self.terrain.invoices)]
        slow = ["--latency", f"{round(self.terrain.answers_after.total_seconds() * 1000)}ms"]
        self.stripe = StripeProvider([*invoices, *seed, *slow], self.directory / "stripe.log")
        self._stack.callback(self.stripe.stop)
        self.orders = OrdersProvider([*seed, *latency], self.directory / "orders.log")
        self._stack.callback(self.orders.stop)

    def _linked(self, name: str) -> Links:
        def add(proxy: TcpProxy) -> TcpProxy:
            return self._stack.enter_context(proxy)

        providers = {SYNC: self.provider, BILLING: self.stripe, SHOP: self.orders}
        return Links(
            zookeeper=[add(TcpProxy("127.0.0.1", server.port)) for server in self.ensemble.servers],
            postgres=add(TcpProxy("127.0.0.1", self.postgres.port)),
            providers={
                each: self._stack.enter_context(
                    ProviderProxy("127.0.0.1", urlsplit(provider.url).port or 80, name, self._note)
                )
                for each, provider in providers.items()
            },
        )

    def _note(self, entry: Entry) -> None:
        self.history.add(entry)

    def _through(self, proxy: TcpProxy) -> str:
        there = urlsplit(self.postgres.url)
        return there._replace(netloc=f"{there.username}:{there.password}@{proxy.address}").geturl()
