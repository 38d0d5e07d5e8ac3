"""The ledger against the provider's own lists, both ways; nothing is changed."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from leaderjobs import clock
from leaderjobs.connectors.base import Connector, Movement, Operation
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import Refused, TransientError
from leaderjobs.model.effect import Effect, EffectState, Request, Told
from leaderjobs.model.quota import Quota
from leaderjobs.store.effects import MOST_LISTED, Effects

OVERLAP = timedelta(days=1)
"""The provider is asked so much further back: it may have acted before the effect counts as old enough."""
FRESH = timedelta(minutes=2)
"""What happened within the last moments may be on one side only, and is left out."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the two do not agree."""

    kind: str
    """`paid_twice`, `paid_without_effect`, `effect_without_payment`, `unsettled_but_there`; or
    `not_looked_up` where the provider gave no answer."""
    business_key: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared and what differs."""

    connection: str
    since: datetime
    effects: int
    movements: int
    matched: int
    one_way: tuple[str, ...]
    """Operations that the provider cannot list: only effects were looked up."""
    differences: tuple[Difference, ...]


class Unhurried:
    """The context of a read that nobody stops."""

    def check(self) -> None:
        """Nothing stops it but the user's Ctrl-C."""

    def wait(self, delay: timedelta) -> None:
        """Wait."""
        threading.Event().wait(max(0.0, delay.total_seconds()))

    @property
    def window(self) -> None:
        """None: `since` says what is asked for."""

    def spend(self, quota: Quota, units: int) -> None:
        """Not counted: only a leader counts."""

    def observe(self, quota: Quota, used: int) -> None:
        """As `spend`."""

    def log(self, line: str) -> None:
        """There is no job that it belongs to."""


def reconcile(effects: Effects, connector: Connector, connection: str, span: timedelta) -> Report:
    """Compare what the ledger and the provider say of the last `span`."""
    now = clock.now()
    since, until = now - span, now - FRESH
    ledger = effects.newest(connection=connection, since=since, limit=MOST_LISTED)
    if len(ledger) == MOST_LISTED:
        raise Refused(f"more than {MOST_LISTED} effects since {since:%Y-%m-%d}; give a shorter --since")
    ledger = [effect for effect in ledger if (effect.settled_at or effect.created_at) < until]
    movements = list(connector.movements(since - OVERLAP, Unhurried()))
    seen = [movement for movement in movements if since <= movement.at < until]
    unasked = [each for each in seen if not effects.siblings(connection, each.operation, each.business_key)]
    listed = connector.reconciles
    one_way = tuple(sorted(set(connector.operations) - listed))
    looked = [_looked_up(effects.get(each.id), connector) for each in ledger if each.operation in one_way]
    differences = [
        *_twice(movements),
        *(_without_effect(movement) for movement in unasked),
        *_unlike([effect for effect in ledger if effect.operation in listed], movements),
        *(difference for difference in looked if difference is not None),
    ]
    return Report(
        connection, since, len(ledger), len(seen), len(seen) - len(unasked), one_way, tuple(differences)
    )


def _twice(movements: Sequence[Movement]) -> list[Difference]:
    by_key: dict[tuple[str, str], list[str]] = defaultdict(list)
    for movement in movements:
        by_key[movement.operation, movement.business_key].append(movement.remote_id)
    return [
        Difference("paid_twice", key, f"{key} ({operation}) is there {len(ids)} times: {', '.join(ids)}")
        for (operation, key), ids in by_key.items()
        if len(ids) > 1
    ]


def _without_effect(movement: Movement) -> Difference:
    key = movement.business_key
    return Difference(
        "paid_without_effect",
        key,
        f"{movement.remote_id} ({key}) is at the provider, but no effect asked for it",
    )


def _unlike(ledger: Sequence[Effect], movements: Sequence[Movement]) -> list[Difference]:
    """Effects that have succeeded and are not there, and such as are there and have not succeeded."""
    there = {(movement.operation, movement.business_key): movement for movement in movements}
    succeeded = {
        (effect.operation, _base(effect)) for effect in ledger if effect.state is EffectState.SUCCEEDED
    }
    found: list[Difference] = []
    for effect in ledger:
        what = (effect.operation, _base(effect))
        movement = there.get(what)
        if effect.state is EffectState.SUCCEEDED and movement is None:
            # What another did may have been done long before it was asked for here.
            found += [] if effect.by_other else [_missing(effect)]
        elif movement is not None and what not in succeeded:
            found.append(_unsettled(effect, movement.remote_id))
    return found


def _base(effect: Effect) -> str:
    return effect.business_key.partition(":retry-")[0]


def _missing(effect: Effect) -> Difference:
    key = effect.business_key
    return Difference(
        "effect_without_payment",
        key,
        f"effect {effect.id} ({key}) has succeeded, but the provider shows nothing of it",
    )


def _unsettled(effect: Effect, remote_id: str) -> Difference:
    key = effect.business_key
    return Difference(
        "unsettled_but_there",
        key,
        f"effect {effect.id} ({key}) is {effect.state}, but the provider has {remote_id or 'it'}",
    )


def _looked_up(effect: Effect, connector: Connector) -> Difference | None:
    """One effect that the provider cannot list, looked up where its operation can."""
    operation: Operation | None = connector.operations.get(effect.operation)
    if operation is None or not operation.rules.looks_up or not effect.sends:
        return None

    def ask(request: Request) -> Answer:
        return connector.exchange(request, timeout=operation.timeout, guard=lambda: None)

    try:
        told = operation.look_up(effect, ask).told
    except TransientError as error:
        return Difference("not_looked_up", effect.business_key, f"effect {effect.id}: {error}")
    if effect.state is EffectState.SUCCEEDED and told is not Told.DONE:
        return _missing(effect)
    if effect.state is not EffectState.SUCCEEDED and told is Told.DONE:
        return _unsettled(effect, "")
    return None
