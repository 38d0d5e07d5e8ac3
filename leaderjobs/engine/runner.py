"""One attempt at one job: pull page after page, commit each under the fence, end with an Outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from leaderjobs.backoff import Backoff
from leaderjobs.connectors.base import Connector
from leaderjobs.engine.prefetch import Prefetch
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.stores import Stores
from leaderjobs.errors import (
    ConfigError,
    ConnectorError,
    Interrupted,
    LeadershipLost,
    NeedsUser,
    Refused,
    StoreError,
    StoreUnavailable,
    TransientError,
)
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Completed, Discard, GiveBack, Hold, Job, Outcome, Retry
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections

MakeConnector = Callable[[str], Connector]
"""Make the connector of a connection by its name; TransientError when it is not configured here (yet)."""

RETRIES = Backoff(first=timedelta(seconds=1), most=timedelta(minutes=10))
PROBE_HOLD_EVERY = timedelta(minutes=15)
"""How often a connection that waits for its user is tried again without being asked."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
"""A provider's Retry-After beyond this is taken as this."""


class Attempt:
    """A job in the hands of this term, and the means to stop it; is the connector's ReadContext."""

    def __init__(self, term: Term, job: Job) -> None:
        """Nothing runs yet."""
        self.term = term
        self.job = job
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._connector: Connector | None = None

    def check(self) -> None:
        """Raise LeadershipLost when the term is over, Interrupted when the attempt was asked to stop."""
        self.term.check()
        if self._stop.is_set():
            raise Interrupted(f"job {self.job.id} was asked to stop between two pages")

    def wait(self, delay: timedelta) -> None:
        """Wait unless stopped; a term that ends stops all of its attempts, so no second event is needed."""
        self._stop.wait(max(0.0, delay.total_seconds()))
        self.check()

    def stop(self) -> None:
        """End at the next safe point; any thread.

        A wait ends and a request that is out is cut off, for a page can be asked for again; a page that is
        being committed is not disturbed.
        """
        self._stop.set()
        with self._lock:
            if self._connector is not None:
                self._connector.close()

    def holds(self, connector: Connector | None) -> None:
        """Name the connector that `stop` closes."""
        with self._lock:
            self._connector = connector


class Runner:
    """Runs attempts, each on the thread that calls `run`."""

    def __init__(
        self,
        *,
        stores: Stores,
        connections: TermConnections,
        publisher: Publisher,
        make_connector: MakeConnector,
        emit: Emit,
    ) -> None:
        """One runner serves all attempts of one term."""
        self._stores = stores
        self._connections = connections
        self._publisher = publisher
        self._make_connector = make_connector
        self._emit = emit

    def run(self, attempt: Attempt) -> Outcome:
        """How the attempt ended; raises nothing that belongs to the job.

        A lost connection to Postgres gives the attempt back: whether its last page was committed is read
        from the marker by whoever goes on.
        """
        job = attempt.job
        try:
            connector = self._make_connector(job.connection)
        except TransientError as error:
            return Retry(self._delay(job, error), str(error))
        except ConfigError as error:
            return Discard(str(error))
        attempt.holds(connector)
        try:
            for stream in _left_to_pull(job):
                self._pull(attempt, connector, stream)
        except (LeadershipLost, Interrupted, StoreUnavailable, Refused):
            # Refused: the marker moved by a commit of ours whose acknowledgement was lost; read it again.
            return GiveBack()
        except NeedsUser as error:
            return Hold(PROBE_HOLD_EVERY, error.code, str(error))
        except TransientError as error:
            return Retry(self._delay(job, error), str(error))
        except (ConnectorError, ConfigError, StoreError) as error:
            return Discard(str(error))
        except Exception as error:  # noqa: BLE001 - last resort: a bug in a connector costs an attempt, not the term
            return Retry(RETRIES.delay(job.attempt), f"{type(error).__name__}: {error}")
        finally:
            attempt.holds(None)
            connector.close()
        return Completed()

    def _delay(self, job: Job, error: TransientError) -> timedelta:
        if error.retry_after is not None:
            return min(error.retry_after, LONGEST_RETRY_AFTER)
        return RETRIES.delay(job.attempt)

    def _pull(self, attempt: Attempt, connector: Connector, name: str) -> None:
        """The one loop in the hot path: commit a page, then publish its marker."""
        stream = next((stream for stream in connector.streams if stream.name == name), None)
        if stream is None:
            known = ", ".join(stream.name for stream in connector.streams)
            raise ConfigError(f"connector {connector.name} has no stream {name}; it has: {known}")
        job, term = attempt.job, attempt.term
        marker = self._stores.markers.load(job.connection, name)
        batches = connector.read(name, marker.cursor if marker else None, attempt)
        with Prefetch(batches, f"{job.connection}-{name}") as pages:
            for batch in pages:
                term.check()
                marker = self._stores.batches.commit(
                    self._connections, term, job, connector.name, stream, batch, marker
                )
                self._publisher.put(term, marker)
                facts = {
                    "job": job.id,
                    "connection": job.connection,
                    "stream": name,
                    "sequence": marker.sequence,
                    "rows": batch.rows,
                    "term": term.number,
                }
                self._emit(Event(EventKind.PAGE_COMMITTED, facts))
                attempt.check()


def _left_to_pull(job: Job) -> tuple[str, ...]:
    """The streams of an attempt that goes on under another term: those before the last one are done."""
    last = job.progress.stream
    return job.streams[job.streams.index(last) :] if last in job.streams else job.streams
