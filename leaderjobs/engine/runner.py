"""One attempt at one job: pull page after page, commit each under the fence, end with an Outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.connectors.base import Connector
from leaderjobs.engine import reading
from leaderjobs.engine.attempt import Attempt
from leaderjobs.engine.job_log import JobLog
from leaderjobs.engine.prefetch import Prefetch
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.reading import Reading
from leaderjobs.engine.retrying import Refusals, outcome
from leaderjobs.engine.stores import Stores
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.errors import ConfigError, Refused
from leaderjobs.model.batch import Batch
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Completed, Job, Outcome
from leaderjobs.model.marker import Marker
from leaderjobs.model.stream import Stream
from leaderjobs.store.pool import TermConnections

MakeConnector = Callable[[str], Connector]
"""Make the connector of a connection by its name; TransientError when it is not configured here (yet)."""

PROGRESS_EVERY = timedelta(seconds=10)
"""How often a long pull says in the log how far it is."""


class Runner:
    """Runs attempts, each on the thread that calls `run`."""

    def __init__(
        self,
        *,
        stores: Stores,
        connections: TermConnections,
        publisher: Publisher,
        make_connector: MakeConnector,
        upkeep: Upkeep,
        emit: Emit,
    ) -> None:
        """One runner serves all attempts of one term."""
        self._stores = stores
        self._connections = connections
        self._publisher = publisher
        self._make_connector = make_connector
        self._upkeep = upkeep
        self._emit = emit
        self._refusals = Refusals()
        self._job_log = JobLog(stores.history, connections, emit)

    def run(self, attempt: Attempt) -> Outcome:
        """How the attempt ended; raises nothing that belongs to the job.

        A lost connection to Postgres gives the attempt back: whether its last page was committed is read
        from the marker by whoever goes on.
        """
        left = _left_to_pull(attempt.job)
        if not left:
            return Completed()
        try:
            connector = self._make_connector(attempt.job.connection)
        except Exception as error:  # noqa: BLE001 - a connector that cannot be made costs its jobs, not the term
            return outcome(error, attempt, self._refusals)
        attempt.holds(connector)
        try:
            with self._job_log.of(attempt) as lines:
                context = Reading(attempt, self._stores.quotas, self._connections, lines)
                for stream in left:
                    self._pull(attempt, connector, stream, context)
        except Exception as error:  # noqa: BLE001 - last resort: a bug in a connector costs an attempt, not the term
            return outcome(error, attempt, self._refusals)
        finally:
            attempt.holds(None)
            connector.close()
        self._refusals.over(attempt.job.connection)
        return Completed()

    def _pull(self, attempt: Attempt, connector: Connector, name: str, context: Reading) -> None:
        """The one loop in the hot path: commit a page, then publish its marker."""
        stream = next((stream for stream in connector.streams if stream.name == name), None)
        if stream is None:
            known = ", ".join(stream.name for stream in connector.streams)
            raise ConfigError(f"connector {connector.name} has no stream {name}; it has: {known}")
        job, term = attempt.job, attempt.term
        if job.window is not None and not stream.windowed:
            raise ConfigError(f"{job.connection}.{name} cannot be pulled for a span of time")
        if job.full:
            self._stores.batches.begin_full(self._connections, term, job, name)
        marker = self._stores.markers.load(job.connection, name)
        cursor = reading.begins(marker.cursor if marker else None, job)
        if job.window is not None and cursor is None:
            self._stores.batches.drop_window(self._connections, term, job, name)
        progress = _Progress(job, name, self._emit)
        with Prefetch(connector.read(name, cursor, context), f"{job.connection}-{name}") as pages:
            for batch in pages:
                term.check()
                if batch.shape is not None and batch.shape != stream:
                    stream = batch.shape
                    self._fit(connector.schema, stream)
                marker = self._commit(attempt, connector.schema, stream, batch, marker)
                progress.committed(batch)
                attempt.check()

    def _fit(self, schema: str, stream: Stream) -> None:
        try:
            self._upkeep.ensure(schema, (stream,))
        except Refused as error:
            # The table cannot be made so, now or later; from a commit it says that the marker has moved.
            raise ConfigError(str(error)) from None

    def _commit(
        self, attempt: Attempt, schema: str, stream: Stream, batch: Batch, before: Marker | None
    ) -> Marker:
        job, term = attempt.job, attempt.term
        cursor = reading.stored(batch.cursor, before.cursor if before else None, job)
        marker = self._stores.batches.commit(
            self._connections, term, job, schema, stream, dataclasses.replace(batch, cursor=cursor), before
        )
        self._publisher.put(term, marker)
        facts = {
            "job": job.id,
            "connection": job.connection,
            "stream": stream.name,
            "sequence": marker.sequence,
            "rows": batch.rows,
            "term": term.number,
        }
        self._emit(Event(EventKind.PAGE_COMMITTED, facts))
        return marker


class _Progress:
    """Tells now and then how far a long pull is."""

    def __init__(self, job: Job, stream: str, emit: Emit) -> None:
        before = job.progress
        self._job = job
        self._stream = stream
        self._emit = emit
        self._began = self._told = clock.elapsed()
        # What earlier attempts of this job have brought in of this stream counts, but not for the rate.
        self._before = before.stream_rows if before.stream == stream else 0
        self._total = before.total if before.stream == stream else None
        self._rows = self._pages = 0

    def committed(self, batch: Batch) -> None:
        self._rows += batch.rows
        self._pages += 1
        self._total = batch.total if batch.total is not None else self._total
        now = clock.elapsed()
        if now - self._told < PROGRESS_EVERY.total_seconds():
            return
        self._told = now
        rate = self._rows / (now - self._began)
        facts: dict[str, object] = {
            "job": self._job.id,
            "connection": self._job.connection,
            "stream": self._stream,
            "rows": self._before + self._rows,
            "pages": self._pages,
            "rows_per_second": round(rate, 1),
        }
        if self._total is not None and rate > 0:
            left = max(0, self._total - self._before - self._rows)
            facts |= {"total": self._total, "seconds_left": round(left / rate)}
        self._emit(Event(EventKind.JOB_PROGRESSED, facts))


def _left_to_pull(job: Job) -> tuple[str, ...]:
    """The streams of an attempt that goes on under another term: those before the last one are done."""
    last = job.progress.stream
    return job.streams[job.streams.index(last) :] if last in job.streams else job.streams
