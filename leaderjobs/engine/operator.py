"""One attempt at an operation: what the ledger allows, one step after another, until it ends or must wait.

The operator decides nothing itself: `model.settle.next_step` does, from the ledger and what a look-up found.
It keeps the order that makes the ledger true (stamp, send, record), and starts a send only while the term
can vouch for it: sure of its session, and trusted for as long as the call may take. A process may still be
paused between the last check and the socket; that send then goes out late, and is why every send of an
effect is the same request under the same key.

A send that is out is never cut off, not by draining, by a time limit, by a person who cancels nor by the
end of the term: its answer is worth more than the time it takes, and recording it needs no term. Look-ups
are cut off like reads.
"""

from __future__ import annotations

import dataclasses
import threading
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from leaderjobs import __version__, clock
from leaderjobs.backoff import Backoff
from leaderjobs.connectors.base import Connector, Operation
from leaderjobs.connectors.outcome import NOT_SENT, Answer
from leaderjobs.connectors.pacing import RATE_LIMITED
from leaderjobs.engine.attempt import Attempt
from leaderjobs.engine.retrying import (
    LONGEST_RETRY_AFTER,
    PROBE_HOLD_EVERY,
    REFUSALS,
    TROUBLE,
    Refusals,
    operator_outcome,
)
from leaderjobs.engine.runner import MakeConnector
from leaderjobs.engine.send_channel import SendChannel
from leaderjobs.engine.stores import Stores
from leaderjobs.errors import (
    ConfigError,
    Interrupted,
    LeaderJobsError,
    LeadershipLost,
    NeedsUser,
    RateLimited,
    StoreUnavailable,
    TransientError,
)
from leaderjobs.model.effect import Effect, EffectState, Request, Send, Told, Verdict
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.job import Cancelled, Completed, Discard, GiveBack, Hold, Outcome, Postpone, Uncertain
from leaderjobs.model.settle import Basis, LookUp, SendNow, Settle, Wait, next_step
from leaderjobs.model.term import TRUST_SHARE, Term
from leaderjobs.store.pool import TermConnections

SENDS = Backoff(first=timedelta(seconds=1), most=timedelta(minutes=30))
"""Between two sends of one effect."""
MOST_LOOKS = 3
"""Look-ups made in a row before no answer is taken for an answer."""
MOST_STEPS = 50
"""Of one attempt; what is not settled then goes on in another."""
FIRST_LOOK_AGAIN = timedelta(seconds=1)
LAST_LOOK_AGAIN = timedelta(minutes=10)
FIRST_LOOK_AT_UNCERTAIN = timedelta(seconds=15)
LAST_LOOK_AT_UNCERTAIN = timedelta(hours=6)
RECORD_PATIENCE = 60.0
"""Seconds that a thread which holds evidence waits for Postgres, whoever leads by then."""
ROOM_EVERY = timedelta(milliseconds=20)
TOO_MANY_REQUESTS = 429
LEAST_ROOM_BEATS = 2
"""Heartbeats that may be missing before a call's time does not fit into the term any more."""
_LOOK_RETRY = Backoff(first=timedelta(milliseconds=200), most=timedelta(seconds=2))
_RECORD_RETRY = Backoff(first=timedelta(milliseconds=50), most=timedelta(seconds=1))


class Errand(NamedTuple):
    """One attempt, and what it works with."""

    attempt: Attempt
    connector: Connector
    operation: Operation


class Operator:
    """Runs attempts at operations, each on the thread that calls `run`."""

    def __init__(
        self,
        *,
        stores: Stores,
        connections: TermConnections,
        make_connector: MakeConnector,
        emit: Emit,
    ) -> None:
        """One operator serves all attempts of one term."""
        self._effects = stores.effects
        self._connections = connections
        self._make_connector = make_connector
        self._emit = emit
        self._refusals = Refusals()

    def run(self, attempt: Attempt) -> Outcome:
        """How the attempt ended; raises nothing that belongs to the job, gives no effect up for an error."""
        job = attempt.job
        try:
            connector = self._make_connector(job.connection)
        except (TransientError, ConfigError) as error:
            return Postpone(TROUBLE.delay(1), str(error))
        try:
            return self._work(attempt, connector)
        except Exception as error:  # noqa: BLE001 - last resort: a bug in an operation costs time, not the term
            return operator_outcome(error, attempt, self._refusals)
        finally:
            connector.close()

    def _work(self, attempt: Attempt, connector: Connector) -> Outcome:
        if attempt.job.effect is None:
            raise AssertionError("a job without an effect is the runner's")
        effect, now = self._effects.load(attempt.job.effect)
        operation = _operation(connector, effect)
        errand = Errand(attempt, connector, operation)
        for _ in range(MOST_STEPS):
            found: Verdict | None = None
            step = next_step(effect, found, operation.rules, now)
            if isinstance(step, LookUp):
                found = self._look(errand, effect)
                step = next_step(effect, found, operation.rules, now)
            match step:
                case None:
                    return _ended(effect)
                case Settle() as end:
                    self._settle(attempt, effect, end, looked=found is not None)
                case SendNow(basis):
                    waits = self._send_if_due(errand, effect, basis, now)
                    if waits is not None:
                        return waits
                case Wait() | LookUp():
                    if found is not None:
                        self._effects.looked(effect)
                    return _later(effect, step.why if isinstance(step, Wait) else "", now)
            effect, now = self._effects.load(effect.id)
        return GiveBack()

    # -- looking -------------------------------------------------------------------------------------------

    def _look(self, errand: Errand, effect: Effect) -> Verdict:
        """What the provider shows; UNAVAILABLE when it could not be asked a few times in a row."""
        attempt, connector, operation = errand
        attempt.check()

        def ask(request: Request) -> Answer:
            connector.pace.take(attempt)
            answer = connector.exchange(request, timeout=operation.timeout, guard=attempt.check)
            if answer.status == TOO_MANY_REQUESTS:
                connector.pace.hold(answer.retry_after)
            return answer

        said = ""
        for look in range(1, MOST_LOOKS + 1):
            attempt.holds(connector)
            try:
                found = operation.look_up(effect, ask)
            except RateLimited:
                raise
            except TransientError as error:
                said = str(error)
            else:
                if found.hold:
                    raise NeedsUser(found.message, code=found.code)
                if found.status == TOO_MANY_REQUESTS:
                    raise RateLimited(found.message, retry_after=found.retry_after)
                return found
            finally:
                attempt.holds(None)
            if look < MOST_LOOKS:
                attempt.wait(_LOOK_RETRY.delay(look))
        return Verdict(Told.UNAVAILABLE, message=said)

    # -- sending -------------------------------------------------------------------------------------------

    def _send_if_due(self, errand: Errand, effect: Effect, basis: Basis, now: datetime) -> Outcome | None:
        """Send, unless the last send is too recent; None when there is more to do at once."""
        pause = _pause(effect, now)
        if pause is not None:
            return Postpone(pause, _last_words(effect), effect.version)
        verdict = self._send(errand, effect, basis)
        if verdict.hold:
            return Hold(PROBE_HOLD_EVERY, verdict.code, verdict.message)
        if verdict.status != TOO_MANY_REQUESTS:
            self._refusals.over(effect.connection)
            return None
        errand.connector.pace.hold(verdict.retry_after)
        delay = verdict.retry_after or REFUSALS.delay(self._refusals.again(effect.connection))
        message = verdict.message or verdict.code
        return Hold(min(delay, LONGEST_RETRY_AFTER), RATE_LIMITED, message, person=False)

    def _send(self, errand: Errand, effect: Effect, basis: Basis) -> Verdict:
        """Stamp, send, record; in this order, and the record whatever happened."""
        attempt, connector, operation = errand
        term = attempt.term
        timeout = self._turn(errand)
        nonce = uuid.uuid4()
        try:
            stamp = self._effects.stamp(
                self._connections, term, effect, nonce, basis, operation.rules.replay_window
            )
        except (StoreUnavailable, LeadershipLost):
            # Perhaps it is written: then the ledger must not take it for a send that may have acted.
            self._record(effect, nonce, Verdict(Told.NOT_SENT, "not_stamped", "its stamp was not confirmed"))
            raise
        facts = {"effect": str(effect.id), "send": stamp.n, "term": term.number}
        self._emit(Event(EventKind.EFFECT_SENT, {**facts, "basis": basis.value}))
        timeout = min(timeout, timedelta(seconds=max(0.0, term.trusted_until - term.elapsed())))
        channel = SendChannel(attempt, connector, timeout, lambda: self._effects.may_leave(term, stamp))
        verdict = self._transmit(operation, _named(effect.request, term, stamp.n), channel)
        self._record(effect, nonce, verdict)
        self._emit(
            Event(EventKind.EFFECT_ANSWERED, {**facts, "told": verdict.told.value, "code": verdict.code})
        )
        return verdict

    def _turn(self, errand: Errand) -> timedelta:
        """Wait until the rates let a call out and the term can vouch for it: for how long it may take.

        Until both hold at once: turns that grew old while the term was waited for would leave together.
        """
        attempt, connector, operation = errand
        while True:
            attempt.check()
            self._room(attempt, operation.timeout)
            connector.pace.take(attempt)
            if (room := _room_now(attempt.term, operation.timeout)) is not None:
                return room

    @staticmethod
    def _room(attempt: Attempt, wanted: timedelta) -> timedelta:
        """Wait until the term can vouch for a call, and say for how long it may take.

        That is `wanted`, or as much as a term of this session timeout can ever vouch for.
        """
        while (room := _room_now(attempt.term, wanted)) is None:
            attempt.wait(ROOM_EVERY)
        return room

    @staticmethod
    def _transmit(operation: Operation, request: Request, channel: SendChannel) -> Verdict:
        """What became of the send; anything but a proof that nothing left counts as unknown."""
        try:
            answer = operation.transmit(request, channel)
        except Exception as error:  # noqa: BLE001 - also a bug in a user's operation must leave true evidence
            code = getattr(error, "code", "") or type(error).__name__
            said = str(error) if isinstance(error, LeaderJobsError) else type(error).__name__
            # Once the last look has said yes, no error is a proof that nothing left.
            proved = isinstance(error, ConfigError | Interrupted) or code == NOT_SENT
            if channel.refused or (proved and not channel.passed):
                return Verdict(Told.NOT_SENT, code, said, hold=isinstance(error, ConfigError))
            return Verdict(Told.UNKNOWN, code, said)
        try:
            return operation.classify(answer)
        except Exception as error:  # noqa: BLE001 - as above
            return Verdict(
                Told.UNKNOWN, "unclassified", f"{type(error).__name__} in classify", status=answer.status
            )

    def _record(self, effect: Effect, nonce: uuid.UUID, verdict: Verdict) -> None:
        """Write the evidence down, waiting for Postgres for a while; without it the send stays unknown."""
        deadline = clock.elapsed() + RECORD_PATIENCE
        failures = 0
        while True:
            try:
                self._effects.record(effect, nonce, verdict)
            except StoreUnavailable as error:
                failures += 1
                if clock.elapsed() >= deadline:
                    self._emit(
                        Event(EventKind.SERVICE_FAILED, {"effect": str(effect.id), "error": str(error)})
                    )
                    return
                threading.Event().wait(_RECORD_RETRY.delay(failures).total_seconds())
            else:
                return

    # -- ending --------------------------------------------------------------------------------------------

    def _settle(self, attempt: Attempt, effect: Effect, end: Settle, *, looked: bool) -> None:
        """Write the decision; where the ledger has moved on nothing happens, and it is decided anew."""
        if not self._effects.settle(self._connections, attempt.term, effect, end, looked=looked):
            return
        uncertain = end.state is EffectState.UNCERTAIN
        facts = {"effect": str(effect.id), "state": end.state.value, "code": end.code, "reason": end.reason}
        self._emit(Event(EventKind.EFFECT_UNCERTAIN if uncertain else EventKind.EFFECT_SETTLED, facts))


def _room_now(term: Term, wanted: timedelta) -> timedelta | None:
    """As much of `wanted` as the term vouches for; None when that is less than it ever could."""
    longest = term.session_timeout.total_seconds() * TRUST_SHARE - LEAST_ROOM_BEATS * term.beat_every
    trusted = term.trusted_until - term.elapsed()
    if not term.may_start() or trusted < min(wanted.total_seconds(), longest):
        return None
    return timedelta(seconds=min(wanted.total_seconds(), trusted))


def _operation(connector: Connector, effect: Effect) -> Operation:
    """TransientError for one that this member does not know: a newer configuration may be on its way."""
    found = connector.operations.get(effect.operation)
    if found is None:
        known = ", ".join(connector.operations) or "none"
        raise TransientError(
            f"connection {effect.connection} has no operation {effect.operation} in this member's "
            f"configuration; it has: {known}"
        )
    return found


def _named(request: Request, term: Term, n: int) -> Request:
    """The request, saying which term sends it and for which time: for whoever reads the provider's logs."""
    agent = f"leaderjobs/{__version__} (term {term.number}; send {n})"
    return dataclasses.replace(request, headers={**request.headers, "User-Agent": agent})


def _ended(effect: Effect) -> Outcome:
    """What an effect's end means for its job."""
    match effect.state:
        case EffectState.SUCCEEDED:
            return Completed()
        case EffectState.CANCELLED:
            return Cancelled()
        case _:
            return Discard(effect.reason or effect.code)


def _later(effect: Effect, why: str, now: datetime) -> Outcome:
    """Look again after a while that grows with the time already spent waiting."""
    if effect.state is EffectState.UNCERTAIN:
        waited = now - (effect.settled_at or effect.created_at)
        pause = _within(waited / 4, FIRST_LOOK_AT_UNCERTAIN, LAST_LOOK_AT_UNCERTAIN)
        return Uncertain(pause, why, effect.version)
    waited = now - (effect.first_sent_at or effect.created_at)
    return Postpone(_within(waited / 4, FIRST_LOOK_AGAIN, LAST_LOOK_AGAIN), why, effect.version)


def _within(value: timedelta, least: timedelta, most: timedelta) -> timedelta:
    return min(max(value, least), most)


def _pause(effect: Effect, now: datetime) -> timedelta | None:
    """How long to wait before the next send; None when it is due."""
    if not effect.sends:
        return None
    last: Send = effect.sends[-1]
    asked = last.verdict.retry_after if last.verdict and last.verdict.retry_after else timedelta(0)
    asked = min(asked, LONGEST_RETRY_AFTER)
    passed = now - (last.ended_at or last.sent_at)
    tries = len(effect.sends)
    if passed >= max(SENDS.shortest(tries), asked):
        return None
    return max(SENDS.delay(tries), asked - passed)


def _last_words(effect: Effect) -> str:
    verdict = effect.sends[-1].verdict
    return (
        f"send {effect.sends[-1].n}: {verdict.message or verdict.code}" if verdict else "no answer is known"
    )
