"""Claims due jobs for one term and keeps as many attempts running as the limits allow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.engine.ahead import MOST_STRANDS, Ahead
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.engine.attempts import UNRECORDED, Attempts, Running
from leaderjobs.engine.limiter import Limiter, Limits
from leaderjobs.engine.signals import Signals
from leaderjobs.errors import FencedOut, LeadershipLost, StoreError, StoreUnavailable
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Completed, Hold, Outcome
from leaderjobs.model.signal import Signal, SignalKind
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.queue import ClaimedRow, Ended, Found, Queue

LOOK_EVERY = 1.0
"""Seconds between two looks at what a signal should have told (a pooler may swallow them)."""
MOST_LOOKED_AT = 1_000
"""Strands that are read again at such a look; where there are more they take turns."""
PAUSED_EVERY = 0.05
"""Seconds between two looks at a term that is paused."""
MOST_ENDS = 512
"""Attempts whose end is recorded in one transaction."""
LEAST_WAIT = 0.001
GONE = "gone"
"""What is said of a job that is not in the table any more."""
STORE_PATIENCE = 10.0
"""Seconds without Postgres after which a leader resigns: perhaps another member still reaches it."""
_STORE_RETRY = Backoff(first=timedelta(milliseconds=50), most=timedelta(seconds=1))


class Dispatcher:
    """One loop on the term's thread, which takes *turns*; the attempts run on a pool of threads meanwhile.

    A turn is one transaction in one round trip: it records what has ended, claims what may start, and reads
    ahead what comes after. Under load turns follow one another and become as large as what happened during
    the one before, like a group commit; in an idle queue a job costs one reading and one turn before it runs.
    """

    def __init__(
        self,
        *,
        term: Term,
        queue: Queue,
        connections: TermConnections,
        run: Callable[[Attempt], Outcome],
        signals: Signals,
        limits: Callable[[], Limits],
        rescan: Callable[[], None],
        emit: Emit,
    ) -> None:
        """Nothing is claimed before `run`. `limits` is asked now and then; `rescan` asks for a `found`."""
        self._term = term
        self._queue = queue
        self._connections = connections
        self._signals = signals
        self._current_limits = limits
        self._ask_rescan = rescan
        self._emit = emit
        self._limits = limits()
        self._limiter = Limiter(self._limits, clock.elapsed)
        self._ahead = Ahead(self._limiter.line_up)
        self._attempts = Attempts(
            term=term, run=run, most=self._limits.concurrency, over=self._ring, emit=emit
        )
        self._bell = threading.Event()
        self._asleep = self._rung = False
        self._draining = False
        # What other threads have said, until the loop comes to it.
        self._said = threading.Lock()
        self._due: dict[tuple[str, int], datetime] = {}
        self._found: Sequence[Found] | None = None
        self._look_at = 0.0
        self._cancelling = False
        # What the next turn records and claims; kept where a turn was not acknowledged, and sent again.
        self._ends: list[Running] = []
        self._mended: set[str] = set()
        self._wanted: list[Running] = []
        self._begun = False

    def run(self) -> None:
        """Dispatch until drained or the term is over; StoreUnavailable when Postgres stays away too long."""
        unsubscribe = self._signals.subscribe(self._hear)
        unavailable_since: float | None = None
        failures = 0
        try:
            while not self._term.is_over() and not self._drained():
                try:
                    wait = self._step()
                    unavailable_since, failures = None, 0
                except StoreUnavailable as error:
                    failures += 1
                    unavailable_since = unavailable_since or clock.elapsed()
                    if clock.elapsed() - unavailable_since > STORE_PATIENCE:
                        raise
                    self._emit(Event(EventKind.STORE_UNAVAILABLE, {"error": str(error)}))
                    self._term.over.wait(_STORE_RETRY.delay(failures).total_seconds())
                    continue
                self._sleep(wait)
        except LeadershipLost as error:
            # The drain timeout cuts the connections off: what is not recorded by then is left running.
            if not self._draining or isinstance(error, FencedOut):
                raise
        finally:
            unsubscribe()
            for running in self._ends:
                self._attempts.recorded(running, UNRECORDED)
            self._attempts.close()

    def drain(self) -> None:
        """Claim nothing more; every attempt stops between two pages and is given back. Any thread."""
        self._draining = True
        self._attempts.stop(Stop.DRAIN)
        self._ring()

    def join(self, seconds: float) -> bool:
        """Wait for the attempts to end, after `run`; False when some did not."""
        return self._attempts.join(seconds)

    def found(self, strands: Sequence[Found]) -> None:
        """What a rescan has found; any thread."""
        with self._said:
            self._found = strands
        self._ring()

    # -- the loop ------------------------------------------------------------------------------------------

    def _step(self) -> float:
        """Do what there is to do now; the seconds until there may be more."""
        if not self._begun:
            self._limiter.set_holds(self._queue.holds())
            self._ahead.found(self._queue.strands(MOST_STRANDS), clock.elapsed())
        self._take_in()
        now = clock.elapsed()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look()
        elif self._cancelling:
            self._cancel()
        waits = [
            self._look_at,
            self._ahead.pass_time(now),
            self._limiter.pass_time(),
            self._attempts.pass_time(now),
        ]
        busy = self._turn()
        if not self._begun:
            # Only now: listening must not compete with the first claim of a take-over.
            self._begun = True
            self._signals.listen(self._term)
        if busy:
            return 0.0
        paused = not self._draining and not self._term.may_start()
        until = min(wait for wait in waits if wait is not None) - now
        return min(PAUSED_EVERY, until) if paused else max(LEAST_WAIT, until)

    def _turn(self) -> bool:
        """Record, claim, read on and start; whether there was anything to do."""
        self._take_ends()
        may_start = self._term.may_start() and not self._draining
        if may_start:
            self._choose()
        # A claim that was not acknowledged may stand: it is sent again also to be given back.
        wanted = self._wanted if may_start or self._draining else []
        readings, each = self._ahead.readings() if may_start else ((), 1)
        busy = bool(self._ends or wanted or readings)
        try:
            if self._ends or wanted:
                turned = self._queue.turn(
                    self._connections,
                    self._term,
                    self._ends,
                    [running.id for running in wanted],
                    readings,
                    each=each,
                    mended=self._mended,
                )
                self._after_ends(turned.ended)
                self._after_claim(wanted, turned.claimed)
                self._ahead.came(turned.read, clock.elapsed())
            elif readings:
                self._ahead.came(self._queue.read(readings, each), clock.elapsed())
        except StoreError as error:
            self._ahead.not_read()
            if isinstance(error, StoreUnavailable) or not self._ends:
                raise
            self._record_singly()
        return busy

    def _take_ends(self) -> None:
        """What is over makes room for others at once: it is recorded in the transaction that claims them."""
        over = self._attempts.finished(MOST_ENDS - len(self._ends))
        held = self._limiter.held
        for running in over:
            connection, _, operation = running.key
            self._limiter.end(connection, operation=operation)
            if held and connection in held and isinstance(running.outcome, Completed):
                self._limiter.release(connection)
                self._mended.add(connection)
        for running in over:
            if isinstance(running.outcome, Hold):
                self._limiter.hold(running.key[0], running.outcome.delay.total_seconds())
        self._ends += over

    def _choose(self) -> None:
        while (strand := self._limiter.next()) is not None:
            place = self._ahead.taken(strand)
            self._limiter.line_up(strand)
            if place[1] in self._attempts:
                self._limiter.end(strand.connection, operation=strand.operations)
            else:
                self._wanted.append(self._attempts.take(place[1], strand.key))

    def _after_ends(self, ended: Mapping[int, Ended]) -> None:
        ends, self._ends = self._ends, []
        self._mended.clear()
        for running in ends:
            found = ended.get(running.id)
            self._attempts.recorded(running, GONE if found is None else found.state.value)
            if found is not None and found.due is not None:
                self._ahead.again(running.key, (found.due, running.id))

    def _after_claim(self, wanted: Sequence[Running], claimed: Sequence[ClaimedRow]) -> None:
        rows = {row[0]: row for row in claimed}
        begun: list[Running] = []
        for running in wanted:
            row = rows.get(running.id)
            if row is not None:
                running.row = row
                begun.append(running)
            else:
                # Cancelled, put off or claimed by nobody we know: whoever did it has told, or a rescan will.
                self._limiter.end(running.key[0], operation=running.key[2])
                self._attempts.drop(running)
        if wanted is self._wanted:
            self._wanted = []
        if begun:
            self._attempts.begin(begun)

    def _record_singly(self) -> None:
        """Something in the ends is refused: it must not keep the others from being recorded."""
        while self._ends:
            running = self._ends[0]
            try:
                turned = self._queue.turn(
                    self._connections, self._term, [running], mended=self._mended
                )
                state = turned.ended[running.id].state.value if running.id in turned.ended else GONE
            except StoreUnavailable:
                raise
            except StoreError as error:
                facts = {"job": running.id, "error": str(error)}
                self._emit(Event(EventKind.SERVICE_FAILED, facts))
                state = "not recorded"
            self._attempts.recorded(self._ends.pop(0), state)
        self._ask_rescan()

    # -- what others say -----------------------------------------------------------------------------------

    def _hear(self, signal: Signal) -> None:
        match signal:
            case Signal(SignalKind.DUE, connection, priority, at) if at is not None:
                key = (connection, priority)
                with self._said:
                    full = len(self._due) >= MOST_STRANDS and key not in self._due
                    if not full:
                        self._due[key] = min(at, self._due.get(key, at))
                if full:
                    self._ask_rescan()
            case Signal(SignalKind.RESCAN):
                self._look_at = 0.0
                self._ask_rescan()
            case Signal(SignalKind.CANCEL):
                self._cancelling = True
            case _:
                return
        self._ring()

    def _take_in(self) -> None:
        with self._said:
            due, self._due = self._due, {}
            found, self._found = self._found, None
        for (connection, priority), at in due.items():
            self._ahead.heard(connection, priority, at)
        if found is not None:
            self._ahead.found(found, clock.elapsed())

    def _look(self) -> None:
        """See for ourselves what signals may have told."""
        limits = self._current_limits()
        if limits is not self._limits:
            self._limits = limits
            self._limiter.configure(limits)
        if not self._ends:
            # A hold that is not recorded yet would seem to be over.
            self._limiter.set_holds(self._queue.holds())
        self._ahead.look_again(MOST_LOOKED_AT)
        self._cancel()

    def _cancel(self) -> None:
        self._cancelling = False
        running = self._attempts.ids()
        if running:
            self._attempts.cancel(self._queue.cancelled(running))

    # -- sleeping ------------------------------------------------------------------------------------------

    def _drained(self) -> bool:
        return self._draining and not len(self._attempts)

    def _ring(self) -> None:
        self._rung = True
        if self._asleep:
            self._bell.set()

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._bell.clear()
            self._asleep = True
            if not self._rung:
                self._bell.wait(seconds)
            self._asleep = False
        self._rung = False
