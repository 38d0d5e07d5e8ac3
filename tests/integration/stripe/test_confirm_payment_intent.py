"""A payment intent at the sandbox is charged once, whatever goes wrong in between."""

from __future__ import annotations

import pytest

from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.model.effect import EffectState
from leaderjobs.sandbox.faults import Fault
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe.rig import LOST, NOT_ACTED, intent, named, paid
from tests.unit.connectors.ledger import Ledger


@pytest.mark.parametrize("fault", [None, *LOST, *NOT_ACTED], ids=named)
def test_it_is_paid_once(sandbox: StripeSandbox, stripe: StripeConnector, fault: Fault | None) -> None:
    target = intent(sandbox, stripe)
    if fault is not None:
        sandbox.faults.replace(fault)
    effect = Ledger(stripe, "confirm_payment_intent", payment_intent=target, amount=5000).run()
    assert (effect.state, effect.remote_id) == (EffectState.SUCCEEDED, target)
    assert paid(sandbox, target) == 1


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("off_session", ["true", "false"])
def test_a_card_that_needs_its_customer(
    sandbox: StripeSandbox, stripe: StripeConnector, off_session: str, *, lost: bool
) -> None:
    target = intent(sandbox, stripe, "pm_card_authenticationRequired")
    if lost:
        sandbox.faults.replace(LOST[0])
    ledger = Ledger(stripe, "confirm_payment_intent", payment_intent=target, off_session=off_session)
    effect = ledger.run()
    assert (effect.state, effect.code) == (EffectState.FAILED, "needs_customer")


@pytest.mark.parametrize("succeeds", [False, True])
def test_a_bank_that_takes_its_time(
    sandbox: StripeSandbox, stripe: StripeConnector, *, succeeds: bool
) -> None:
    target = intent(sandbox, stripe, "pm_card_processing")
    ledger = Ledger(stripe, "confirm_payment_intent", payment_intent=target)
    assert ledger.run().state is EffectState.SENDING
    sandbox.settle_processing(succeeds=succeeds)
    expected = EffectState.SUCCEEDED if succeeds else EffectState.FAILED
    assert ledger.run().state is expected


def test_one_that_was_confirmed_by_somebody_else_is_paid_once(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = intent(sandbox, stripe)
    assert Ledger(stripe, "confirm_payment_intent", payment_intent=target).run().by_other is False
    ledger = Ledger(stripe, "confirm_payment_intent", payment_intent=target)
    assert ledger.send().code == "payment_intent_unexpected_state"
    assert ledger.run().by_other is True
    assert paid(sandbox, target) == 1


def test_other_amounts_and_what_is_not_there_are_refused(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = intent(sandbox, stripe)
    for given, code in (
        ({"payment_intent": target, "amount": 4999}, "amount_mismatch"),
        ({"payment_intent": target, "currency": "eur"}, "currency_mismatch"),
        ({"payment_intent": "pi_0"}, "resource_missing"),
    ):
        effect = Ledger(stripe, "confirm_payment_intent", **given).run()
        assert (effect.state, effect.code, effect.sends) == (EffectState.FAILED, code, ())
