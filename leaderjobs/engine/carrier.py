"""Turns of the queue on their way to the database and back."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from leaderjobs.engine.ahead import Asked
from leaderjobs.engine.attempts import Running
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.queue import Queue, Turned

LEAST_SENT = 16
"""Ends and claims that are worth the carrier's thread; a smaller turn is over before it would have begun."""


@dataclass(slots=True)
class Turn:
    """What one transaction records, claims and reads."""

    ends: list[Running] = field(default_factory=list)
    wanted: list[Running] = field(default_factory=list)
    mended: set[str] = field(default_factory=set)
    """Connections whose hold is over, because a job of theirs was completed."""
    asked: Asked = field(default_factory=Asked)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.ends or self.wanted or self.asked.readings)

    @property
    def large(self) -> bool:
        """Whether it is worth a thread."""
        return len(self.ends) + len(self.wanted) >= LEAST_SENT

    def before(self, later: Turn) -> Turn:
        """Both in one; readings are asked for anew."""
        return Turn(self.ends + later.ends, self.wanted + later.wanted, self.mended | later.mended)


class Carrier:
    """Takes turns to the database for one term. One thread calls; errors as `Queue.turn`."""

    def __init__(self, queue: Queue, connections: TermConnections, term: Term) -> None:
        """No thread runs before the first large turn."""
        self._queue = queue
        self._connections = connections
        self._term = term
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turns")

    def send(self, turn: Turn) -> Future[Turned]:
        """Carry it on another thread; one at a time is on its way, the next one waits here."""
        return self._thread.submit(self.carry, turn)

    def carry(self, turn: Turn) -> Turned:
        """What came of it."""
        asked = turn.asked
        if not turn.ends and not turn.wanted:
            return Turned({}, (), self._queue.read(asked.readings, asked.each))
        return self._queue.turn(
            self._connections,
            self._term,
            turn.ends,
            [running.id for running in turn.wanted],
            asked.readings,
            each=asked.each,
            mended=turn.mended,
        )

    def close(self) -> None:
        """Carry nothing more; what is on its way is not waited for."""
        self._thread.shutdown(wait=False)
