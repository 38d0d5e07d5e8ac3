"""Rows a second into Postgres, of transactions as Plaid sends them, beside what others make of the same rows.

- `upsert_first`, `upsert_again`: pages that land at once, into an empty table and over equal rows; through
  the store in this process, with its fence, marker and job as in production, one transaction a page.
- `staged`: the same pages staged one by one, then applied together, as a Plaid update is.
- `sync_end_to_end`: a worker process pulls them from the provider's stand-in over HTTP, whose own work on
  this machine is counted too.
- `sync_peak_memory_*`: that worker's largest resident size, with --rows and with --big-rows.

Peers: COPY of bytes made beforehand, in one transaction, into the very table that is loaded next; dlt's merge
and Singer's target-postgres, which load the same rows into tables of their own, first into nothing, then
again. All of them use one Postgres, with fsync, as it should.
"""

from __future__ import annotations

import argparse
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from benchmarks import figures, load_peers
from benchmarks.cluster import peak_mib, started, until
from benchmarks.figures import Figure
from benchmarks.load_material import PAGE, fetched
from benchmarks.load_peers import Admin, Copy, Dlt, Peer, Singer
from benchmarks.load_store import CONNECTOR, Landings, Store
from leaderjobs import clock
from leaderjobs.connectors.plaid.streams import TRANSACTIONS
from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.model.batch import Landing
from leaderjobs.model.job import JobState
from leaderjobs.model.marker import Marker

ROW_BYTES = 1400
PEERS = ("copy", "dlt", "singer")
SYNC_PATIENCE = 1800.0
MORE_AT_ONCE = 25_000
"""Rows that the stand-in makes in one call: it may take seconds."""
_EMPTY = "TRUNCATE plaid.transactions, leaderjobs.stages, leaderjobs.markers"
_COUNT = "SELECT count(*) FROM plaid.transactions WHERE deleted_at IS NULL"


class Bench:
    """All of our loads over one set of servers."""

    def __init__(self, rig: Rig, admin: Admin, store: Store) -> None:
        """Fetch what will be loaded."""
        self._rig = rig
        self._admin = admin
        self._store = store
        self.material = fetched(rig)
        self.rows = self.material.rows
        self._copy = Copy(admin, self.material)

    def peers(self, wanted: Sequence[str]) -> list[Peer]:
        """Those whose figures stand by themselves; each makes its environment now."""
        where = (self._admin, self._rig.postgres.url, self.material, self._rig.directory)
        made: list[Peer] = []
        if "dlt" in wanted:
            made += [Dlt(*where, load_peers.UNTOUCHED), Dlt(*where, load_peers.TUNED)]
        if "singer" in wanted:
            made.append(Singer(*where))
        return made

    def copy(self) -> float:
        """Rows a second of COPY into the table that the others fill."""
        self._settle(_EMPTY)
        return self._copy.load()

    def upsert(self) -> dict[str, float]:
        """Rows a second into an empty table, and over equal rows."""
        self._settle(_EMPTY)
        marker, first = self._timed(lambda _: Landing.UPSERT, None)
        self._settle("SELECT 1")
        _, again = self._timed(lambda _: Landing.UPSERT, marker)
        return {"upsert_first": first, "upsert_again": again}

    def staged(self) -> dict[str, float]:
        """Rows a second of staging and applying."""
        self._settle(_EMPTY)
        return {"staged": self._timed(lambda last: Landing.APPLY if last else Landing.STAGE, None)[1]}

    def sync(self) -> tuple[float, float]:
        """Rows a second of a whole sync by a worker, and the most memory that it took, in MiB."""
        rig = self._rig
        self._settle(_EMPTY)
        process = rig.start_worker("a")
        until(rig.leader, "a leader")
        job = rig.enqueue()
        until(lambda: rig.stores.jobs.get(job.id).state.final, "the sync to end", SYNC_PATIENCE)
        ended = rig.stores.jobs.get(job.id)
        peak = peak_mib(process.pid)
        rig.send("a", signal.SIGTERM)
        rig.reap("a")
        if ended.state is not JobState.COMPLETED or ended.started_at is None or ended.finished_at is None:
            raise RuntimeError(f"the sync was {ended.state.value}: {ended.error}")
        self._check()
        return self.rows / (ended.finished_at - ended.started_at).total_seconds(), peak

    def grow(self, rows: int) -> None:
        """Let the provider have so many rows."""
        while self.rows < rows:
            more = min(MORE_AT_ONCE, rows - self.rows)
            self._rig.provider.change(add=more)
            self.rows += more

    def _timed(self, landings: Landings, marker: Marker | None) -> tuple[Marker | None, float]:
        began = clock.elapsed()
        marker = self._store.load(self.material.pages, landings, marker)
        seconds = clock.elapsed() - began
        self._check()
        return marker, self.rows / seconds

    def _check(self) -> None:
        found = self._admin.execute(_COUNT).fetchone()
        if found != (self.rows,):
            raise RuntimeError(f"{self.rows} rows were loaded, the table holds {found}")

    def _settle(self, prepare: str) -> None:
        """Begin with nothing left to be written for the load before."""
        self._admin.execute(prepare.encode())
        self._admin.execute("CHECKPOINT")


@contextmanager
def bench(rows: int) -> Iterator[Bench]:
    """Servers, provider, store; no worker yet."""
    plan = Plan(
        session_timeout=timedelta(seconds=10),
        transactions=rows,
        page_size=PAGE,
        latency=timedelta(0),
        row_bytes=ROW_BYTES,
    )

    def durable(rig: Rig) -> None:
        rig.postgres = PostgresServer(rig.directory / "postgres", durable=True)

    with started(plan, before=durable) as rig:
        rig.stores.tables.ensure(CONNECTOR, (TRANSACTIONS,))
        with psycopg.connect(rig.postgres.url, autocommit=True) as admin:
            store = Store(rig.stores.database)
            try:
                yield Bench(rig, admin, store)
            finally:
                store.close()


class Measured:
    """Every value that was measured, and the figures made of them."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._ours: dict[str, list[float]] = defaultdict(list)
        self._theirs: dict[str, tuple[str, list[float]]] = {}

    def add(self, name: str, value: float, unit: str = "rows/s") -> None:
        """One of ours."""
        figures.progress(f"{name}: {value:,.0f} {unit}")
        self._ours[name].append(value)

    def add_peer(self, name: str, title: str, value: float) -> None:
        """One of a peer's; `name` is the figure's."""
        figures.progress(f"{name}: {value:,.0f} rows/s, {title}")
        self._theirs.setdefault(name, (title, []))[1].append(value)

    def rates(self, ours: str, name: str | None = None) -> Figure:
        """Our rates beside those of the peer that were added under `name`."""
        return Figure(name or ours, "rows/s", self._ours[ours], *self._theirs.get(name or ours, ()))

    def memory(self, name: str, than: str | None = None) -> Figure:
        """A peak; beside the same of fewer rows it tells whether memory is flat."""
        beside = (than, self._ours[than]) if than else ()
        return Figure(name, "MiB", self._ours[name], *beside)


def measure(party: Bench, peers: Sequence[Peer], found: Measured, *, copy: bool) -> None:
    """One run of everything but the big sync; COPY runs right before what it is compared with."""
    memory = _memory(party.rows)

    def copied(*names: str) -> None:
        if copy:
            rate = party.copy()
            for name in names:
                found.add_peer(name, Copy.title, rate)

    copied("upsert_first", "upsert_again")
    for name, rate in party.upsert().items():
        found.add(name, rate)
    copied("staged")
    for name, rate in party.staged().items():
        found.add(name, rate)
    copied("sync_end_to_end")
    rate, peak = party.sync()
    found.add("sync_end_to_end", rate)
    found.add(memory, peak, "MiB")
    for peer in peers:
        for name, first in (("upsert_first", True), ("upsert_again", False)):
            found.add_peer(f"{name}_{peer.name}", peer.title, peer.load(first=first))


def main() -> None:
    """Measure and print."""
    wanted = _wanted()
    found = Measured()
    with bench(wanted.rows) as party:
        size = sum(map(len, party.material.pages)) / party.rows
        figures.progress(
            f"{party.rows} transactions of {size:.0f} bytes in {len(party.material.pages)} pages"
        )
        peers = party.peers(wanted.peers)
        for run in range(wanted.runs):
            figures.progress(f"run {run + 1} of {wanted.runs}")
            measure(party, peers, found, copy="copy" in wanted.peers)
        party.grow(wanted.big_rows)
        for _ in range(wanted.runs):
            found.add(_memory(wanted.big_rows), party.sync()[1], "MiB")
    shown = [found.rates(name) for name in ("upsert_first", "upsert_again", "staged", "sync_end_to_end")]
    shown += [
        found.rates(name, f"{name}_{peer.name}")
        for peer in peers
        for name in ("upsert_first", "upsert_again")
    ]
    few = _memory(wanted.rows)
    shown += [found.memory(few), found.memory(_memory(wanted.big_rows), few)]
    figures.show(shown, wanted.output)


def _memory(rows: int) -> str:
    for size, letter in ((1_000_000, "m"), (1000, "k")):
        if rows % size == 0:
            return f"sync_peak_memory_{rows // size}{letter}"
    return f"sync_peak_memory_{rows}"


def _wanted() -> argparse.Namespace:
    parser = figures.parser(__doc__ or "", runs=3)
    parser.add_argument("--rows", type=figures.positive, default=100_000, metavar="N", help="default: 100000")
    parser.add_argument(
        "--big-rows", type=figures.positive, default=1_000_000, metavar="N", help="default: 1000000"
    )
    wanted = figures.parsed(parser, PEERS)
    if wanted.big_rows <= wanted.rows:
        parser.error(f"--big-rows {wanted.big_rows}: allowed: more than --rows")
    return wanted


if __name__ == "__main__":
    main()
