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
from leaderjobs.store.table_names import column_name
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
        schema: str,
        stream: Stream,
        batch: Batch,
        marker: Marker | None,
    ) -> Marker:
        """Land `batch` and move `marker` (as loaded or last returned) on by one; the new marker.

        What is staged, or met by a walk, is piled up apart for a job with a window: it may not mix with what
        the stream's own reads have under way.

        All or nothing. A hold on the connection ends with it. What the errors mean:
        - FencedOut, LeadershipLost: nothing was written, the term is over;
        - Interrupted: nothing was written, the job is no longer run by this attempt;
        - Refused: nothing was written, the marker is not where `marker` says. Under a term that still leads
          that is a commit of our own whose acknowledgement was lost: load the marker and go on from it;
        - StoreUnavailable: unknown; load the marker and go on from it;
        - any other StoreError: nothing was written and the same page will fail the same way, for instance
          because a row has no key. The message names the stream.
        """
        parameters = self._parameters(job, term, schema, stream, batch, marker)
        # A page is small; only what is applied or swept at once may take long.
        statement = LONGEST_STATEMENT if batch.landing in _LONG else PAGE_STATEMENT
        with fenced(connections, term, statement) as connection:
            advanced = connection.execute(_SQL["advance"], parameters)
            for name in _steps(batch):
                connection.execute(_SQL[name], parameters)
            connection.execute(_SQL["progress"], parameters)
            connection.execute(_HOLDS["clear"], parameters)
        return Marker(
            connection=job.connection,
            stream=stream.name,
            cursor=batch.cursor,
            term=term.number,
            resets=marker.resets if marker else 0,
            **rows_of(advanced)[0],
        )

    def begin_full(self, connections: TermConnections, term: Term, job: Job, stream: str) -> None:
        """Forget the marker's cursor, once a job: what was pulled before stays, and is pulled again."""
        if stream in job.begun:
            return
        parameters: Parameters = {
            "cluster": self._cluster,
            "connection": job.connection,
            "stream": stream,
            "id": job.id,
            "number": term.number,
            "attempt": job.attempt,
        }
        with fenced(connections, term) as connection:
            connection.execute(_SQL["begin_full"], parameters)

    def drop_window(self, connections: TermConnections, term: Term, job: Job, stream: str) -> None:
        """Drop what an earlier job's window left piled up."""
        with fenced(connections, term) as connection:
            connection.execute(
                _SQL["drop_pile"],
                {
                    "cluster": self._cluster,
                    "connection": job.connection,
                    "pile": _pile(stream, windowed=True),
                },
            )

    def _parameters(
        self, job: Job, term: Term, schema: str, stream: Stream, batch: Batch, marker: Marker | None
    ) -> Parameters:
        expected = marker.sequence if marker else 0
        column, value = (column_name(batch.scope[0]), batch.scope[1]) if batch.scope else (None, None)
        return {
            "cluster": self._cluster,
            "connection": job.connection,
            "stream": stream.name,
            "schema": schema,
            "label": f"{schema}.{stream.name}",
            "keys": list(stream.key),
            "pile": _pile(stream.name, windowed=job.window is not None),
            "expected": expected,
            "resets": marker.resets if marker else 0,
            "ord": expected + 1 if batch.order is None else batch.order,
            "order": batch.order,
            "ordered": batch.ordered,
            "timed": batch.ordered or batch.order is not None,
            "scope_column": column,
            "scope_value": value,
            "rows": batch.rows,
            "total": batch.total,
            "cursor": _cursor(batch),
            "body": Jsonb(batch.body, dumps=storable_json),
            "upserts": list(batch.upserts),
            "deletes": batch.deletes,
            "id": job.id,
            "number": term.number,
            "attempt": job.attempt,
        }


def _steps(batch: Batch) -> tuple[str, ...]:
    match batch.landing:
        case Landing.UPSERT:
            return ("land",)
        case Landing.REPLACE:
            return ("land", "retire")
        case Landing.WALK:
            return ("land", "meet")
        case Landing.SWEEP:
            return ("land", "meet", "sweep")
        case Landing.STAGE:
            return ("stage",)
        case Landing.APPLY if batch.scope is None:
            return ("apply_stages", "land")
        case Landing.APPLY:
            return ("apply_stages", "land", "meet", "sweep")
        case Landing.RESTART:
            return ("drop_pile",)


def _pile(stream: str, *, windowed: bool) -> str:
    # A stream's name has no space in front.
    return f" {stream}" if windowed else stream


_LONG = frozenset({Landing.APPLY, Landing.SWEEP})


def _cursor(batch: Batch) -> Json:
    text = json.dumps(batch.cursor, allow_nan=False)
    if len(text) > MOST_CURSOR_BYTES:
        raise StoreError(
            f"the cursor of {batch.stream} has {len(text)} bytes; at most {MOST_CURSOR_BYTES} are kept"
        )
    return Json(text, dumps=str)
