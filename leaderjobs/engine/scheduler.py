"""Fires schedules while a term lasts: publishes those of the file, waits for the next due one, decides.

What is due is told by the database's clock: every reading brings it along, and in between the time since the
reading is measured on our own monotonic clock. A member whose clock is wrong, or jumps, fires in time.

Nothing of a schedule is kept here but what a reading brought: who comes next reads the same, and goes on from
`decided_until`. The loop reads when a signal or a reload says so, when a fire time is due, and every
POLL_EVERY whatever happens.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.cron import Decided as Due
from leaderjobs.cron import Expression, decide, jitter
from leaderjobs.engine.firing import Configured, Wishes
from leaderjobs.errors import LeadershipLost, Refused, StoreError, StoreUnavailable, UsageError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.schedule import FireOutcome, Schedule, Source
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.schedules import PAUSED_BY, Decided, Decision, Reading, Ruled, Ruling, Schedules

POLL_EVERY = 1.0
"""Seconds between two readings when nobody says that something has changed: a signal may be lost."""
SOON = 0.02
"""Seconds before a schedule is looked at again that was changed, or early, when it was decided."""
PAUSED_EVERY = 0.1
"""Seconds between two looks at whether the term may start something again."""
MOST_AT_ONCE = 100
"""Fire times that one transaction decides."""
PRUNE_EVERY = 600.0
MOST_PRUNED = 5000
"""Fires that are deleted every PRUNE_EVERY: three schedules of every minute make less."""
_RETRY = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=5))

Subscribe: TypeAlias = Callable[[Callable[[object], None]], Callable[[], None]]
"""Be told of changes, on any thread; what comes back ends that."""


class Scheduler:
    """A `Beside` of one term; see the module's docstring."""

    name = "scheduler"

    def __init__(
        self,
        *,
        term: Term,
        connections: TermConnections,
        schedules: Schedules,
        wishes: Wishes,
        current: Callable[[], Configured],
        subscribe: Sequence[Subscribe],
        emit: Emit,
    ) -> None:
        """Nothing happens before `run`, which closes `wishes`; `current` gives a new one after a change."""
        self._term = term
        self._connections = connections
        self._schedules = schedules
        self._wishes = wishes
        self._current = current
        self._subscribe = subscribe
        self._emit = emit
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._published: Configured | None = None
        self._taken: frozenset[str] = frozenset()
        self._next: dict[str, tuple[int, datetime, datetime | None]] = {}
        """By name: version, decided_until, and the first fire time after it."""
        self._put_off: dict[str, float] = {}
        """By name: until when it is left alone, on the deadline clock."""
        self._unreadable: dict[str, int] = {}
        """By name: the version that this program cannot read."""
        self._paused: frozenset[str] | None = None
        self._prune_at = clock.elapsed() + PRUNE_EVERY

    def run(self) -> None:
        """Fire until the term is over or `stop` was called; raises nothing."""
        ends = [subscribe(lambda _change: self._wake.set()) for subscribe in self._subscribe]
        failures = 0
        try:
            while not self._stopping.is_set() and not self._term.is_over():
                self._wake.clear()
                try:
                    wait = self._turn() if self._term.may_start() else PAUSED_EVERY
                    failures = 0
                except LeadershipLost:
                    return
                except Exception as error:  # noqa: BLE001 - no mistake in one schedule may end all of them
                    failures += 1
                    self._failed(error)
                    wait = _RETRY.delay(failures).total_seconds()
                if not self._stopping.is_set():
                    self._wake.wait(wait)
        finally:
            for end in ends:
                end()
            self._wishes.close()

    def stop(self) -> None:
        """Decide nothing more, and come back from `run` soon; any thread, more than once."""
        self._stopping.set()
        self._wake.set()

    # -- one turn ------------------------------------------------------------------------------------------

    def _turn(self) -> float:
        """Decide what is due; the seconds until there may be more."""
        self._publish()
        self._prune()
        reading = self._schedules.read()
        read_at = clock.elapsed()
        names = {schedule.spec.name for schedule in reading.schedules}
        self._note(reading, names)
        wait = POLL_EVERY
        failed: StoreError | None = None
        for schedule in reading.schedules:
            if self._stopping.is_set():
                return 0.0
            now = reading.now + timedelta(seconds=clock.elapsed() - read_at)
            try:
                wait = min(wait, self._look(schedule, now))
            except StoreError as error:
                # One schedule's jobs may be locked for long; where another fails as well, it is the database.
                if failed is not None:
                    raise
                failed = error
                self._failed(error)
                self._leave(schedule, POLL_EVERY)
        passed = clock.elapsed() - read_at
        return 0.0 if self._published is None else max(0.0, min(wait, POLL_EVERY - passed))

    def _publish(self) -> None:
        wanted = self._current()
        if wanted is self._published:
            return
        self._wishes.forget()
        done = self._schedules.publish(self._connections, self._term, wanted.schedules)
        self._published = wanted
        for name in frozenset(done.taken) - self._taken:
            self._failed(
                Refused(
                    f"schedule {name} of the configuration is left out: somebody has added one of that name; "
                    f"rename it, or: leaderjobs schedules remove {name}"
                )
            )
        self._taken = frozenset(done.taken)

    def _prune(self) -> None:
        if clock.elapsed() >= self._prune_at:
            self._schedules.prune(self._connections, self._term, MOST_PRUNED)
            self._prune_at = clock.elapsed() + PRUNE_EVERY

    def _note(self, reading: Reading, names: set[str]) -> None:
        """Forget what is gone, publish again what was in the way, and tell of what a failure has paused."""
        persons = {each.spec.name for each in reading.schedules if each.source is Source.PERSON}
        if not self._taken <= persons:
            self._published = None
        for kept in (self._next, self._put_off, self._unreadable):
            for name in kept.keys() - names:
                del kept[name]
        paused = {each.spec.name: each for each in reading.schedules if each.paused_by == PAUSED_BY}
        for name in paused.keys() - (paused.keys() if self._paused is None else self._paused):
            facts = {"schedule": name, "reason": paused[name].paused_reason}
            self._emit(Event(EventKind.SCHEDULE_PAUSED, facts))
        self._paused = frozenset(paused)

    # -- one schedule --------------------------------------------------------------------------------------

    def _look(self, schedule: Schedule, now: datetime) -> float:
        """Decide what is due of one schedule; the seconds until there may be more of it."""
        name = schedule.spec.name
        left = self._put_off.get(name, 0.0) - clock.elapsed()
        if schedule.paused_at is not None or left > 0:
            return POLL_EVERY if left <= 0 else left
        known = self._next.get(name)
        stored = (schedule.version, schedule.decided_until)
        if known is None or known[:2] != stored or (known[2] is not None and known[2] <= now):
            due = self._due(schedule, now)
            if due is None:
                return POLL_EVERY
            if due.fires:
                return self._decide(schedule, due)
            known = self._next[name] = (*stored, due.next)
        return POLL_EVERY if known[2] is None else (known[2] - now).total_seconds()

    def _due(self, schedule: Schedule, now: datetime) -> Due | None:
        """What is due; None where this program cannot read the schedule, which is told once."""
        spec = schedule.spec
        try:
            expression = Expression.of(spec, self._term.cluster)
        except ValueError as error:
            if self._unreadable.get(spec.name) != schedule.version:
                self._unreadable[spec.name] = schedule.version
                self._failed(Refused(f"schedule {spec.name} cannot be read here: {error}"))
            return None
        return decide(spec, expression, schedule.decided_until, now, MOST_AT_ONCE)

    def _decide(self, schedule: Schedule, due: Due) -> float:
        """Store what is due; the seconds until the schedule is worth another look."""
        rulings = [self._ruling(schedule, each.fire_time, each.outcome, each.reason) for each in due.fires]
        uncounted = due.missed - sum(ruling.outcome is FireOutcome.MISSED for ruling in rulings)
        try:
            decided = self._store(schedule, rulings, due, uncounted)
        except StoreError as error:
            if type(error) not in {StoreError, Refused}:
                raise
            # Postgres takes no such wish: the same would happen again.
            decided = self._store(schedule, _refused(rulings, error), due, uncounted)
        if decided.decision is not Decision.DECIDED:
            return SOON
        self._tell(schedule, decided.fires, uncounted)
        if len(decided.fires) < len(rulings):
            # The rest waits for room in the queue, which only the end of a job makes.
            self._leave(schedule, POLL_EVERY)
            return POLL_EVERY
        self._next[schedule.spec.name] = (schedule.version, due.until, due.next)
        return 0.0

    def _store(self, schedule: Schedule, rulings: Sequence[Ruling], due: Due, uncounted: int) -> Decided:
        return self._schedules.decide(self._connections, self._term, schedule, rulings, due.until, uncounted)

    def _ruling(self, schedule: Schedule, fire_time: datetime, outcome: FireOutcome, reason: str) -> Ruling:
        if outcome is not FireOutcome.ENQUEUED:
            return Ruling(fire_time, outcome, reason)
        spec = schedule.spec
        try:
            wish = self._wishes.make(spec, fire_time)
        except UsageError as error:
            return Ruling(fire_time, FireOutcome.REFUSED, str(error))
        return Ruling(fire_time, outcome, reason, fire_time + jitter(spec, fire_time), wish)

    def _leave(self, schedule: Schedule, seconds: float) -> None:
        self._put_off[schedule.spec.name] = clock.elapsed() + seconds

    # -- what people are told ------------------------------------------------------------------------------

    def _tell(self, schedule: Schedule, fires: Sequence[Ruled], uncounted: int) -> None:
        """One event for each fire, one for all missed ones together."""
        name = schedule.spec.name
        missed = Counter(fire.outcome for fire in fires)[FireOutcome.MISSED] + uncounted
        if missed:
            facts = {"schedule": name, "outcome": FireOutcome.MISSED.value, "fires": missed}
            self._emit(Event(EventKind.SCHEDULE_SKIPPED, facts))
        for fire in fires:
            facts = {"schedule": name, "fire_time": fire.fire_time.isoformat()}
            if fire.outcome is FireOutcome.ENQUEUED:
                self._emit(Event(EventKind.SCHEDULE_FIRED, {**facts, "job": fire.job}))
            elif fire.outcome not in {None, FireOutcome.MISSED}:
                why = {"outcome": str(fire.outcome), "reason": fire.reason}
                self._emit(Event(EventKind.SCHEDULE_SKIPPED, {**facts, **why}))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, StoreUnavailable):
            self._emit(Event(EventKind.STORE_UNAVAILABLE, {"error": str(error)}))
            return
        shown = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        self._emit(Event(EventKind.SERVICE_FAILED, {"service": self.name, "error": shown}))


def _refused(rulings: Sequence[Ruling], error: Exception) -> list[Ruling]:
    return [
        Ruling(ruling.fire_time, FireOutcome.REFUSED, str(error))
        if ruling.outcome is FireOutcome.ENQUEUED
        else ruling
        for ruling in rulings
    ]
