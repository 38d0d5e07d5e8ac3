"""An invoice at the sandbox is paid once, whatever goes wrong in between."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.errors import LeadershipLost
from leaderjobs.model.effect import EffectState, Told
from leaderjobs.model.settle import Wait
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe.rig import LOST, NOT_ACTED, ask, invoice, named, paid
from tests.support import eventually
from tests.unit.connectors.ledger import Ledger


def test_it_is_paid_and_told_what_it_is_called(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    target = invoice(sandbox)
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    effect = ledger.run()
    assert (effect.state, effect.by_other) == (EffectState.SUCCEEDED, False)
    assert effect.facts["status"] == "paid"
    assert effect.remote_id == target
    assert paid(sandbox, target) == 1
    assert ledger.look().remote_id.startswith("pi_")


@pytest.mark.parametrize("fault", LOST, ids=named)
def test_a_lost_answer_is_found_by_looking(
    sandbox: StripeSandbox, stripe: StripeConnector, fault: Fault
) -> None:
    target = invoice(sandbox)
    sandbox.faults.replace(fault)
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    effect = ledger.run()
    assert ledger.told == [Told.UNKNOWN]
    assert (effect.state, effect.by_other) == (EffectState.SUCCEEDED, False)
    assert paid(sandbox, target) == 1


@pytest.mark.parametrize("fault", NOT_ACTED, ids=named)
@pytest.mark.parametrize("keys", ["honoured", "ignored"])
def test_what_never_acted_is_sent_again(
    sandbox: StripeSandbox, stripe: StripeConnector, fault: Fault, keys: str
) -> None:
    target = invoice(sandbox)
    sandbox.change({"keys": keys})
    sandbox.faults.replace(fault)
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    effect = ledger.run()
    assert effect.state is EffectState.SUCCEEDED
    assert len(effect.sends) == 2
    assert paid(sandbox, target) == 1


@pytest.mark.parametrize("keys", ["honoured", "ignored"])
def test_two_leaders_that_both_send_pay_once(
    sandbox: StripeSandbox, stripe: StripeConnector, keys: str
) -> None:
    """The first was paused right before the socket: its send comes after the second one's."""
    target = invoice(sandbox)
    sandbox.change({"keys": keys})
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    ledger.send()
    ledger.lose_answer()
    ledger.send("key")
    assert ledger.run().state is EffectState.SUCCEEDED
    late = Ledger(stripe, "pay_invoice", invoice=target)
    late.effect = ledger.effect
    late.send("key")
    assert paid(sandbox, target) == 1


def test_a_500_that_stays_with_the_key_is_uncertain_until_it_shows(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, method="POST", count=1))
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    effect = ledger.run()
    assert ledger.told == [Told.STUCK]
    assert (effect.state, effect.code) == (EffectState.UNCERTAIN, "stuck")
    sandbox.pay_by_other(target)
    assert ledger.run().state is EffectState.SUCCEEDED
    assert len(ledger.effect.sends) == 1


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_authenticationRequired", "needs_customer"),
    ],
)
@pytest.mark.parametrize("lost", [False, True])
def test_a_card_that_does_not_pay_ends_it(
    sandbox: StripeSandbox, stripe: StripeConnector, card: str, code: str, *, lost: bool
) -> None:
    target = invoice(sandbox)
    if lost:
        sandbox.faults.replace(LOST[0])
    ledger = Ledger(stripe, "pay_invoice", invoice=target, payment_method=card)
    effect = ledger.run()
    assert (effect.state, effect.code) == (EffectState.FAILED, code)
    assert "Your card" in effect.reason
    assert len(effect.sends) == (2 if lost else 1)
    assert paid(sandbox, target) == 0


def test_a_bank_that_takes_its_time_is_waited_for(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    target = invoice(sandbox)
    ledger = Ledger(stripe, "pay_invoice", invoice=target, payment_method="pm_card_processing")
    assert ledger.run().state is EffectState.SENDING
    assert ledger.told == [Told.PENDING]
    ledger.now += timedelta(days=4)
    assert isinstance(ledger.step(), Wait)
    sandbox.settle_processing()
    assert ledger.run().state is EffectState.SUCCEEDED
    assert paid(sandbox, target) == 1


def test_a_bank_that_says_no_after_days_ends_it(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    ledger = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox), payment_method="pm_card_processing")
    ledger.run()
    sandbox.settle_processing(succeeds=False)
    ledger.now += timedelta(days=4)
    effect = ledger.run()
    assert (effect.state, effect.code) == (EffectState.FAILED, "generic_decline")


def test_a_payment_of_somebody_else_that_is_under_way_is_waited_for(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    Ledger(stripe, "pay_invoice", invoice=target, payment_method="pm_card_processing").run()
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    assert isinstance(ledger.step(), Wait)
    assert ledger.told == []
    sandbox.settle_processing()
    effect = ledger.run()
    assert (effect.state, effect.by_other) == (EffectState.SUCCEEDED, True)


def test_paid_by_somebody_else_before_it_is_no_send_of_ours(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    sandbox.pay_by_other(target)
    effect = Ledger(stripe, "pay_invoice", invoice=target).run()
    assert (effect.state, effect.by_other, effect.sends) == (EffectState.SUCCEEDED, True, ())


def test_paid_by_somebody_else_in_between_is_not_a_failure(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    ledger = Ledger(stripe, "pay_invoice", invoice=target)
    assert ledger.look().told is Told.OPEN
    sandbox.pay_by_other(target)
    assert ledger.send().told is Told.MISMATCH
    effect = ledger.run()
    assert (effect.state, effect.by_other) == (EffectState.SUCCEEDED, True)


def test_void_ends_it_and_so_does_what_is_not_there(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    target = invoice(sandbox)
    sandbox.void(target)
    for name, code in ((target, "invoice_void"), ("in_0", "resource_missing")):
        effect = Ledger(stripe, "pay_invoice", invoice=name).run()
        assert (effect.state, effect.code, effect.sends) == (EffectState.FAILED, code, ())


def test_another_amount_than_the_callers_is_refused_before_anything_is_sent(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    target = invoice(sandbox)
    amount = next(row.amount for row in sandbox._account.invoices.rows())
    effect = Ledger(stripe, "pay_invoice", invoice=target, amount=str(amount + 1), currency="USD").run()
    assert (effect.state, effect.code, effect.sends) == (EffectState.FAILED, "amount_mismatch", ())
    assert f"asked for {amount + 1} usd, but it is {amount} usd" in effect.reason
    effect = Ledger(stripe, "pay_invoice", invoice=target, amount=str(amount), currency="eur").run()
    assert effect.code == "currency_mismatch"
    effect = Ledger(stripe, "pay_invoice", invoice=target, amount=str(amount), currency="USD").run()
    assert effect.state is EffectState.SUCCEEDED


def test_after_the_window_nothing_is_sent_any_more(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    sandbox.faults.replace(NOT_ACTED[0])
    ledger = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox))
    ledger.step()
    ledger.now += timedelta(hours=23)
    effect = ledger.run()
    assert (effect.state, len(effect.sends)) == (EffectState.UNCERTAIN, 1)


def test_the_key_under_another_body_is_stuck_and_may_not_be_guessed_about(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    ledger = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox))
    other = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox), payment_method="pm_card_chargeDeclined")
    ask(stripe, other.operation.build(other.effect.arguments, ledger.effect.idempotency_key))
    verdict = ledger.send()
    assert (verdict.told, verdict.code) == (Told.STUCK, "idempotency_error")
    assert ledger.run().state is EffectState.UNCERTAIN


def test_a_key_that_is_in_use_is_turned_away(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    """The first send is still at work there when the second comes."""
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, method="POST", delay_ms=1500, count=1))
    ledger = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox))
    first = threading.Thread(target=ask, args=(stripe, ledger.effect.request))
    first.start()
    eventually(lambda: sandbox.requests().get("POST /v1/invoices/{id}/pay"))
    verdict = ledger.send("key")
    assert (verdict.told, verdict.code) == (Told.REFUSED, "idempotency_key_in_use")
    first.join(10)


def test_a_guard_that_says_no_leaves_no_trace_at_the_provider(
    sandbox: StripeSandbox, stripe: StripeConnector
) -> None:
    def lost() -> None:
        raise LeadershipLost("over")

    ledger = Ledger(stripe, "pay_invoice", invoice=invoice(sandbox))
    with pytest.raises(LeadershipLost):
        ledger.send(guard=lost)
    assert sandbox.requests() == {}
