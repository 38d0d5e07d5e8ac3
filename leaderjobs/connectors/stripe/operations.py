"""What can be done at Stripe so that it is done once.

Each acts on something whose id is known beforehand, so that a second send meets what the first one did:
an invoice is paid, not created and paid. A look-up goes by that id, which Stripe reads consistently; its
search does not, so nothing here searches.

A look-up's DECLINED ends the effect, whatever may still be on its way. So it is given only where no send of
ours can act any more: before the first one, or where the target itself is at its end. What another send of
the same key may still change is OPEN: within the window, Stripe's stored answer to that key tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from leaderjobs.connectors.arguments import Reader, boolean, choice, matching
from leaderjobs.connectors.base import Arguments, Ask
from leaderjobs.connectors.documents import at, rows, table, text, whole
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.stripe.errors import (
    NEEDS_CUSTOMER,
    decline_of,
    missing,
    object_in,
    unavailable,
    verdict,
)
from leaderjobs.connectors.stripe.operation import (
    AMOUNT,
    FAILED,
    PAYMENT_METHOD,
    WAITS,
    StripeOperation,
    accepted,
    an_id,
    currency,
    get,
    gone,
    of_object,
    post,
    unlike,
)
from leaderjobs.errors import UsageError
from leaderjobs.model.effect import Effect, Request, Told, Verdict
from leaderjobs.model.settle import open_sends

MOST_REFUND_PAGES = 20
PAGE = 100
EFFECT = "leaderjobs_effect"
"""Metadata of a refund: the key of the request that made it."""
BUSINESS_KEY = "leaderjobs_key"
"""Metadata of a refund: the effect that it is."""
_EXPAND = [("expand[]", "payments.data.payment.payment_intent")]


class PayInvoice(StripeOperation):
    """Pay an open invoice, with its own payment method or with the one given.

    `amount` and `currency` are what the caller believes is to be paid: looked at before the first send.
    """

    name = "pay_invoice"
    readers: ClassVar[Mapping[str, Reader]] = {
        "invoice": an_id("in"),
        "amount": AMOUNT,
        "currency": currency,
        "payment_method": PAYMENT_METHOD,
    }
    required = ("invoice",)
    # Still open after it was paid: a bank takes its time (a card that fails is a 402).
    states: ClassVar[Mapping[str, Told]] = {"paid": Told.DONE, "open": Told.PENDING}

    def business_key(self, arguments: Arguments) -> str:
        """One payment of one invoice."""
        return f"invoice:{arguments['invoice']}:pay"

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """`POST /v1/invoices/{id}/pay`."""
        fields = {"payment_method": arguments.get("payment_method")}
        return post(f"/v1/invoices/{arguments['invoice']}/pay", fields, idempotency_key)

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """By the invoice's status, and while it is open by that of its payment intent."""
        answer = ask(get(f"/v1/invoices/{effect.arguments['invoice']}", _EXPAND))
        ours = open_sends(effect.sends)
        if missing(answer):
            return gone(answer, effect)
        found = object_in(answer)
        match found.get("status"):
            case "paid":
                return self.told(answer, Told.DONE, found)
            case "open":
                return self._open(effect, answer, found)
            case "void":
                return of_object(answer, Told.DECLINED, "invoice_void", found, "the invoice is void")
            case "draft" if not ours:
                why = "the invoice is a draft; finalize it first"
                return of_object(answer, Told.DECLINED, "invoice_draft", found, why)
            case "uncollectible" if not ours:
                why = "the invoice was marked as uncollectible"
                return of_object(answer, Told.DECLINED, "invoice_uncollectible", found, why)
            case str():
                return self.told(answer, Told.OPEN, found)
            case _:
                return unavailable(answer)

    def _open(self, effect: Effect, answer: Answer, found: Mapping[str, object]) -> Verdict:
        intents = [
            table(at(payment, "payment.payment_intent"))
            for payment in rows(at(found, "payments.data"))
            if at(payment, "status") == "open"
        ]
        states = {str(intent.get("status")) for intent in intents}
        if states & {"processing", "requires_capture", "succeeded"}:
            return of_object(answer, Told.PENDING, "processing", found, "a payment of it is under way")
        if not open_sends(effect.sends):
            return unlike(effect, answer, found, "amount_remaining") or self.told(answer, Told.OPEN, found)
        if accepted(effect) and states:
            if "requires_action" in states:
                return of_object(answer, Told.DECLINED, NEEDS_CUSTOMER, found, WAITS)
            if states <= {"requires_payment_method", "canceled"}:
                return of_object(answer, Told.DECLINED, decline_of(intents[0]), found, FAILED)
        return self.told(answer, Told.OPEN, found)


class ConfirmPaymentIntent(StripeOperation):
    """Confirm a payment intent that somebody else has created; `amount` and `currency` as in `PayInvoice`."""

    name = "confirm_payment_intent"
    readers: ClassVar[Mapping[str, Reader]] = {
        "payment_intent": an_id("pi"),
        "amount": AMOUNT,
        "currency": currency,
        "payment_method": PAYMENT_METHOD,
        "off_session": boolean,
    }
    required = ("payment_intent",)
    states: ClassVar[Mapping[str, Told]] = {
        "succeeded": Told.DONE,
        "processing": Told.PENDING,
        "requires_capture": Told.PENDING,
        "requires_action": Told.DECLINED,
    }

    def business_key(self, arguments: Arguments) -> str:
        """One confirmation of one payment intent."""
        return f"payment_intent:{arguments['payment_intent']}:confirm"

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """`POST /v1/payment_intents/{id}/confirm`."""
        fields = {name: arguments.get(name) for name in ("payment_method", "off_session")}
        return post(f"/v1/payment_intents/{arguments['payment_intent']}/confirm", fields, idempotency_key)

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """By the payment intent's status."""
        answer = ask(get(f"/v1/payment_intents/{effect.arguments['payment_intent']}"))
        if missing(answer):
            return gone(answer, effect)
        found = object_in(answer)
        match found.get("status"):
            case "succeeded" | "processing" | "requires_capture" | "requires_action":
                return self.told(answer, self.status(found) or Told.OPEN, found)
            case "canceled":
                why = "the payment intent was canceled"
                return of_object(answer, Told.DECLINED, "payment_intent_canceled", found, why)
            case "requires_payment_method" if accepted(effect):
                # So it is before any confirm, too; but one of ours was accepted, so here it has failed since.
                return of_object(answer, Told.DECLINED, decline_of(found), found, FAILED)
            case str():
                other = None if open_sends(effect.sends) else unlike(effect, answer, found, "amount")
                return other or self.told(answer, Told.OPEN, found)
            case _:
                return unavailable(answer)

    def told(self, answer: Answer, told: Told, found: Mapping[str, object]) -> Verdict:
        """Declined is only what waits for the customer: a card that fails is a 402."""
        waits = told is Told.DECLINED
        return of_object(answer, told, NEEDS_CUSTOMER if waits else "", found, WAITS if waits else "")


class CreateRefund(StripeOperation):
    """Give back a payment, or a part of it.

    A payment may be given back in parts, and two equal parts are two wishes: `reference` tells them apart.
    Without it the amount does, and without an amount there is one refund of all that is left.
    """

    name = "create_refund"
    readers: ClassVar[Mapping[str, Reader]] = {
        "payment_intent": an_id("pi"),
        "charge": an_id("ch", "py"),
        "amount": AMOUNT,
        "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
        "reference": matching(
            re.compile(r"[A-Za-z0-9._-]{1,60}"), "up to 60 letters, digits, dots, underscores and hyphens"
        ),
    }
    required = ()
    states: ClassVar[Mapping[str, Told]] = {
        "succeeded": Told.DONE,
        "pending": Told.PENDING,
        "requires_action": Told.PENDING,
        "failed": Told.DECLINED,
        "canceled": Told.DECLINED,
    }

    def parse(self, given: Arguments) -> Arguments:
        """As the contract says; either the payment intent or the charge."""
        arguments = super().parse(given)
        if ("payment_intent" in arguments) == ("charge" in arguments):
            raise UsageError(f"{self.name}: give either payment_intent=pi_… or charge=ch_…")
        return arguments

    def business_key(self, arguments: Arguments) -> str:
        """One refund of one payment by its reference, else by its amount, else of all that is left."""
        what, of = _payment(arguments)
        which = arguments.get("reference") or arguments.get("amount") or "all"
        return f"{what}:{of}:refund:{which}"

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """`POST /v1/refunds`, marked as ours: it has no id before it is there."""
        fields = {name: arguments.get(name) for name in ("payment_intent", "charge", "amount", "reason")}
        marks = {EFFECT: idempotency_key, BUSINESS_KEY: self.business_key(arguments)}
        return post("/v1/refunds", {**fields, "metadata": marks}, idempotency_key)

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """By our mark among the payment's refunds; before the first send also by what is left of it."""
        what, of = _payment(effect.arguments)
        query = [(what, of), ("limit", str(PAGE))]
        answer = ask(get("/v1/refunds", query))
        if missing(answer):
            return gone(answer, effect)
        given_back = 0
        for _ in range(MOST_REFUND_PAGES):
            page = object_in(answer)
            refunds = [table(row) for row in rows(page.get("data"))]
            for refund in refunds:
                if at(refund, f"metadata.{EFFECT}") == effect.idempotency_key:
                    return self.told(answer, self.status(refund) or Told.PENDING, refund)
                if refund.get("status") not in {"failed", "canceled"}:
                    given_back += whole(refund.get("amount")) or 0
            last = refunds[-1].get("id") if refunds else None
            if page.get("has_more") is False:
                return self._absent(effect, ask, answer, given_back)
            if page.get("has_more") is not True or not isinstance(last, str):
                return unavailable(answer)
            answer = ask(get("/v1/refunds", [*query, ("starting_after", last)]))
        why = f"{of} has more than {MOST_REFUND_PAGES * PAGE} refunds; ours may be among the rest"
        return verdict(answer, Told.UNAVAILABLE, "too_many_refunds", why)

    def _absent(self, effect: Effect, ask: Ask, answer: Answer, given_back: int) -> Verdict:
        """No refund of ours is there."""
        if open_sends(effect.sends):
            return verdict(answer, Told.OPEN, "", "no refund of this effect is there")
        what, of = _payment(effect.arguments)
        answer = ask(get(f"/v1/{what}s/{of}"))
        if missing(answer):
            return gone(answer, effect)
        found = object_in(answer)
        if not isinstance(found.get("status"), str):
            return unavailable(answer)
        received = whole(found.get("amount_received" if what == "payment_intent" else "amount_captured"))
        if found["status"] != "succeeded" or not received:
            why = f"{of} is {text(found['status'])}; only a payment that has succeeded can be given back"
            return of_object(answer, Told.DECLINED, "payment_not_succeeded", found, why)
        left = received - max(given_back, whole(found.get("amount_refunded")) or 0)
        amount = whole(effect.arguments.get("amount")) or 1
        if amount > left:
            code = "amount_too_large" if left > 0 else "charge_already_refunded"
            why = f"{left} of {received} {text(found.get('currency'))} is left of {of}, not {amount}"
            return of_object(answer, Told.DECLINED, code, found, why)
        return verdict(answer, Told.OPEN, "", "no refund of this effect is there")

    def told(self, answer: Answer, told: Told, found: Mapping[str, object]) -> Verdict:
        """With the refund's own reason where it has failed."""
        failed = told is Told.DECLINED
        code = (text(found.get("failure_reason")) or "refund_failed") if failed else ""
        return of_object(answer, told, code, found, "the refund has failed" if failed else "")


OPERATIONS: tuple[type[StripeOperation], ...] = (PayInvoice, CreateRefund, ConfirmPaymentIntent)


def _payment(arguments: Arguments) -> tuple[str, str]:
    what = "payment_intent" if "payment_intent" in arguments else "charge"
    return what, str(arguments[what])
