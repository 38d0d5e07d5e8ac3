"""What the connector says has moved is what the sandbox's book says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.connectors.stripe.operation import post
from leaderjobs.errors import FatalError, LeadershipLost
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe.rig import ask, invoice
from tests.unit.connectors.harness import Context
from tests.unit.connectors.ledger import Ledger


def movements(stripe: StripeConnector, hours: float = 24) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for movement in stripe.movements(clock.now() - timedelta(hours=hours), Context()):
        found.setdefault(movement.business_key, []).append(movement)
    return found


def test_payments_and_refunds_are_tied_to_the_requests_that_made_them(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    ours, others = (row.id for row in sandbox._account.invoices.rows())
    pay = Ledger(stripe, "pay_invoice", invoice=ours)
    pay.run()
    sandbox.pay_by_other(others)
    refund = Ledger(stripe, "create_refund", payment_intent=pay.look().remote_id, amount=100, reference="x")
    refund.run()
    found = movements(stripe)
    assert sorted(found) == sorted(
        [pay.effect.business_key, f"invoice:{others}:pay", refund.effect.business_key]
    )
    assert [each.idempotency_key for each in found[pay.effect.business_key]] == [pay.effect.idempotency_key]
    assert [each.idempotency_key for each in found[f"invoice:{others}:pay"]] == [""]
    (back,) = found[refund.effect.business_key]
    assert (back.idempotency_key, back.remote_id) == (
        refund.effect.idempotency_key,
        refund.effect.remote_id,
    )
    assert back.facts == {"amount": 100, "currency": "usd", "status": "succeeded"}
    assert {each.operation for all_of in found.values() for each in all_of} == stripe.reconciles


def test_an_invoice_of_last_week_that_was_paid_today_is_among_todays(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    """Its payment was created last week, and a list by `created` would miss it."""
    target = invoice(sandbox)
    sandbox.advance(timedelta(days=7))
    Ledger(stripe, "pay_invoice", invoice=target).run()
    (movement,) = movements(stripe, hours=-24 * 6)[f"invoice:{target}:pay"]
    assert movement.remote_id.startswith("pi_")


def test_every_page_is_read(
    sandbox: StripeSandbox, stripe: StripeConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.stripe.movements.PAGE", 2)
    targets = sandbox.add_invoices(7)
    for target in targets:
        sandbox.pay_by_other(target)
    sandbox.faults.replace(Fault(kind=FaultKind.RESET, count=2))
    assert set(movements(stripe)) == {f"invoice:{target}:pay" for target in targets}


def test_what_is_paid_outside_of_stripe_is_a_movement_too(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    ask(stripe, post(f"/v1/invoices/{target}/pay", {"paid_out_of_band": True}, "by hand"))
    (movement,) = movements(stripe)[f"invoice:{target}:pay"]
    assert (movement.remote_id, movement.idempotency_key) == (target, "by hand")


def test_further_back_than_events_go_nothing_is_said_rather_than_half(stripe: StripeConnector) -> None:
    with pytest.raises(FatalError, match="keeps events for 30 days"):
        movements(stripe, hours=24 * 31)


def test_a_term_that_is_over_stops_it(stripe: StripeConnector) -> None:
    context = Context()
    context.stop_with = LeadershipLost("over")
    with pytest.raises(LeadershipLost):
        list(stripe.movements(clock.now() - timedelta(hours=1), context))
