"""A page, its marker and its job's progress, in one fenced transaction and one round trip (I3)."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self, TypeAlias

import msgspec
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
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
MOST_DECODERS = 256
_SQL = queries.load("batches")
_HOLDS = queries.load("holds")
Buffer: TypeAlias = bytes | msgspec.Raw
_TEXT, _TEXT_ARRAY = psycopg.adapters.types["text"].oid, psycopg.adapters.types["text"].array_oid
_LENGTH = struct.Struct("!i")
_DIRECT = frozenset(Landing) - {Landing.STAGE, Landing.RESTART}


@dataclass(frozen=True, slots=True)
class _Texts:
    """Rows, each as the text that it came as, in the binary form of an array of Postgres."""

    encoded: bytes

    @classmethod
    def of(cls, rows: Sequence[msgspec.Raw]) -> Self:
        # Dimensions, whether it has nulls, type; length and lower bound of the one dimension.
        parts: list[Buffer] = [struct.pack("!iiIii", 1, 0, _TEXT, len(rows), 1)]
        for row in rows:
            parts += (_LENGTH.pack(len(row)), row)
        return cls(b"".join(parts))


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: _Texts) -> bytes:
        return obj.encoded


class _Page(bytes):
    """A body as Postgres can hold it; the type says that this has been seen to."""

    taken_apart: tuple[_Texts, _Texts] | None = None
    """Its rows, and its deletions; none where Postgres takes it apart, and says what is wrong with it."""


def prepared(batch: Batch) -> Batch:
    """`batch` with all done that `commit` would do without the database: another thread may do it ahead."""
    if isinstance(batch.body, _Page):
        return batch
    page = _Page(storable_json(batch.body))
    if batch.landing in _DIRECT and not batch.ordered:
        page.taken_apart = _taken_apart(page, batch.upserts, batch.deletes)
    return replace(batch, body=page)


def _taken_apart(body: bytes, upserts: tuple[str, ...], deletes: str | None) -> tuple[_Texts, _Texts] | None:
    """Where rows begin and end; what they are Postgres reads, so no number passes through a float."""
    decoder = _decoder(upserts if deletes is None else (*upserts, deletes))
    if decoder is None:
        return None
    try:
        found = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    members: list[list[msgspec.Raw]] = [getattr(found, name) for name in found.__struct_fields__]
    gone = members.pop() if deletes is not None else []
    return _Texts.of([row for rows in members for row in rows]), _Texts.of(gone)


@functools.lru_cache(maxsize=MOST_DECODERS)
def _decoder(members: tuple[str, ...]) -> msgspec.json.Decoder[msgspec.Struct] | None:
    names = {f"member_{place}": name for place, name in enumerate(members)}
    try:
        shape = msgspec.defstruct(
            "Shape", [(name, list[msgspec.Raw]) for name in names], rename=names, gc=False
        )
    except ValueError:
        # One is there twice, or has a quote in it.
        return None
    return msgspec.json.Decoder(shape)


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
        batch = prepared(batch)
        parameters = self._parameters(job, term, schema, stream, batch, marker)
        # A page is small; only what is applied or swept at once may take long.
        statement = LONGEST_STATEMENT if batch.landing in _LONG else PAGE_STATEMENT
        with fenced(connections, term, statement) as connection:
            # Of this connection: it may have been made before anything was registered for all.
            connection.adapters.register_dumper(_Texts, _TextsDumper)
            advanced = connection.execute(_SQL["advance"], parameters)
            for name in _steps(batch):
                step = "land_apart" if name == "land" and "docs" in parameters else name
                connection.execute(_SQL[step], parameters)
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
            **_body(batch),
            "upserts": list(batch.upserts),
            "deletes": batch.deletes,
            "id": job.id,
            "number": term.number,
            "attempt": job.attempt,
        }


def _body(batch: Batch) -> Parameters:
    body = {"body": Jsonb(batch.body, dumps=bytes)}
    if not isinstance(batch.body, _Page) or batch.body.taken_apart is None:
        return body
    docs, gone = batch.body.taken_apart
    return {**body, "docs": docs, "gone": gone}


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
