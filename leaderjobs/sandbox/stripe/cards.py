"""Stripe's test cards, and what comes of charging them."""

from __future__ import annotations

from enum import StrEnum

from leaderjobs.sandbox.stripe.errors import missing
from leaderjobs.sandbox.stripe.objects import Decline


class Card(StrEnum):
    """What a card does when it is charged."""

    PAYS = "pays"
    NEEDS_CUSTOMER = "needs_customer"
    """The bank wants its customer to say yes, who is not there when a payment is off session."""
    TAKES_TIME = "takes_time"
    """The payment is under way until the sandbox is told that it has come or not."""


AUTHENTICATION = Decline(
    code="authentication_required",
    decline_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)
GENERIC = Decline(code="card_declined", decline_code="generic_decline", message="Your card was declined.")
_DECLINES = {
    "pm_card_chargeDeclined": GENERIC,
    "pm_card_visa_chargeDeclined": GENERIC,
    "pm_card_chargeDeclinedInsufficientFunds": Decline(
        code="card_declined", decline_code="insufficient_funds", message="Your card has insufficient funds."
    ),
}
_CARDS = {
    "pm_card_visa": Card.PAYS,
    "pm_card_mastercard": Card.PAYS,
    "pm_card_amex": Card.PAYS,
    "pm_card_authenticationRequired": Card.NEEDS_CUSTOMER,
    "pm_card_processing": Card.TAKES_TIME,
}


def known(payment_method: str) -> bool:
    """Whether there is such a card."""
    return payment_method in _CARDS or payment_method in _DECLINES


def checked(payment_method: str) -> str:
    """The same, if there is such a card; otherwise Stripe's refusal."""
    if not known(payment_method):
        raise missing("PaymentMethod", payment_method, "payment_method")
    return payment_method


def charge(payment_method: str) -> Card | Decline:
    """What comes of it."""
    return _DECLINES.get(payment_method) or _CARDS[payment_method]
