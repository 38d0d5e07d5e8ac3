"""Declared operations at the Orders sandbox: what each of the rules is good for, and what it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.connectors.rest.settings import RestOperationSettings, RestSettings
from leaderjobs.model.effect import EffectState, Told
from leaderjobs.model.settle import Basis, Wait
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.orders import OrdersSandbox
from leaderjobs.values import Duration, Secret
from tests.contract.operations import ORDER
from tests.unit.connectors.ledger import Ledger

LOST = Fault(kind=FaultKind.RESET, method="POST", after=True, count=1)
NEVER_SEEN = Fault(kind=FaultKind.RESET, method="POST", count=1)


@pytest.fixture
def sandbox() -> Iterator[OrdersSandbox]:
    with OrdersSandbox() as running:
        yield running


@contextmanager
def orders(sandbox: OrdersSandbox, token: str = "", **changed: Any) -> Iterator[RestConnector]:
    declared: RestOperationSettings = msgspec.structs.replace(ORDER, **changed)
    headers = {"Authorization": Secret(literal=f"Bearer {token or sandbox.token}")}
    made = RestConnector(
        "shop", RestSettings(base_url=sandbox.url, headers=headers), Paces(), {"create_order": declared}
    )
    try:
        yield made
    finally:
        made.close()


def ordered(connector: RestConnector, order: str = "a") -> Ledger:
    return Ledger(connector, "create_order", order=order, cents="5")


def test_by_key_and_look_up(sandbox: OrdersSandbox) -> None:
    for fault in (LOST, NEVER_SEEN):
        sandbox.faults.replace(fault)
        with orders(sandbox) as made:
            effect = ordered(made, fault.kind + str(fault.after)).run()
        assert effect.state is EffectState.SUCCEEDED
        assert effect.remote_id.startswith("ord_")
    assert set(sandbox.book.orders_per_reference().values()) == {1}


def test_by_key_alone_a_lost_answer_is_asked_for_again(sandbox: OrdersSandbox) -> None:
    sandbox.faults.replace(LOST)
    with orders(sandbox, look_up=None) as made:
        ledger = ordered(made)
        assert ledger.run().state is EffectState.SUCCEEDED
    assert ledger.told == [Told.UNKNOWN, Told.DONE]
    verdict = ledger.effect.sends[1].verdict
    assert verdict is not None
    assert verdict.replayed
    assert sandbox.book.orders_per_reference() == {"a": 1}


def test_the_key_in_the_body_is_a_key_too_only_if_the_provider_takes_it_for_one(
    sandbox: OrdersSandbox,
) -> None:
    with orders(
        sandbox, idempotency_header=None, body={"reference": "{idempotency_key}", "cents": "{cents}"}
    ) as made:
        ledger = ordered(made)
        ledger.send()
    assert sandbox.book.orders_per_reference() == {ledger.effect.idempotency_key: 1}


def test_by_look_up_alone_what_cannot_be_seen_is_uncertain(sandbox: OrdersSandbox) -> None:
    rules: dict[str, Any] = {"idempotency_header": None, "replay_window": None}
    with orders(sandbox, **rules) as made:
        sandbox.faults.replace(LOST)
        assert ordered(made, "seen").run().state is EffectState.SUCCEEDED
        sandbox.faults.replace(NEVER_SEEN)
        effect = ordered(made, "unseen").run()
    assert (effect.state, len(effect.sends)) == (EffectState.UNCERTAIN, 1)
    assert sandbox.book.orders_per_reference() == {"seen": 1}


def test_by_look_up_and_absence_it_is_sent_again_after_that_time(sandbox: OrdersSandbox) -> None:
    rules: dict[str, Any] = {
        "idempotency_header": None,
        "replay_window": None,
        "absent_after": Duration(minutes=5),
    }
    sandbox.faults.replace(NEVER_SEEN)
    with orders(sandbox, **rules) as made:
        ledger = ordered(made)
        ledger.step()
        assert isinstance(ledger.step(), Wait)
        ledger.now += timedelta(minutes=5)
        assert ledger.run().state is EffectState.SUCCEEDED
    assert [send.basis for send in ledger.effect.sends] == [Basis.FIRST, Basis.ABSENCE]
    assert sandbox.book.orders_per_reference() == {"a": 1}


def test_without_any_rule_a_send_without_an_answer_is_uncertain_at_once(sandbox: OrdersSandbox) -> None:
    rules: dict[str, Any] = {"idempotency_header": None, "replay_window": None, "look_up": None}
    with orders(sandbox, **rules) as made:
        assert ordered(made, "answered").run().state is EffectState.SUCCEEDED
        for fault in (LOST, NEVER_SEEN):
            sandbox.faults.replace(fault)
            effect = ordered(made, str(fault.after)).run()
            assert (effect.state, len(effect.sends)) == (EffectState.UNCERTAIN, 1)
        sandbox.faults.replace(Fault(kind=FaultKind.RATE_LIMITED, count=1))
        assert len(ordered(made, "refused").run().sends) == 2


def test_a_refusal_ends_it_and_wrong_credentials_do_not(sandbox: OrdersSandbox) -> None:
    with orders(sandbox, body={"reference": "{order}"}, error_code="error.code") as made:
        effect = ordered(made).run()
    assert (effect.state, effect.code) == (EffectState.FAILED, "invalid")
    with orders(sandbox, token="wrong", look_up=None) as made:
        ledger = ordered(made)
        verdict = ledger.send()
    assert (verdict.told, verdict.hold) == (Told.REFUSED, True)


def test_a_key_that_was_used_for_something_else(sandbox: OrdersSandbox) -> None:
    """The IETF's draft has 422 for it: declined, and nothing of ours has acted."""
    with orders(sandbox) as made:
        first, second = ordered(made, "one"), ordered(made, "two")
        first.run()
        headers = {**second.effect.request.headers, "Idempotency-Key": first.effect.idempotency_key}
        second.effect = replace(second.effect, request=replace(second.effect.request, headers=headers))
        assert second.run().state is EffectState.FAILED
    assert sandbox.book.orders_per_reference() == {"one": 1}


def test_a_look_up_at_the_wrong_address_never_says_that_there_is_nothing(sandbox: OrdersSandbox) -> None:
    """Or everything would be sent twice once the time for absence has passed."""
    assert ORDER.look_up is not None
    wrong = msgspec.structs.replace(ORDER.look_up, path="/nowhere")
    rules: dict[str, Any] = {
        "idempotency_header": None,
        "replay_window": None,
        "absent_after": Duration(minutes=5),
    }
    with orders(sandbox, look_up=wrong, **rules) as made:
        ledger = ordered(made)
        ledger.send()
        ledger.lose_answer()
        ledger.now += timedelta(days=1)
        assert ledger.run().state is EffectState.UNCERTAIN
    assert ledger.found[-1].told is Told.UNAVAILABLE
    assert sandbox.book.orders_per_reference() == {"a": 1}
