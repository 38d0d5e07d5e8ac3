"""A page, its marker and its job's progress, in one fenced transaction and one round trip (I3)."""

from __future__ import annotations

import json
from datetime import timedelta

from psycopg.types.json import Json, Jsonb

from leaderjobs.errors import StoreError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Job
from leaderjobs.model.marker import Marker
from leaderjobs.model.stream import Stream
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import LONGEST_STATEMENT, Database, Parameters, TermConnections, fenced, rows_of
from leaderjobs.store.text import storable_json

MOST_CURSOR_BYTES = 64 * 1024
PAGE_STATEMENT = timedelta(minutes=1)
_SQL = queries.load("batches")
_HOLDS = queries.load("holds")


class Batches:
    """Commits the pages of one cluster. Any thread; one stream's pages one after another."""

    def __init__(self, database: Database, cluster: str) -> None:
        """The transactions go through the term's own connections, not through `database`."""
        del database
        self._cluster = cluster

    def commit(
        self,
        connections: TermConnections,
        term: Term,
        job: Job,
        connector: str,
        stream: Stream,
        batch: Batch,
        marker: Marker | None,
    ) -> Marker:
        """Land `batch` and move `marker` (as loaded or last returned) on by one; the new marker.

        All or nothing. A hold on the connection ends with it. What the errors mean:
        - FencedOut, LeadershipLost: nothing was written, the term is over;
        - Interrupted: nothing was written, the job is no longer run by this attempt;
        - Refused: nothing was written, the marker is not where `marker` says. Under a term that still leads
          that is a commit of our own whose acknowledgement was lost: load the marker and go on from it;
        - StoreUnavailable: unknown; load the marker and go on from it;
        - any other StoreError: nothing was written and the same page will fail the same way, for instance
          because a row has no key. The message names the stream.
        """
        expected = marker.sequence if marker else 0
        parameters: Parameters = {
            "cluster": self._cluster,
            "connection": job.connection,
            "stream": stream.name,
            "schema": connector,
            "key": stream.key,
            "expected": expected,
            "ord": expected + 1,
            "rows": batch.rows,
            "cursor": _cursor(batch),
            "body": Jsonb(batch.body, dumps=storable_json),
            "upserts": list(batch.upserts),
            "deletes": batch.deletes,
            "id": job.id,
            "number": term.number,
            "attempt": job.attempt,
        }
        # A page is small; only an update's staged pages, applied at once, may take long.
        statement = LONGEST_STATEMENT if batch.landing is Landing.APPLY else PAGE_STATEMENT
        with fenced(connections, term, statement) as connection:
            advanced = connection.execute(_SQL["advance"], parameters)
            for name in _STEPS[batch.landing]:
                connection.execute(_SQL[name], parameters)
            connection.execute(_SQL["progress"], parameters)
            connection.execute(_HOLDS["clear"], parameters)
        return Marker(
            connection=job.connection,
            stream=stream.name,
            cursor=batch.cursor,
            term=term.number,
            **rows_of(advanced)[0],
        )


_STEPS: dict[Landing, tuple[str, ...]] = {
    Landing.UPSERT: ("land",),
    Landing.REPLACE: ("land", "retire"),
    Landing.STAGE: ("stage",),
    Landing.APPLY: ("apply_stages", "land"),
    Landing.RESTART: ("drop_stages",),
}


def _cursor(batch: Batch) -> Json:
    text = json.dumps(batch.cursor, allow_nan=False)
    if len(text) > MOST_CURSOR_BYTES:
        raise StoreError(
            f"the cursor of {batch.stream} has {len(text)} bytes; at most {MOST_CURSOR_BYTES} are kept"
        )
    return Json(text, dumps=str)
