"""Claims due jobs for one term and keeps as many attempts running as the limits allow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.engine.ahead import MOST_STRANDS, Ahead, Asked
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.engine.attempts import UNRECORDED, Attempts, Running
from leaderjobs.engine.carrier import Carrier, Turn
from leaderjobs.engine.limiter import Limiter, Limits
from leaderjobs.engine.signals import Signals
from leaderjobs.errors import FencedOut, LeadershipLost, StoreError, StoreUnavailable
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Completed, Hold, Outcome
from leaderjobs.model.signal import Signal, SignalKind
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.queue import ClaimedRow, Ended, Found, Queue, Turned

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
    the one before, like a group commit, and the next one is made ready while one is in the database; in an
    idle queue a job costs one reading and one turn before it runs.
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
        # What the next turn records and claims; what a turn that was not acknowledged had is in it again.
        self._next = Turn()
        self._carrier = Carrier(queue, connections, term)
        self._flight: tuple[Turn, Future[Turned]] | None = None
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
            self._carrier.close()
            for turn in self._turns():
                for running in turn.ends:
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
        """Record, claim, read on and start; whether there was anything to do.

        Large turns overlap: the next one is made ready while one is in the database, and leaves before the
        answer to that one is looked at. They have no job in common. (Two in the database were no faster.)
        """
        self._take_ends()
        may_start = self._term.may_start() and not self._draining
        if may_start:
            self._choose()
        turn = self._made_ready(may_start=may_start)
        if self._flight is not None:
            return self._land_flight(*self._flight, turn, then_send=turn.large)
        if turn.large:
            self._take_off(turn)
            return True
        if not turn:
            return False
        try:
            self._land(turn, self._carrier.carry(turn))
        except StoreError as error:
            self._put_back(turn)
            self._bear(error)
        return True

    def _land_flight(self, under_way: Turn, answer: Future[Turned], turn: Turn, *, then_send: bool) -> bool:
        """Wait for the turn under way; `turn` leaves before the answer is looked at, or grows."""
        self._flight = None
        if not then_send:
            self._put_back(turn)
        try:
            turned = answer.result()
        except BaseException as error:
            if then_send:
                self._put_back(turn)
            self._put_back(under_way)
            if not isinstance(error, StoreError):
                raise
            self._bear(error)
            return True
        if then_send:
            self._take_off(turn)
        self._land(under_way, turned)
        return True

    def _take_off(self, turn: Turn) -> None:
        self._flight = (turn, self._carrier.send(turn))

    def _made_ready(self, *, may_start: bool) -> Turn:
        """The next turn; what it leaves stays for the one after."""
        # A claim that was not acknowledged may stand: it is sent again also to be given back.
        wanted = self._next.wanted if may_start or self._draining else []
        asked = self._ahead.readings() if may_start else Asked()
        turn = Turn(self._next.ends, wanted, self._next.mended, asked)
        self._next = Turn() if wanted else Turn(wanted=self._next.wanted)
        return turn

    def _land(self, turn: Turn, turned: Turned) -> None:
        """Take in the answer to a turn."""
        self._after_ends(turn.ends, turned.ended)
        self._after_claim(turn.wanted, turned.claimed)
        self._ahead.came(turn.asked, turned.read, clock.elapsed())

    def _put_back(self, turn: Turn) -> None:
        """A turn has got no answer, or was not sent: everything of it comes again."""
        self._ahead.not_read(turn.asked)
        self._next = turn.before(self._next)

    def _bear(self, error: StoreError) -> None:
        """Go on after an error of a turn where it is about one of its ends; else raise it."""
        if isinstance(error, StoreUnavailable) or not self._next.ends:
            raise error
        self._record_singly()

    def _take_ends(self) -> None:
        """What is over makes room for others at once: it is recorded in the transaction that claims them."""
        over = self._attempts.finished(MOST_ENDS - len(self._next.ends))
        held = self._limiter.held
        for running in over:
            connection, _, operation = running.key
            self._limiter.end(connection, operation=operation)
            if held and connection in held and isinstance(running.outcome, Completed):
                self._limiter.release(connection)
                self._next.mended.add(connection)
        for running in over:
            if isinstance(running.outcome, Hold):
                self._limiter.hold(running.key[0], running.outcome.delay.total_seconds())
        self._next.ends += over

    def _choose(self) -> None:
        while (strand := self._limiter.next()) is not None:
            place = self._ahead.taken(strand)
            self._limiter.line_up(strand)
            if place[1] in self._attempts:
                self._limiter.end(strand.connection, operation=strand.operations)
            else:
                self._next.wanted.append(self._attempts.take(place[1], strand.key))

    def _after_ends(self, ends: Sequence[Running], ended: Mapping[int, Ended]) -> None:
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
        if begun:
            self._attempts.begin(begun)

    def _record_singly(self) -> None:
        """Something in the ends is refused: it must not keep the others from being recorded."""
        ends, self._next.ends = self._next.ends, []
        while ends:
            running = ends[0]
            alone = Turn([running], mended=self._next.mended)
            try:
                ended = self._carrier.carry(alone).ended
                state = ended[running.id].state.value if running.id in ended else GONE
            except StoreUnavailable:
                self._next.ends = ends
                raise
            except StoreError as error:
                facts = {"job": running.id, "error": str(error)}
                self._emit(Event(EventKind.SERVICE_FAILED, facts))
                state = "not recorded"
            self._attempts.recorded(ends.pop(0), state)
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
        if not self._changes_holds():
            self._limiter.set_holds(self._queue.holds())
        self._ahead.look_again(MOST_LOOKED_AT)
        self._cancel()

    def _changes_holds(self) -> bool:
        """Whether the database does not know yet of a hold that began or ended."""
        return any(
            turn.mended or any(isinstance(running.outcome, Hold) for running in turn.ends)
            for turn in self._turns()
        )

    def _turns(self) -> list[Turn]:
        """What is not known to be recorded."""
        return [self._next] if self._flight is None else [self._next, self._flight[0]]

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
