"""Stripe's objects as the sandbox keeps them; amounts are integers in the currency's smallest unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from leaderjobs.sandbox.keyed import OTHER, Actor
from leaderjobs.sandbox.shelf import Row

InvoiceStatus = Literal["draft", "open", "paid", "uncollectible", "void"]
IntentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "canceled",
    "succeeded",
]
ChargeStatus = Literal["succeeded", "pending", "failed"]


class Customer(Row, frozen=True, kw_only=True):
    """Who pays."""

    name: str | None = None
    email: str | None = None
    description: str | None = None
    default_payment_method: str | None = None
    metadata: Mapping[str, str] = {}
    others: Mapping[str, Any] = {}
    """Members that nobody knew, or that are not what they were."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an invoice."""

    id: str
    amount: int
    currency: str
    description: str | None = None
    item: str


class Invoice(Row, frozen=True, kw_only=True):
    """What is owed; `intent` and `payment` are made when it is finalized and not shown by the invoice."""

    customer: str
    currency: str
    status: InvoiceStatus = "draft"
    auto_advance: bool = False
    collection_method: str = "charge_automatically"
    default_payment_method: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = {}
    lines: tuple[Line, ...] = ()
    subscription: str | None = None
    number: str | None = None
    intent: str | None = None
    payment: str | None = None
    amount_paid: int = 0
    paid_off_stripe: int = 0
    attempt_count: int = 0
    finalized_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    uncollectible_at: int | None = None

    @property
    def amount(self) -> int:
        """The total."""
        return sum(line.amount for line in self.lines)


class InvoiceItem(Row, frozen=True, kw_only=True):
    """An amount for an invoice; without one it waits for the customer's next."""

    customer: str
    invoice: str | None
    amount: int
    currency: str
    description: str | None = None
    metadata: Mapping[str, str] = {}


class InvoicePayment(Row, frozen=True, kw_only=True):
    """What ties an invoice to a payment intent since 2025."""

    invoice: str
    intent: str
    amount_requested: int
    currency: str
    amount_paid: int | None = None
    status: Literal["open", "paid", "canceled"] = "open"
    paid_at: int | None = None
    canceled_at: int | None = None


class Decline(msgspec.Struct, frozen=True, kw_only=True):
    """Why a card was not charged."""

    code: str
    decline_code: str
    message: str


class Intent(Row, frozen=True, kw_only=True):
    """A payment to be made; `invoice` is known to the sandbox only, as the object does not show it."""

    amount: int
    currency: str
    status: IntentStatus
    client_secret: str
    customer: str | None = None
    payment_method: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = {}
    capture_method: str = "automatic"
    off_session: bool = False
    amount_received: int = 0
    latest_charge: str | None = None
    last_error: Decline | None = None
    error_method: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    invoice: str | None = None
    confirmed_by: Actor = OTHER
    """Whose money movement it is when it settles later."""


class Charge(Row, frozen=True, kw_only=True):
    """One attempt at a card."""

    amount: int
    currency: str
    status: ChargeStatus
    payment_intent: str
    payment_method: str
    customer: str | None = None
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    failure: Decline | None = None
    metadata: Mapping[str, str] = {}


class Refund(Row, frozen=True, kw_only=True):
    """Money that goes back."""

    amount: int
    currency: str
    charge: str
    payment_intent: str
    reason: str | None = None
    metadata: Mapping[str, str] = {}


class Thing(Row, frozen=True, kw_only=True):
    """Any other object: what it shows is all that there is of it."""

    noun: str
    members: Mapping[str, Any]


class Event(Row, frozen=True, kw_only=True):
    """What happened, with the object as it was."""

    type: str
    subject: Row
    previous: Mapping[str, Any] | None = None
    request: str | None = None
    idempotency_key: str | None = None
