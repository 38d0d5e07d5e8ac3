"""Pages into the store in this process, exactly as a leader's runner commits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from benchmarks.load_material import PAGE
from leaderjobs import app, clock
from leaderjobs.connectors.plaid.streams import TRANSACTIONS
from leaderjobs.demo.rig import SYNC
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import NewJob
from leaderjobs.model.marker import Marker
from leaderjobs.model.term import Term
from leaderjobs.store.pool import Database, TermConnections

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
        self._stores.jobs.enqueue(NewJob(SYNC, SYNC, (TRANSACTIONS.name,)))
        (self._job,) = self._stores.jobs.claim(self._connections, self._term, 1, ())

    def load(self, pages: Sequence[bytes], landings: Landings, marker: Marker | None) -> Marker | None:
        """Commit every page; the marker after the last one."""
        for place, body in enumerate(pages, start=1):
            landing = landings(place == len(pages))
            cursor = {"next": f"{place}"}
            batch = Batch(TRANSACTIONS.name, body, ("added", "modified"), "removed", cursor, landing, PAGE)
            marker = self._stores.batches.commit(
                self._connections, self._term, self._job, CONNECTOR, TRANSACTIONS, batch, marker
            )
        return marker

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()
