"""Pages into the store in this process, exactly as a leader's runner commits them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from benchmarks.load_material import PAGE
from leaderjobs import app, clock
from leaderjobs.connectors.plaid.streams import TRANSACTIONS
from leaderjobs.demo.rig import SYNC
from leaderjobs.engine.prefetch import Prefetch
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import NewJob
from leaderjobs.model.marker import Marker
from leaderjobs.model.term import Term
from leaderjobs.store.pool import Database, TermConnections
from leaderjobs.store.queue import job_of

CONNECTOR = "plaid"
CLUSTER = "bench"
Landings = Callable[[bool], Landing]
"""Asked with whether a page is the last one."""


class Store:
    """The store as a leader uses it, in this process."""

    def __init__(self, database: Database) -> None:
        """Raise the fence of a cluster of our own, and begin a job."""
        self._stores = app.stores(database, CLUSTER)
        number = self._stores.terms.raise_fence(0, 1, "bench", "bench")
        self._term = Term(
            cluster=CLUSTER,
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
        job, _ = self._stores.jobs.enqueue(NewJob(SYNC, SYNC, (TRANSACTIONS.name,)))
        (row,) = self._stores.queue.turn(self._connections, self._term, wanted=[job.id]).claimed
        self._job = job_of(row)

    def load(self, pages: Sequence[bytes], landings: Landings, marker: Marker | None) -> Marker | None:
        """Commit every page, while the next one is made ready; the marker after the last one."""
        with Prefetch(_batches(pages, landings), "bench") as batches:
            for batch in batches:
                marker = self._stores.batches.commit(
                    self._connections, self._term, self._job, CONNECTOR, TRANSACTIONS, batch, marker
                )
        return marker

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()


def _batches(pages: Sequence[bytes], landings: Landings) -> Iterator[Batch]:
    for place, body in enumerate(pages, start=1):
        landing = landings(place == len(pages))
        cursor = {"next": f"{place}"}
        yield Batch(TRANSACTIONS.name, body, ("added", "modified"), "removed", cursor, landing, PAGE)
