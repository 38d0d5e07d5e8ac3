"""From the commit of a page until another member's replica holds its marker.

This process is the other member: the product's coordinator and replica, in a process that does nothing
else meanwhile. A sequence has arrived when the replica's copy of the stream is at it or beyond.

Peer: kazoo's DataWatch alone, on one znode that another process sets at the same pace; a write has
arrived when the watch shows it or a later one. Ours gathers markers for up to a quarter of a second on
purpose (one write to ZooKeeper carries them all), so `busy` is not comparable in kind, only shown.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from kazoo.client import KazooClient

from benchmarks import figures
from benchmarks.cluster import Commit, Commits, Flow, started, until
from benchmarks.figures import Figure, percentile
from leaderjobs.demo.process import tied
from leaderjobs.demo.rig import SYNC, Plan, Rig
from leaderjobs.engine.replica import Replica

WATCH_PATH = "/bench-watch"
BUSY_LATENCY_MS = 10
SETTLE = 2.0
PEER = "kazoo DataWatch on one znode set at the same pace"


class Arrival(NamedTuple):
    """What was there, and when."""

    place: float
    at: float


class Observer:
    """A member's replica, and the instants at which it moved."""

    def __init__(self, rig: Rig) -> None:
        """Watch from now on."""
        self._replica = Replica(None)
        self.arrivals: list[Arrival] = []
        rig.session.watch_shards(0, self._receive)

    def _receive(self, name: str, data: bytes) -> None:
        if self._replica.apply(name, data):
            instant = time.time()
            for copy in self._replica.copies():
                if (copy.connection, copy.stream) == (SYNC, "transactions"):
                    self.arrivals.append(Arrival(copy.sequence, instant))


class Watcher:
    """kazoo's DataWatch, and the process whose writes it sees."""

    def __init__(self, hosts: str) -> None:
        """Start the writer; it writes once it is told a pace."""
        command = [sys.executable, "-m", "benchmarks.peer_watch", hosts, WATCH_PATH]
        self._writer = subprocess.Popen(tied(command), stdin=subprocess.PIPE, text=True)
        self._client = KazooClient(hosts=hosts)
        self._client.start()
        self._client.ensure_path(WATCH_PATH)
        self.arrivals: list[Arrival] = []
        self._client.DataWatch(WATCH_PATH)(self._receive)

    def pace(self, seconds: float) -> None:
        """Write every so many seconds from now on; 0: no more."""
        if self._writer.stdin is not None:
            self._writer.stdin.write(f"{seconds}\n")
            self._writer.stdin.flush()

    def close(self) -> None:
        """End the writer and the watch."""
        if self._writer.stdin is not None:
            self._writer.stdin.close()
        self._writer.wait(30)
        self._client.stop()
        self._client.close()

    def _receive(self, data: bytes | None, *_: object) -> None:
        if data:
            self.arrivals.append(Arrival(float(data), time.time()))


def lags(commits: Sequence[Commit], arrivals: Sequence[Arrival]) -> list[float]:
    """Milliseconds from each commit to the first arrival that covers it."""
    places = [arrival.place for arrival in arrivals]
    found = []
    for commit in commits:
        at = bisect_left(places, commit.sequence)
        if at < len(arrivals):
            found.append((arrivals[at].at - commit.at.timestamp()) * 1000)
    return found


def ours(commits: Commits, observer: Observer, seconds: float) -> tuple[list[float], float]:
    """The lags of the pages of the next `seconds`, and the seconds between two of them."""
    before = commits.last()
    observer.arrivals.clear()
    threading.Event().wait(seconds)
    counted = commits.after(before.sequence if before else 0)
    until(
        lambda: observer.arrivals and observer.arrivals[-1].place >= counted[-1].sequence, "the last marker"
    )
    between = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(counted)]
    return lags(counted, observer.arrivals), statistics.mean(between)


def theirs(watcher: Watcher, pace: float, seconds: float) -> list[float]:
    """The same for the watch: it is told when each value was sent."""
    watcher.arrivals.clear()
    watcher.pace(pace)
    threading.Event().wait(seconds)
    watcher.pace(0)
    until(lambda: watcher.arrivals, "a write to be seen")
    return [(arrival.at - arrival.place) * 1000 for arrival in list(watcher.arrivals)]


@contextmanager
def parties() -> Iterator[tuple[Rig, Commits, Observer, Watcher]]:
    """A leader, a follower, and both observers."""
    plan = Plan(
        session_timeout=timedelta(seconds=10),
        transactions=50_000,
        page_size=10,
        latency=timedelta(milliseconds=BUSY_LATENCY_MS),
        row_bytes=600,
    )
    with started(plan, "a", "b") as rig:
        watcher = Watcher(rig.zookeeper.address)
        try:
            with Commits(rig.postgres.url) as commits:
                yield rig, commits, Observer(rig), watcher
        finally:
            watcher.close()


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__ or "", runs=3)
    parser.add_argument(
        "--busy-seconds", type=figures.positive, default=10, metavar="S", help="a run; default: 10"
    )
    parser.add_argument(
        "--idle-seconds", type=figures.positive, default=25, metavar="S", help="a run; default: 25"
    )
    wanted = parser.parse_args()
    taken: dict[str, tuple[list[float], list[float]]] = {}
    with parties() as (rig, commits, observer, watcher):
        flow = Flow(rig, commits, spare_pages=1300)
        for run in range(wanted.runs):
            for kind, seconds, slower_ms in (
                ("busy", wanted.busy_seconds, 0),
                ("idle", wanted.idle_seconds, 1000),
            ):
                rig.provider.faults()
                flow.ensure(more=20)
                if slower_ms:
                    rig.provider.faults({"kind": "latency", "delay_ms": slower_ms})
                threading.Event().wait(SETTLE)
                mine, pace = ours(commits, observer, seconds)
                peer = theirs(watcher, pace, seconds)
                for name, share in (("p50", 0.5), ("p99", 0.99)):
                    values = taken.setdefault(f"lag_{kind}_{name}", ([], []))
                    values[0].append(percentile(mine, share))
                    values[1].append(percentile(peer, share))
                figures.progress(
                    f"{kind} {run + 1}/{wanted.runs}: {len(mine)} commits, one every {pace * 1000:.0f} ms, "
                    f"p99 ours {percentile(mine, 0.99):.1f} ms, DataWatch {percentile(peer, 0.99):.1f} ms"
                )
    figures.show(
        [Figure(name, "ms", mine, PEER, peer) for name, (mine, peer) in taken.items()], wanted.output
    )


if __name__ == "__main__":
    main()
