"""One effect's ledger in memory, and the steps that `model.settle` allows, taken one by one.

What the engine does, without its term, its database and its pauses: a test says when, and what goes wrong.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from leaderjobs.connectors.base import Connector, Operation
from leaderjobs.connectors.outcome import NOT_SENT, UNANSWERED, Answer
from leaderjobs.errors import ConnectorError, TransientError
from leaderjobs.model.effect import Effect, EffectState, Request, Send, Told, Verdict
from leaderjobs.model.settle import LookUp, SendNow, Settle, Step, Wait, next_step

START = datetime(2026, 11, 1, tzinfo=UTC)


def planned(operation: Operation, **given: object) -> Effect:
    """An effect of which nothing was ever stamped."""
    arguments = operation.parse(given)
    key = f"lj-{uuid.uuid4()}"
    return Effect(
        id=uuid.uuid4(),
        connection="test",
        operation=operation.name,
        business_key=operation.business_key(arguments),
        arguments=arguments,
        request=operation.build(arguments, key),
        idempotency_key=key,
        state=EffectState.PLANNED,
        version=1,
        max_attempts=100,
        created_at=START,
    )


def sent(operation: Operation, given: Mapping[str, object], *told: Told) -> Effect:
    """An effect that has been sent with these results."""
    sends = tuple(
        Send(n, 1, "a", "first", START, START, Verdict(each)) for n, each in enumerate(told, start=1)
    )
    state = EffectState.SENDING if sends else EffectState.PLANNED
    return replace(planned(operation, **given), state=state, sends=sends)


class Channel:
    """As the engine lends it, with a guard that lets everything pass unless told otherwise."""

    def __init__(self, connector: Connector, timeout: timedelta, guard: Callable[[], None]) -> None:
        self._connector = connector
        self._guard = guard
        self.timeout = timeout

    def exchange(self, request: Request) -> Answer:
        return self._connector.exchange(request, timeout=self.timeout, guard=self.guard)

    def guard(self) -> None:
        self._guard()


class Ledger:
    """An effect of one connection."""

    def __init__(self, connector: Connector, operation: str, **given: object) -> None:
        self.connector = connector
        self.operation = connector.operations[operation]
        self.now = START
        self.effect = planned(self.operation, **given)
        self.found: list[Verdict] = []
        """Every look-up."""

    @property
    def told(self) -> list[Told]:
        """What each send was told."""
        return [send.told for send in self.effect.sends]

    def run(self, most: int = 12) -> Effect:
        """Step after step until it ends, is uncertain, or has to wait."""
        for _ in range(most):
            if isinstance(self.step(), Wait) or self.effect.state is EffectState.UNCERTAIN:
                return self.effect
            if self.effect.state.final:
                return self.effect
        raise AssertionError(f"still going after {most} steps: {self.told}")

    def step(self) -> Step | None:
        """The one thing that is allowed now, done."""
        rules = self.operation.rules
        found = None
        step = next_step(self.effect, found, rules, self.now)
        if isinstance(step, LookUp):
            found = self.look()
            step = next_step(self.effect, found, rules, self.now)
        if isinstance(step, SendNow):
            self.send(step.basis)
        if isinstance(step, Settle):
            self.effect = replace(
                self.effect,
                state=step.state,
                code=step.code,
                reason=step.reason,
                remote_id=step.remote_id,
                facts=step.facts,
                by_other=step.by_other,
            )
        return step

    def look(self) -> Verdict:
        """A look-up, and what it found."""
        try:
            found = self.operation.look_up(self.effect, self._ask)
        except TransientError as error:
            found = Verdict(Told.UNAVAILABLE, message=str(error))
        self.found.append(found)
        return found

    def send(self, basis: str = "first", guard: Callable[[], None] = lambda: None) -> Verdict:
        """Stamp, send, record; whatever the ledger thinks of it."""
        n = len(self.effect.sends) + 1
        self._put(Send(n, 1, "a", basis, self.now))
        channel = Channel(self.connector, self.operation.timeout, guard)
        try:
            verdict = self.operation.classify(self.operation.transmit(self.effect.request, channel))
        except ConnectorError as error:
            if error.code not in UNANSWERED:
                raise
            verdict = Verdict(Told.NOT_SENT if error.code == NOT_SENT else Told.UNKNOWN, error.code)
        self._put(replace(self.effect.sends[-1], ended_at=self.now, verdict=verdict))
        return verdict

    def lose_answer(self) -> None:
        """The process died before it could record what it heard."""
        self._put(replace(self.effect.sends[-1], ended_at=None, verdict=None))

    def _put(self, send: Send) -> None:
        others = tuple(each for each in self.effect.sends if each.n != send.n)
        self.effect = replace(self.effect, state=EffectState.SENDING, sends=(*others, send))

    def _ask(self, request: Request) -> Answer:
        return self.connector.exchange(request, timeout=self.operation.timeout, guard=lambda: None)
