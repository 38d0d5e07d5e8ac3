"""From a signal to the leader until the next committed page of another member.

Peer: kazoo's Election recipe on the same ZooKeeper with the same session timeout, until its function runs
in another process. Ours has, beyond that, raised its fence, taken the job over, asked the provider for a
page and committed it. The two are struck in turn, each after a random part of a third of the timeout (the
time since the last sign of life decides when a session expires), with everybody back in between.
"""

from __future__ import annotations

import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from typing import Protocol

from kazoo.client import KazooClient

from benchmarks import figures
from benchmarks.cluster import Commits, Flow, started, until
from benchmarks.figures import Figure
from leaderjobs.demo.process import tied
from leaderjobs.demo.rig import Plan, Rig

WORKERS = ("a", "b", "c")
FAULTS: dict[str, tuple[float, signal.Signals]] = {
    "sigkill_t2": (2, signal.SIGKILL),
    "sigkill_t4": (4, signal.SIGKILL),
    "sigkill_t10": (10, signal.SIGKILL),
    "sigterm": (10, signal.SIGTERM),
}
"""Session timeout in seconds, and what strikes."""
SPARE_PAGES = 300
ELECTION_PATH = "/bench-election"


class Party(Protocol):
    """Somebody who leads, and others who would."""

    def ready(self) -> None:
        """Return when everybody is back."""

    def strike(self, number: signal.Signals) -> float:
        """Signal the leader; the seconds until another one has done what counts."""


class Ours:
    """Three members and a sync that goes on and on."""

    def __init__(self, rig: Rig, commits: Commits) -> None:
        """The members are there."""
        self._rig = rig
        self._commits = commits
        self._flow = Flow(rig, commits, SPARE_PAGES)

    def ready(self) -> None:
        """Everybody is back and pages come."""
        until(lambda: len(self._rig.session.members()) == len(WORKERS), "the members to be back")
        self._flow.ensure(more=20)

    def strike(self, number: signal.Signals) -> float:
        """Seconds from the signal to the next page of another member."""
        rig, commits = self._rig, self._commits
        victim = until(rig.leader, "a leader")
        last = commits.last()
        term = last.term if last else 0
        sent_at = time.time()
        rig.send(victim, number)
        found = until(lambda: commits.first_after(term), "a page of the next term")
        rig.reap(victim)
        rig.start_worker(victim)
        return found.at.timestamp() - sent_at


class Peer:
    """Three contenders of kazoo's Election."""

    def __init__(self, hosts: str, timeout: float) -> None:
        """Start them and wait for the first leader."""
        self._command = [
            sys.executable,
            "-m",
            "benchmarks.peer_election",
            hosts,
            ELECTION_PATH,
            f"{timeout:g}",
        ]
        self._led: queue.SimpleQueue[tuple[subprocess.Popen[bytes], float]] = queue.SimpleQueue()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._client = KazooClient(hosts=hosts)
        self._client.start()
        for _ in WORKERS:
            self._start()
        self._leader, _ = self._led.get(timeout=30)

    def ready(self) -> None:
        """Everybody is in line."""
        until(
            lambda: len(self._client.get_children(ELECTION_PATH)) == len(WORKERS), "the contenders to be back"
        )

    def strike(self, number: signal.Signals) -> float:
        """Seconds from the signal until the function runs elsewhere."""
        victim = self._leader
        sent_at = time.time()
        victim.send_signal(number)
        self._leader, led_at = self._led.get(timeout=60)
        victim.wait(30)
        self._processes.discard(victim)
        self._start()
        return led_at - sent_at

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(10)
        self._client.stop()
        self._client.close()

    def _start(self) -> None:
        process = subprocess.Popen(tied(self._command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._processes.add(process)
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self._led.put((process, float(line)))


@contextmanager
def contenders(rig: Rig, timeout: float) -> Iterator[tuple[Party, Party]]:
    """Both parties on the rig's servers."""
    peer = Peer(rig.zookeeper.address, timeout)
    try:
        with Commits(rig.postgres.url) as commits:
            yield Ours(rig, commits), peer
    finally:
        peer.close()


def measure(timeout: float, names: list[str], runs: int) -> Iterator[Figure]:
    """All figures of one session timeout, on one rig."""
    plan = Plan(
        session_timeout=timedelta(seconds=timeout),
        transactions=30_000,
        page_size=20,
        latency=timedelta(milliseconds=20),
        row_bytes=600,
    )
    chance = random.Random(7)
    with started(plan, *WORKERS) as rig, contenders(rig, timeout) as parties:
        for name in names:
            number = FAULTS[name][1]
            taken: tuple[list[float], list[float]] = ([], [])
            for run in range(runs):
                for party, seconds in zip(parties, taken, strict=True):
                    party.ready()
                    threading.Event().wait(chance.uniform(0, timeout / 3))
                    seconds.append(party.strike(number))
                figures.progress(
                    f"{name} {run + 1}/{runs}: ours {taken[0][-1]:.3f} s, kazoo {taken[1][-1]:.3f} s"
                )
            yield Figure(name, "s", taken[0], "kazoo Election to its callback", taken[1])


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__ or "", runs=5)
    parser.add_argument("--only", action="append", choices=list(FAULTS), help="may be given several times")
    wanted = parser.parse_args()
    names = [name for name in FAULTS if not wanted.only or name in wanted.only]
    found: list[Figure] = []
    for timeout, group in groupby(names, key=lambda name: FAULTS[name][0]):
        found.extend(measure(timeout, list(group), wanted.runs))
    figures.show(found, wanted.output)


if __name__ == "__main__":
    main()
