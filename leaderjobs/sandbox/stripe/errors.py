"""Stripe's error answers."""

from __future__ import annotations

from typing import Any

from leaderjobs.sandbox.keys import MOST_KEY_LENGTH, Claim, Use
from leaderjobs.sandbox.stripe.objects import Charge, Decline, Intent


class StripeError(Exception):
    """One error object; `began` says whether an endpoint was at work, so that the answer is kept."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        began: bool = True,
        should_retry: str | None = "false",
        decline: Decline | None = None,
        intent: Intent | None = None,
        charge: Charge | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.code, self.param = message, status, kind, code, param
        self.began, self.should_retry = began, should_retry
        self.decline, self.intent, self.charge = decline, intent, charge

    def members(self) -> dict[str, Any]:
        """The error object but for the payment intent, whose shape is not known here."""
        told = {
            "charge": self.charge.id if self.charge else None,
            "code": self.code,
            "decline_code": self.decline.decline_code if self.decline else None,
            "doc_url": f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
            if self.code
            else None,
            "message": self.message,
            "param": self.param,
            "type": self.kind,
        }
        return {name: value for name, value in told.items() if value is not None}


def unfit(message: str, code: str | None, param: str | None) -> StripeError:
    """A parameter is not what it should be: nothing has begun, so nothing is kept."""
    return StripeError(message, code=code, param=param, began=False)


def missing(noun: str, row_id: str, param: str | None = None) -> StripeError:
    """There is no such object: 404 where it stands in the path (`param` None), 400 in a parameter."""
    return StripeError(
        f"No such {noun}: '{row_id}'",
        status=400 if param else 404,
        code="resource_missing",
        param=param or "id",
    )


def wrong_state(intent: Intent, doing: str, *allowed: str) -> StripeError:
    """A payment intent is not in a status that allows to confirm, capture or cancel it."""
    return StripeError(
        f"You cannot {doing} this PaymentIntent because it has a status of {intent.status}. Only a "
        f"PaymentIntent with one of the following statuses may do that: {', '.join(allowed)}.",
        code="payment_intent_unexpected_state",
        intent=intent,
    )


def declined(decline: Decline, intent: Intent, charge: Charge | None) -> StripeError:
    """A card was not charged; `intent` is in the state that leaves it in."""
    return StripeError(
        decline.message,
        status=402,
        kind="card_error",
        code=decline.code,
        decline=decline,
        intent=intent,
        charge=charge,
    )


def key_error(claim: Claim | None, key: str, path: str, first: Use | None) -> StripeError:
    """A key that cannot be used so; without a claim it is too long."""
    only = "Keys for idempotent requests can only be used"
    other = f"Try using a key other than '{key}' if you meant to execute a different request."
    match claim:
        case Claim.IN_USE:
            text = (
                "There is currently another in-progress request using this Idempotent Key (that probably "
                f"means you submitted twice, and the other request is still going through): {key}. Please "
                "try again later."
            )
            return StripeError(text, status=409, code="idempotency_key_in_use", should_retry="true")
        case Claim.OTHER_ENDPOINT:
            before = first.endpoint.partition(" ")[2] if first else ""
            text = f"{only} for the same endpoint they were first used for ('{path}' vs '{before}'). {other}"
            return StripeError(text, kind="idempotency_error")
        case Claim.OTHER_PARAMETERS:
            text = f"{only} with the same parameters they were first used with. {other}"
            return StripeError(text, kind="idempotency_error")
        case _:
            return StripeError(f"Idempotency keys have up to {MOST_KEY_LENGTH} characters.")
