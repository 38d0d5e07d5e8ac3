"""The services of one term: begun together once the fence is raised, ended together when it is over.

Nothing else starts or stops them, and none of them asks who leads (River's queue maintainer is the
model). Two threads: `term` does the work of beginning and then dispatches; `guard` waits for the end of
the term, by event or by deadline, and cuts everything off, also when every other thread is stuck.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeAlias

from leaderjobs.engine import rescuer
from leaderjobs.engine.chores import Chores
from leaderjobs.engine.dispatcher import Dispatcher
from leaderjobs.engine.limiter import Limits
from leaderjobs.engine.operator import Operator
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.replica import Replica
from leaderjobs.engine.runner import MakeConnector, Runner
from leaderjobs.engine.signals import Signals
from leaderjobs.engine.stores import Stores
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.errors import ConfigError, LeadershipLost, StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import JobState
from leaderjobs.model.term import DEADLINE_PASSED, Term
from leaderjobs.store.pool import TermConnections

END_PATIENCE = 5.0
"""Seconds that the end of a term waits for its threads; what is stuck longer is fenced out anyway."""
_CONNECTIONS_BESIDES_ATTEMPTS = 3


class Beside(Protocol):
    """What runs beside the dispatcher for one term, on a thread of its own, once the jobs are taken over."""

    name: str

    def run(self) -> None:
        """Work until the term is over or `stop` was called; raises nothing."""

    def stop(self) -> None:
        """Begin nothing more and come back from `run` soon; any thread, more than once."""


MakeBeside: TypeAlias = Callable[[Term, TermConnections], Beside]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a member leads with, the same in every term."""

    stores: Stores
    replica: Replica
    make_connector: MakeConnector
    prepare: Callable[[], None]
    """Makes sure of what must be true of the database; raises where it cannot be."""
    upkeep: Upkeep
    beside: Sequence[MakeBeside]
    signals: Signals
    limits: Callable[[], Limits]
    """Those that hold now; another object only where they are others."""
    retention: Callable[[], Mapping[JobState, timedelta]]
    """How long ended jobs are kept, as it is now."""
    drain_timeout: timedelta
    emit: Emit


class Leader:
    """See the module's docstring; an `engine.elector.Services`."""

    def __init__(
        self, term: Term, parts: Parts, publisher: Publisher, on_finished: Callable[[], None]
    ) -> None:
        """Nothing happens before `start`."""
        self._term = term
        self._parts = parts
        self._publisher = publisher
        self._emit = parts.emit
        self._on_finished = on_finished
        self._connections = TermConnections(
            parts.stores.database,
            term,
            limit=parts.limits().concurrency + _CONNECTIONS_BESIDES_ATTEMPTS + len(parts.beside),
        )
        self._dispatcher, chores = self._queue_workers()
        self._beside = [chores, *(make(term, self._connections) for make in parts.beside)]
        self._finished = threading.Event()
        self._failure: str | None = None
        self._drain_timer: threading.Timer | None = None
        self._notes: tuple[str, ...] = ()
        self._worker = threading.Thread(target=self._run, name="term", daemon=True)
        self._keepers = [
            threading.Thread(target=parts.upkeep.run, args=(term,), name="upkeep", daemon=True),
            *(threading.Thread(target=each.run, name=each.name, daemon=True) for each in self._beside),
        ]
        self._guard = threading.Thread(target=self._watch, name="guard", daemon=True)

    @property
    def finished(self) -> bool:
        """Whether the term's thread has ended."""
        return self._finished.is_set()

    @property
    def failure(self) -> str | None:
        """Why the services could not begin or go on; None when they could, or lost the term."""
        return self._failure

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found at take-over that people should know."""
        return self._notes

    def start(self) -> None:
        """Begin on threads of our own; returns at once."""
        self._worker.start()
        self._guard.start()

    def drain(self) -> None:
        """Stop at safe points; commits that are still out after the drain timeout are cut off."""
        self._stop_beside()
        self._dispatcher.drain()
        self._drain_timer = threading.Timer(
            self._parts.drain_timeout.total_seconds(), self._connections.abort
        )
        self._drain_timer.daemon = True
        self._drain_timer.start()

    def close(self) -> None:
        """End everything of this term; the term must be over, or its services finished. Bounded."""
        if not self._finished.is_set():
            self._cut()
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        self._worker.join(END_PATIENCE)
        self._dispatcher.join(END_PATIENCE)
        for keeper in self._keepers:
            if keeper.is_alive():
                keeper.join(END_PATIENCE)
        self._publisher.end(self._term)
        self._connections.close()

    def _queue_workers(self) -> tuple[Dispatcher, Chores]:
        parts, term, connections = self._parts, self._term, self._connections
        stores, make_connector, emit = parts.stores, parts.make_connector, parts.emit
        runner = Runner(
            stores=stores,
            connections=connections,
            publisher=self._publisher,
            make_connector=make_connector,
            upkeep=parts.upkeep,
            emit=emit,
        )
        operator = Operator(stores=stores, connections=connections, make_connector=make_connector, emit=emit)
        chores = Chores(
            term=term,
            connections=connections,
            queue=stores.queue,
            jobs=stores.jobs,
            retention=parts.retention,
            found=lambda strands: dispatcher.found(strands),  # noqa: PLW0108 - each needs the other
            emit=emit,
        )
        dispatcher = Dispatcher(
            term=term,
            queue=stores.queue,
            connections=connections,
            run=lambda attempt: (operator if attempt.job.effect else runner).run(attempt),
            signals=parts.signals,
            limits=parts.limits,
            rescan=chores.ask,
            emit=emit,
        )
        return dispatcher, chores

    # -- threads -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            stores = self._parts.stores
            self._parts.prepare()
            rescuer.raise_fence(stores, self._term, self._emit)
            self._notes = rescuer.take_over(
                stores, self._connections, self._term, self._parts.replica, self._publisher, self._emit
            )
            for keeper in self._keepers:
                keeper.start()
            self._dispatcher.run()
        except LeadershipLost as error:
            if self._term.number == 0:
                # Refused at the fence: trying again at once would be refused the same way.
                self._fail(EventKind.TERM_REFUSED, str(error))
            self._term.end(str(error))
        except (StoreError, ConfigError) as error:
            refused = self._term.number == 0
            self._fail(EventKind.TERM_REFUSED if refused else EventKind.SERVICE_FAILED, str(error))
        except Exception as error:  # noqa: BLE001 - last resort: a bug must end the term, not leave it without services
            self._fail(EventKind.SERVICE_FAILED, f"{type(error).__name__}: {error}")
        finally:
            if self._failure is not None or self._term.is_over():
                # Release only after all guarded work has stopped: nobody resigns before `finished`.
                self._term.end(self._failure or DEADLINE_PASSED)
                self._cut()
                self._dispatcher.join(END_PATIENCE)
            self._finished.set()
            self._on_finished()

    def _fail(self, kind: EventKind, why: str) -> None:
        self._failure = why
        self._emit(Event(kind, {"term": self._term.number, "token": self._term.token, "error": why}))

    def _watch(self) -> None:
        while not self._term.is_over() and not self._finished.is_set():
            self._term.over.wait(max(0.01, self._term.trusted_until - self._term.elapsed()))
        if self._term.is_over():
            self._term.end(DEADLINE_PASSED)
            self._cut()

    def _cut(self) -> None:
        """Make every blocked call of this term return: requests, transactions, waits."""
        self._connections.abort()
        self._parts.upkeep.interrupt()
        self._stop_beside()
        self._dispatcher.drain()

    def _stop_beside(self) -> None:
        for each in self._beside:
            each.stop()
