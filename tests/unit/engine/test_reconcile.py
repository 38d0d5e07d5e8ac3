"""What ledger and provider disagree on, found by pure functions over both lists."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from leaderjobs.connectors.base import Movement
from leaderjobs.engine import reconcile
from leaderjobs.model.effect import Effect, EffectState, Request

AT = datetime(2026, 11, 24, tzinfo=UTC)


def effect(key: str, state: EffectState, operation: str = "pay_invoice") -> Effect:
    return Effect(
        id=uuid.uuid4(),
        connection="billing",
        operation=operation,
        business_key=key,
        arguments={},
        request=Request("POST", "/"),
        idempotency_key=f"lj-{key}",
        state=state,
        version=1,
        max_attempts=1,
        created_at=AT,
    )


def movement(key: str, remote_id: str = "pi_1", operation: str = "pay_invoice") -> Movement:
    return Movement(operation, key, remote_id, AT)


def kinds(differences: list[reconcile.Difference]) -> list[tuple[str, str]]:
    return [(each.kind, each.business_key) for each in differences]


def test_two_movements_for_one_key_are_one_too_many() -> None:
    movements = [movement("a", "pi_1"), movement("b", "pi_2"), movement("a", "pi_3")]

    (found,) = reconcile._twice(movements)

    assert (found.kind, found.business_key) == ("paid_twice", "a")
    assert "2 times: pi_1, pi_3" in found.message


def test_two_operations_may_have_one_key_each() -> None:
    assert reconcile._twice([movement("a"), movement("a", operation="create_refund")]) == []


def test_success_that_the_provider_does_not_show_is_a_difference() -> None:
    ledger = [effect("a", EffectState.SUCCEEDED), effect("b", EffectState.SUCCEEDED)]

    assert kinds(reconcile._unlike(ledger, [movement("a")])) == [("effect_without_payment", "b")]


def test_what_is_there_although_the_ledger_does_not_say_so_is_a_difference() -> None:
    states = [EffectState.FAILED, EffectState.UNCERTAIN, EffectState.CANCELLED, EffectState.PLANNED]
    ledger = [effect(state.value, state) for state in states]
    movements = [movement(state.value) for state in states]

    assert kinds(reconcile._unlike(ledger, movements)) == [
        ("unsettled_but_there", state.value) for state in states
    ]


def test_what_failed_and_is_not_there_is_none() -> None:
    assert reconcile._unlike([effect("a", EffectState.FAILED)], []) == []


def test_a_failed_effect_whose_retry_succeeded_is_none() -> None:
    ledger = [effect("a", EffectState.FAILED), effect("a:retry-2", EffectState.SUCCEEDED)]

    assert reconcile._unlike(ledger, [movement("a")]) == []
