"""A payment at the sandbox is given back once, whatever goes wrong in between."""

from __future__ import annotations

import pytest

from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.model.effect import EffectState, Told
from leaderjobs.sandbox.faults import Fault
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe.rig import LOST, NOT_ACTED, intent, named
from tests.unit.connectors.ledger import Ledger


@pytest.fixture
def target(sandbox: StripeSandbox, stripe: StripeConnector) -> str:
    """A payment of 50.00."""
    made = intent(sandbox, stripe)
    Ledger(stripe, "confirm_payment_intent", payment_intent=made).run()
    return made


def refunded(sandbox: StripeSandbox) -> list[int]:
    return [line.amount for line in sandbox.book.refunds()]


@pytest.mark.parametrize("fault", [None, *LOST, *NOT_ACTED], ids=named)
def test_it_is_given_back_once(
    sandbox: StripeSandbox, stripe: StripeConnector, target: str, fault: Fault | None
) -> None:
    if fault is not None:
        sandbox.faults.replace(fault)
    effect = Ledger(stripe, "create_refund", payment_intent=target, amount="1200").run()
    assert effect.state is EffectState.SUCCEEDED
    assert effect.remote_id.startswith("re_")
    assert effect.facts["amount"] == 1200
    assert refunded(sandbox) == [1200]


def test_two_parts_are_two_wishes_where_their_references_differ(
    sandbox: StripeSandbox, stripe: StripeConnector, target: str
) -> None:
    for reference in ("a", "b"):
        ledger = Ledger(stripe, "create_refund", payment_intent=target, amount=700, reference=reference)
        assert ledger.effect.business_key == f"payment_intent:{target}:refund:{reference}"
        assert ledger.run().state is EffectState.SUCCEEDED
    assert refunded(sandbox) == [700, 700]


def test_more_than_is_left_is_refused_before_anything_is_sent(
    sandbox: StripeSandbox, stripe: StripeConnector, target: str
) -> None:
    Ledger(stripe, "create_refund", payment_intent=target, amount=4000).run()
    effect = Ledger(stripe, "create_refund", payment_intent=target, amount=1001).run()
    assert (effect.code, effect.sends) == ("amount_too_large", ())
    assert "1000 of 5000 usd is left" in effect.reason
    assert Ledger(stripe, "create_refund", payment_intent=target).run().facts["amount"] == 1000
    effect = Ledger(stripe, "create_refund", payment_intent=target, reference="again").run()
    assert (effect.code, effect.sends) == ("charge_already_refunded", ())
    assert refunded(sandbox) == [4000, 1000]


def test_by_its_charge(sandbox: StripeSandbox, stripe: StripeConnector, target: str) -> None:
    charge = next(row.id for row in sandbox._account.charges.rows() if row.payment_intent == target)
    sandbox.faults.replace(LOST[0])
    effect = Ledger(stripe, "create_refund", charge=charge, reason="duplicate").run()
    assert (effect.state, effect.business_key) == (EffectState.SUCCEEDED, f"charge:{charge}:refund:all")
    assert refunded(sandbox) == [5000]


def test_what_was_not_paid_is_not_given_back(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    target = intent(sandbox, stripe)
    effect = Ledger(stripe, "create_refund", payment_intent=target).run()
    assert (effect.code, effect.sends) == ("payment_not_succeeded", ())
    effect = Ledger(stripe, "create_refund", payment_intent="pi_0").run()
    assert (effect.code, effect.sends) == ("resource_missing", ())


def test_ours_is_found_among_many(
    sandbox: StripeSandbox, stripe: StripeConnector, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.stripe.operations.PAGE", 2)
    ledger = Ledger(stripe, "create_refund", payment_intent=target, amount=10, reference="first")
    ledger.send()
    ledger.lose_answer()
    for number in range(4):
        Ledger(stripe, "create_refund", payment_intent=target, amount=1, reference=str(number)).send()
    assert ledger.run().state is EffectState.SUCCEEDED
    assert refunded(sandbox) == [10, 1, 1, 1, 1]


def test_more_refunds_than_can_be_looked_through_say_nothing(
    stripe: StripeConnector, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.stripe.operations.PAGE", 1)
    monkeypatch.setattr("leaderjobs.connectors.stripe.operations.MOST_REFUND_PAGES", 2)
    for number in range(4):
        Ledger(stripe, "create_refund", payment_intent=target, amount=1, reference=str(number)).send()
    ledger = Ledger(stripe, "create_refund", payment_intent=target, amount=1, reference="x")
    verdict = ledger.look()
    assert (verdict.told, verdict.code) == (Told.UNAVAILABLE, "too_many_refunds")
