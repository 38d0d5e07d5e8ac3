"""The JSON of Stripe's objects, as the API shows them since 2025-03-31.basil.

An invoice shows no payment intent, charge or `paid`: its `status` and its payments tell. Members that
nobody here needs are left out; those that are there have Stripe's names and types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from leaderjobs.sandbox.shelf import Row
from leaderjobs.sandbox.stripe.objects import (
    Charge,
    Customer,
    Decline,
    Event,
    Intent,
    Invoice,
    InvoiceItem,
    InvoicePayment,
    Line,
    Refund,
    Thing,
)

_WITHOUT_MODE = frozenset({"balance_transaction"})
API_VERSION = "2026-10-28.endive"
Json = dict[str, Any]
ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Every digit of a number is kept."""
_WITHOUT = {"invoiceitem": "created", "refund": "livemode"}
"""What these two do not show, and all others do."""


def shape(row: Row) -> Json:
    """The object, with the ids of others in place of them."""
    if isinstance(row, Thing):
        return {
            "id": row.id,
            "object": row.noun,
            "created": row.created,
            **({} if row.noun in _WITHOUT_MODE else {"livemode": False}),
            **row.members,
        }
    noun, members = _SHAPES[type(row)]
    shown = {"id": row.id, "object": noun, "created": row.created, "livemode": False, **members(row)}
    shown.pop(_WITHOUT.get(noun, ""), None)
    return shown


def listed(path: str, data: list[Json], *, more: bool) -> Json:
    """A page of a list."""
    return {"object": "list", "data": data, "has_more": more, "url": path}


def _customer(row: Customer) -> Json:
    return {
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": row.description,
        "email": row.email,
        "invoice_settings": {"default_payment_method": row.default_payment_method},
        "metadata": row.metadata,
        "name": row.name,
        "phone": None,
        "shipping": None,
        "tax_exempt": "none",
        **row.others,
    }


def _invoice(row: Invoice) -> Json:
    return {
        "amount_due": row.amount,
        "amount_overpaid": 0,
        "amount_paid": row.amount_paid,
        "amount_paid_off_stripe": row.paid_off_stripe,
        "amount_remaining": row.amount - row.amount_paid,
        "amount_shipping": 0,
        "attempt_count": row.attempt_count,
        "attempted": row.attempt_count > 0,
        "auto_advance": row.auto_advance,
        "billing_reason": "manual",
        "collection_method": row.collection_method,
        "currency": row.currency,
        "customer": row.customer,
        "default_payment_method": row.default_payment_method,
        "description": row.description,
        "due_date": None,
        "ending_balance": None if row.status == "draft" else 0,
        "lines": listed(f"/v1/invoices/{row.id}/lines", [_line(line) for line in row.lines], more=False),
        "metadata": row.metadata,
        "next_payment_attempt": None,
        "number": row.number,
        "parent": row.subscription
        and {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": row.subscription},
        },
        "period_end": row.created,
        "period_start": row.created,
        "starting_balance": 0,
        "status": row.status,
        "status_transitions": {
            "finalized_at": row.finalized_at,
            "marked_uncollectible_at": row.uncollectible_at,
            "paid_at": row.paid_at,
            "voided_at": row.voided_at,
        },
        "subtotal": row.amount,
        "total": row.amount,
    }


def _line(line: Line) -> Json:
    return {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.currency,
        "description": line.description,
        "livemode": False,
        "parent": {
            "type": "invoice_item_details",
            "invoice_item_details": {"invoice_item": line.item},
            "subscription_item_details": None,
        },
    }


def _item(row: InvoiceItem) -> Json:
    return {
        "amount": row.amount,
        "currency": row.currency,
        "customer": row.customer,
        "date": row.created,
        "description": row.description,
        "discountable": True,
        "invoice": row.invoice,
        "metadata": row.metadata,
        "period": {"end": row.created, "start": row.created},
        "proration": False,
        "quantity": 1,
    }


def _invoice_payment(row: InvoicePayment) -> Json:
    return {
        "amount_paid": row.amount_paid,
        "amount_requested": row.amount_requested,
        "currency": row.currency,
        "invoice": row.invoice,
        "is_default": True,
        "payment": {"payment_intent": row.intent, "type": "payment_intent"},
        "status": row.status,
        "status_transitions": {"canceled_at": row.canceled_at, "paid_at": row.paid_at},
    }


def _intent(row: Intent) -> Json:
    return {
        "amount": row.amount,
        "amount_capturable": row.amount if row.status == "requires_capture" else 0,
        "amount_received": row.amount_received,
        "canceled_at": row.canceled_at,
        "cancellation_reason": row.cancellation_reason,
        "capture_method": row.capture_method,
        "client_secret": row.client_secret,
        "confirmation_method": "automatic",
        "currency": row.currency,
        "customer": row.customer,
        "description": row.description,
        "last_payment_error": _last_error(row.last_error, row) if row.last_error else None,
        "latest_charge": row.latest_charge,
        "metadata": row.metadata,
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        if row.status == "requires_action"
        else None,
        "payment_method": row.payment_method,
        "payment_method_types": ["card"],
        "processing": {"type": "card", "card": {}} if row.status == "processing" else None,
        "receipt_email": None,
        "setup_future_usage": None,
        "status": row.status,
    }


def _last_error(why: Decline, row: Intent) -> Json:
    return {
        "charge": row.latest_charge,
        "code": why.code,
        "decline_code": why.decline_code,
        "message": why.message,
        "payment_method": {"id": row.error_method, "object": "payment_method", "type": "card"},
        "type": "card_error",
    }


def _charge(row: Charge) -> Json:
    return {
        "amount": row.amount,
        "amount_captured": row.amount_captured,
        "amount_refunded": row.amount_refunded,
        "balance_transaction": None,
        "captured": row.captured,
        "currency": row.currency,
        "customer": row.customer,
        "description": None,
        "disputed": False,
        "failure_code": row.failure.code if row.failure else None,
        "failure_message": row.failure.message if row.failure else None,
        "metadata": row.metadata,
        "paid": row.status == "succeeded",
        "payment_intent": row.payment_intent,
        "payment_method": row.payment_method,
        "refunded": row.captured and row.amount_refunded == row.amount_captured,
        "status": row.status,
    }


def _refund(row: Refund) -> Json:
    return {
        "amount": row.amount,
        "balance_transaction": None,
        "charge": row.charge,
        "currency": row.currency,
        "metadata": row.metadata,
        "payment_intent": row.payment_intent,
        "reason": row.reason,
        "receipt_number": None,
        "status": "succeeded",
    }


def _event(row: Event) -> Json:
    data: Json = {"object": shape(row.subject)}
    if row.previous is not None:
        data["previous_attributes"] = row.previous
    return {
        "api_version": API_VERSION,
        "data": data,
        "pending_webhooks": 0,
        "request": {"id": row.request, "idempotency_key": row.idempotency_key},
        "type": row.type,
    }


_SHAPES: dict[type[Row], tuple[str, Callable[[Any], Json]]] = {
    Customer: ("customer", _customer),
    Invoice: ("invoice", _invoice),
    InvoiceItem: ("invoiceitem", _item),
    InvoicePayment: ("invoice_payment", _invoice_payment),
    Intent: ("payment_intent", _intent),
    Charge: ("charge", _charge),
    Refund: ("refund", _refund),
    Event: ("event", _event),
}
