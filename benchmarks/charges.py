"""Payments per invoice while leaders are paused and killed and answers are lost: once here, more often there.

Peer: kazoo's Election recipe around a charge loop (`peer_charges`), on the same ZooKeeper, Postgres and
Stripe stand-in, in the same run. Both parties have three processes and as many invoices; whenever one leader
is struck, so is the other, in the same way; answers are lost to both with the same probability, after the
provider has acted. The stand-in's own book is the judge.
"""

from __future__ import annotations

import json
import queue
import random
import signal
import statistics
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta

import psycopg

from benchmarks import figures
from benchmarks.cluster import started, until
from benchmarks.figures import Figure
from leaderjobs import app
from leaderjobs.config import load
from leaderjobs.demo.process import tied
from leaderjobs.demo.provider import StripeProvider
from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.embedded.server import write_private
from leaderjobs.model.effect import EffectState

WORKERS = ("a", "b", "c")
SESSION_TIMEOUT = timedelta(seconds=2)
PAUSE = SESSION_TIMEOUT.total_seconds() + 1.5
"""Seconds: longer than any session lives."""
QUIET = 1.0
LATENCY = "20ms"
LOST_ANSWERS = {"kind": "drop", "after": True, "method": "POST", "probability": 0.02}
FINISH_PATIENCE = 180.0
INVOICES = "INSERT INTO naive.invoices SELECT 'naive_' || n, 1000 + n, false FROM generate_series(1, %s) n"


class Naive:
    """Three contenders of kazoo's Election with a table of invoices."""

    def __init__(self, rig: Rig, stripe: StripeProvider, invoices: int) -> None:
        """Start them, and wait until one leads."""
        self._url = rig.postgres.url
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA naive")
            connection.execute(
                "CREATE TABLE naive.invoices (invoice text PRIMARY KEY, amount integer, paid boolean)"
            )
            connection.execute(INVOICES, (invoices,))
        self._settings = rig.directory / "peer.json"
        told = {
            "hosts": rig.zookeeper.address,
            "path": "/bench-charges",
            "seconds": SESSION_TIMEOUT.total_seconds(),
            "database": self._url,
            "stripe": stripe.url,
            "key": stripe.api_key,
        }
        write_private(self._settings, json.dumps(told))
        self._led: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in WORKERS:
            self._start()
        self._leader = self._led.get(timeout=30)

    def leader(self) -> subprocess.Popen[bytes]:
        """Whoever was elected last."""
        while not self._led.empty():
            self._leader = self._led.get()
        return self._leader

    def replace(self, victim: subprocess.Popen[bytes]) -> None:
        """Another process in the place of one that was killed."""
        victim.wait(30)
        self._processes.remove(victim)
        self._start()

    def left(self) -> int:
        """Invoices that its own table does not call paid."""
        with psycopg.connect(self._url) as connection:
            found = connection.execute("SELECT count(*) FROM naive.invoices WHERE NOT paid").fetchone()
        return int(found[0]) if found else 0

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(10)

    def _start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.peer_charges", str(self._settings)]
        process = subprocess.Popen(tied(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._processes.append(process)
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for _ in lines:
                    self._led.put(process)


class Ours:
    """Three members and as many effects."""

    def __init__(self, rig: Rig, stripe: StripeProvider, invoices: int) -> None:
        """Plan every payment, then start the members."""
        self._rig = rig
        key = rig.directory / "api_key"
        write_private(key, stripe.api_key)
        self.config = rig.directory / "billing.toml"
        section = f'connector = "stripe"\nbase_url = "{stripe.url}"\napi_key = {{ file = "{key}" }}\n'
        write_private(self.config, f"{rig.config.read_text()}\n[connections.billing]\n{section}")
        made: list[str] = stripe.change(invoices=invoices)["invoices"]
        with app.planner(load(self.config, {}), rig.stores) as planner:
            for invoice in made:
                planner.plan("billing", "pay_invoice", {"invoice": invoice})
        for name in WORKERS:
            rig.start_worker(name, self.config)
        until(lambda: len(rig.session.members()) == len(WORKERS), "the members")
        until(rig.leader, "a leader")

    def leader(self) -> str:
        """The name of the member that leads."""
        return until(self._rig.leader, "a leader")

    def left(self) -> int:
        """Effects on which the machine still works."""
        states = (EffectState.PLANNED, EffectState.SENDING)
        return len(self._rig.stores.effects.newest(states=states, limit=10_000))


def strike(rig: Rig, ours: Ours, naive: Naive, number: signal.Signals) -> None:
    """Pause or kill both leaders at once, and bring them back."""
    pause = threading.Event()
    name, process = ours.leader(), naive.leader()
    rig.send(name, number)
    process.send_signal(number)
    if number is signal.SIGSTOP:
        pause.wait(PAUSE)
        rig.send(name, signal.SIGCONT)
        process.send_signal(signal.SIGCONT)
    else:
        rig.reap(name)
        rig.start_worker(name, ours.config)
        naive.replace(process)
    pause.wait(QUIET)


def measure(run: int, invoices: int) -> tuple[list[int], list[int]]:
    """Payments of each invoice, ours and the peer's."""
    plan = Plan(session_timeout=SESSION_TIMEOUT, transactions=10)
    chance = random.Random(run)
    with started(plan) as rig:
        stripe = StripeProvider(["--latency", LATENCY, "--seed", str(run)], rig.directory / "stripe.log")
        try:
            stripe.faults(LOST_ANSWERS)
            ours = Ours(rig, stripe, invoices)
            naive = Naive(rig, stripe, invoices)
            try:
                strikes = 0
                while ours.left() and naive.left():
                    number = chance.choice((signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL))
                    strike(rig, ours, naive, number)
                    strikes += 1
                until(lambda: not ours.left() and not naive.left(), "everything to be paid", FINISH_PATIENCE)
                threading.Event().wait(PAUSE)  # what a paused process still had to send
                counts = Counter(str(payment["invoice"]) for payment in stripe.book()["payments"])
            finally:
                naive.close()
        finally:
            stripe.stop()
    theirs = [count for name, count in counts.items() if name.startswith("naive_")]
    mine = [count for name, count in counts.items() if not name.startswith("naive_")]
    figures.progress(
        f"run {run + 1}: {strikes} strikes; ours {sum(mine)} payments of {len(mine)} invoices, "
        f"the peer {sum(theirs)} of {len(theirs)}"
    )
    return mine, theirs


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__ or "", runs=3)
    parser.add_argument("--invoices", type=figures.positive, default=400, metavar="N", help="default: 400")
    wanted = parser.parse_args()
    rounds = [measure(run, wanted.invoices) for run in range(wanted.runs)]
    peer = "kazoo Election and a charge loop"
    shown = [
        Figure(
            "payments_per_invoice",
            "payments",
            [statistics.mean(mine) for mine, _ in rounds],
            peer,
            [statistics.mean(theirs) for _, theirs in rounds],
        ),
        Figure(
            "payments_of_one_invoice_at_most",
            "payments",
            [max(mine) for mine, _ in rounds],
            peer,
            [max(theirs) for _, theirs in rounds],
        ),
    ]
    figures.show(shown, wanted.output)


if __name__ == "__main__":
    main()
