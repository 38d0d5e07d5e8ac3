"""From a wish to a planned effect: the operation reads it, names it and writes its request, once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from leaderjobs.connectors.base import Connector, Operation
from leaderjobs.engine.runner import MakeConnector
from leaderjobs.errors import Refused, UsageError
from leaderjobs.model.effect import MOST_BODY_BYTES, Effect, EffectState, NewEffect
from leaderjobs.model.job import DEFAULT_PRIORITY
from leaderjobs.store.effects import Effects

_RETRY = re.compile(r":retry-\d+\Z")


@dataclass(frozen=True, slots=True)
class When:
    """Where an effect's job stands in the queue; as in `NewJob`."""

    priority: int = DEFAULT_PRIORITY
    at: datetime | None = None
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """The effect that a wish stands for, and whether this wish made it."""

    effect: Effect
    job: int
    """Of its job; 0 when that has been pruned."""
    created: bool


class Planner:
    """Plans effects for one cluster; one thread at a time. `close` when done."""

    def __init__(self, effects: Effects, make_connector: MakeConnector) -> None:
        """Connectors are made when first named, and open no socket for this."""
        self._effects = effects
        self._make_connector = make_connector
        self._connectors: dict[str, Connector] = {}

    def operation(self, connection: str, name: str) -> Operation:
        """The operation; UsageError when the connection has none of that name."""
        connector = self._connectors.get(connection)
        if connector is None:
            connector = self._connectors[connection] = self._make_connector(connection)
        found = connector.operations.get(name)
        if found is None:
            known = ", ".join(f"{connection}.{each}" for each in connector.operations) or "none"
            raise UsageError(f"connection {connection} has no operation {name!r}; it has: {known}")
        return found

    def plan(
        self,
        connection: str,
        name: str,
        given: Mapping[str, object],
        when: When = When(),
    ) -> Planned:
        """Store the effect and its job, or find the one that is there already.

        UsageError for arguments that the operation does not take; Refused when the same thing was asked for
        with other arguments.
        """
        return self._store(self.wish(connection, name, given), when)

    def wish(self, connection: str, name: str, given: Mapping[str, object]) -> NewEffect:
        """What `plan` would store, for somebody who stores it together with something else.

        UsageError for arguments that the operation does not take.
        """
        operation = self.operation(connection, name)
        arguments = operation.parse(given)
        key = operation.business_key(arguments)
        if _RETRY.search(key):
            raise UsageError(f"{key!r} cannot be a business key: its end is that of a retry")
        return self._made(operation, connection, arguments, key)

    def retry(self, effect: Effect) -> Planned:
        """A new effect in the place of one that failed, when a person says that it may be tried again.

        Refused unless everything that was tried so far has failed: one that is under way, or uncertain, may
        still take effect.
        """
        base = _RETRY.sub("", effect.business_key)
        tried = self._effects.siblings(effect.connection, effect.operation, base)
        alive = [
            (key, state)
            for _, key, state in tried
            if state not in {EffectState.FAILED, EffectState.CANCELLED}
        ]
        if alive:
            key, state = alive[0]
            raise Refused(f"{base} cannot be tried again: {key} is {state}; see: leaderjobs effects list")
        operation = self.operation(effect.connection, effect.operation)
        key = f"{base}:retry-{len(tried) + 1}"
        return self._store(self._made(operation, effect.connection, effect.arguments, key), When())

    def close(self) -> None:
        """Let go of the connectors."""
        for connector in self._connectors.values():
            connector.close()
        self._connectors.clear()

    def _made(
        self, operation: Operation, connection: str, arguments: Mapping[str, object], business_key: str
    ) -> NewEffect:
        effect_id = self._effects.identify(connection, operation.name, business_key)
        idempotency_key = f"lj-{effect_id}"
        request = operation.build(arguments, idempotency_key)
        if len(request.body) > MOST_BODY_BYTES:
            raise UsageError(
                f"the request of {connection}.{operation.name} has {len(request.body)} bytes; "
                f"allowed: {MOST_BODY_BYTES}"
            )
        return NewEffect(
            effect_id, connection, operation.name, business_key, arguments, request, idempotency_key
        )

    def _store(self, new: NewEffect, when: When) -> Planned:
        effect, job, created = self._effects.plan(new, priority=when.priority, at=when.at, delay=when.delay)
        return Planned(effect, job, created)
