"""Rows a second into Postgres, of transactions as Plaid sends them, beside COPY of ready bytes.

- `upsert_first`, `upsert_again`: pages that land at once, into an empty table and over equal rows; through
  the store in this process, with its fence, marker and job as in production, one transaction a page.
- `staged`: the same pages staged one by one, then applied together, as a Plaid update is.
- `sync_end_to_end`: a worker process pulls them from the provider's stand-in over HTTP, whose own work on
  this machine is counted too; `sync_peak_memory` is that worker's.

Peer of each: COPY, right before it, of bytes made beforehand, in one transaction, into a table with the
same columns, generated columns, primary key and indexes. Postgres runs with fsync, as it should.
"""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg

from benchmarks import figures
from benchmarks.cluster import started, until
from benchmarks.figures import Figure
from leaderjobs import app, clock
from leaderjobs.connectors.plaid_streams import TRANSACTIONS
from leaderjobs.demo.rig import SYNC, Plan, Rig
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import JobState, NewJob
from leaderjobs.model.marker import Marker
from leaderjobs.model.term import Term
from leaderjobs.store.pool import Database, TermConnections

PAGE = 500
ROW_BYTES = 1400
CONNECTOR = "plaid"
PEER = "COPY of ready bytes, one transaction"
COPY_BYTES = 64 * 1024
SYNC_PATIENCE = 900.0
_ESCAPED = re.compile(rb"[\\\t\n\r]")
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_COPY = "COPY copied (cluster, connection, id, doc, ord, synced_at) FROM STDIN"
_EMPTY = "TRUNCATE plaid.transactions, leaderjobs.stages, leaderjobs.markers"


class _Page(msgspec.Struct):
    added: list[msgspec.Raw]
    next_cursor: str
    has_more: bool


class _Row(msgspec.Struct):
    transaction_id: str


@dataclass
class Material:
    """The provider's pages, and the same rows as COPY takes them."""

    pages: list[bytes] = field(default_factory=list)
    copy: list[bytes] = field(default_factory=list)
    rows: int = 0


def fetched(rig: Rig) -> Material:
    """Everything that the provider has, page by page, byte for byte."""
    found, cursor, more = Material(), "", True
    lines: list[bytes] = []
    while more:
        asked = {
            "access_token": rig.provider.access_token,
            "count": PAGE,
            **({"cursor": cursor} if cursor else {}),
        }
        request = urllib.request.Request(
            f"{rig.provider.url}/transactions/sync",
            data=json.dumps(asked).encode(),
            headers={
                "Content-Type": "application/json",
                "PLAID-CLIENT-ID": rig.provider.client_id,
                "PLAID-SECRET": rig.provider.secret,
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        page = msgspec.json.decode(body, type=_Page)
        found.pages.append(body)
        lines += [_copy_line(bytes(row)) for row in page.added]
        cursor, more = page.next_cursor, page.has_more
    found.rows = len(lines)
    ready = b"".join(lines)
    found.copy = [ready[at : at + COPY_BYTES] for at in range(0, len(ready), COPY_BYTES)]
    return found


def _copy_line(row: bytes) -> bytes:
    key = msgspec.json.decode(row, type=_Row).transaction_id
    doc = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], row)
    return b"\t".join((b"bench", SYNC.encode(), key.encode(), doc, b"1", b"2026-01-01 00:00:00+00")) + b"\n"


class Store:
    """The store as a leader uses it, in this process."""

    def __init__(self, database: Database) -> None:
        """Raise the fence of a cluster of our own, and begin a job."""
        self._stores = app.stores(database, "bench")
        number = self._stores.terms.raise_fence(0, 1, "bench", "bench")
        self._term = Term(
            cluster="bench",
            partition=0,
            number=number,
            token=1,
            origin="bench",
            member="bench",
            began_at=clock.now(),
            session_timeout=timedelta(days=1),
            elapsed=clock.elapsed,
            sent_at=clock.elapsed(),
        )
        self._connections = TermConnections(database, self._term, limit=2)
        self._stores.jobs.enqueue(NewJob(SYNC, SYNC, (TRANSACTIONS.name,)))
        (self._job,) = self._stores.jobs.claim(self._connections, self._term, 1, ())

    def load(
        self, pages: Sequence[bytes], landings: Callable[[bool], Landing], marker: Marker | None
    ) -> Marker | None:
        """Commit every page; `landings` is asked with whether the page is the last one."""
        for place, body in enumerate(pages, start=1):
            landing = landings(place == len(pages))
            batch = Batch(
                TRANSACTIONS.name, body, ("added", "modified"), "removed", {"next": f"{place}"}, landing, PAGE
            )
            marker = self._stores.batches.commit(
                self._connections, self._term, self._job, CONNECTOR, TRANSACTIONS, batch, marker
            )
        return marker

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()


class Bench:
    """All loads over one set of servers."""

    def __init__(self, rig: Rig, admin: psycopg.Connection[tuple[object, ...]], store: Store) -> None:
        """Make the table that COPY fills."""
        self._rig = rig
        self._admin = admin
        self._store = store
        self.material = fetched(rig)
        self.peak_mib: list[float] = []
        admin.execute("CREATE TABLE copied (LIKE plaid.transactions INCLUDING ALL)")

    def copy(self) -> float:
        """Rows a second of COPY."""
        self._settle("TRUNCATE copied")
        began = clock.elapsed()
        with self._admin.cursor() as cursor, cursor.copy(_COPY) as copy:
            for part in self.material.copy:
                copy.write(part)
        return self.material.rows / (clock.elapsed() - began)

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

    def sync(self) -> dict[str, float]:
        """Rows a second of a whole sync by a worker; its peak memory is kept."""
        rig = self._rig
        self._settle(_EMPTY)
        process = rig.start_worker("a")
        until(rig.leader, "a leader")
        job = rig.enqueue()
        until(lambda: rig.stores.jobs.get(job.id).state.final, "the sync to end", SYNC_PATIENCE)
        ended = rig.stores.jobs.get(job.id)
        self.peak_mib.append(_peak_mib(process.pid))
        rig.send("a", signal.SIGTERM)
        rig.reap("a")
        if ended.state is not JobState.COMPLETED or ended.started_at is None or ended.finished_at is None:
            raise RuntimeError(f"the sync was {ended.state.value}: {ended.error}")
        seconds = (ended.finished_at - ended.started_at).total_seconds()
        return {"sync_end_to_end": self.material.rows / seconds}

    def _timed(
        self, landings: Callable[[bool], Landing], marker: Marker | None
    ) -> tuple[Marker | None, float]:
        began = clock.elapsed()
        marker = self._store.load(self.material.pages, landings, marker)
        seconds = clock.elapsed() - began
        found = self._admin.execute(
            "SELECT count(*) FROM plaid.transactions WHERE deleted_at IS NULL"
        ).fetchone()
        if found != (self.material.rows,):
            raise RuntimeError(f"{self.material.rows} rows were loaded, the table holds {found}")
        return marker, self.material.rows / seconds

    def _settle(self, prepare: str) -> None:
        """Begin with nothing left to be written for the load before."""
        self._admin.execute(prepare.encode())
        self._admin.execute("CHECKPOINT")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


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


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__ or "", runs=3)
    parser.add_argument("--rows", type=figures.positive, default=100_000, metavar="N", help="default: 100000")
    wanted = parser.parse_args()
    taken: dict[str, tuple[list[float], list[float]]] = {}
    with bench(wanted.rows) as party:
        material = party.material
        size = sum(map(len, material.pages)) / material.rows
        figures.progress(f"{material.rows} transactions of {size:.0f} bytes in {len(material.pages)} pages")
        for run in range(wanted.runs):
            for load in (party.upsert, party.staged, party.sync):
                copied = party.copy()
                for name, rate in load().items():
                    values = taken.setdefault(name, ([], []))
                    values[0].append(rate)
                    values[1].append(copied)
                    figures.progress(
                        f"{name} {run + 1}/{wanted.runs}: {rate:,.0f} rows/s, COPY before it {copied:,.0f}"
                    )
    found = [Figure(name, "rows/s", rates, PEER, copied) for name, (rates, copied) in taken.items()]
    figures.show([*found, Figure("sync_peak_memory", "MiB", party.peak_mib)], wanted.output)


if __name__ == "__main__":
    main()
