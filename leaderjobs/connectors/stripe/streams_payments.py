"""How money moved: charges, payment intents, refunds, disputes, payouts, balance transactions."""

from __future__ import annotations

from leaderjobs.connectors.stripe.streams_billing import COST
from leaderjobs.connectors.stripe.streams_columns import (
    CREATED,
    CURRENCY,
    CUSTOMER,
    LIVEMODE,
    METADATA,
    amount,
    flag,
    instant,
    number,
    whole,
    word,
)
from leaderjobs.model.stream import CursorKind, Stream

_INTENT = word("payment_intent", "Key in stripe.payment_intents", indexed=True)
_CHARGE = word("charge", "Key in stripe.charges", indexed=True)
_ENTRY = word("balance_transaction", "Key in stripe.balance_transactions; null before there is one")

CHARGES = Stream(
    name="charges",
    key=("id",),
    comment="Attempts to take money, failed ones included",
    columns=(
        CREATED,
        CUSTOMER,
        _INTENT,
        word("status", "succeeded, pending, failed", indexed=True),
        CURRENCY,
        amount("amount", "What was asked for"),
        amount("amount_captured", "What was taken"),
        amount("amount_refunded", "What has been given back"),
        flag("paid", "Whether it succeeded, or was held for capture"),
        flag("captured", "False: only held so far, or failed"),
        flag("refunded", "Whether all of it was given back"),
        flag("disputed"),
        word("failure_code", "Why it failed"),
        word("description"),
        word("payment_method"),
        _ENTRY,
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

PAYMENT_INTENTS = Stream(
    name="payment_intents",
    key=("id",),
    comment="Payments that are to be made, with however many charges they take",
    columns=(
        CREATED,
        CUSTOMER,
        word(
            "status",
            "requires_payment_method, requires_confirmation, requires_action, processing, requires_capture, "
            "canceled, succeeded",
            indexed=True,
        ),
        CURRENCY,
        amount("amount", "What is to be paid"),
        amount("amount_received", "What has been paid"),
        amount("amount_capturable", "What is held and can be captured"),
        word("latest_charge", "Key in stripe.charges"),
        word("payment_method"),
        word("capture_method", "automatic, automatic_async, manual"),
        word("description"),
        instant("canceled_at"),
        word("cancellation_reason"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

REFUNDS = Stream(
    name="refunds",
    key=("id",),
    comment="Money given back",
    columns=(
        CREATED,
        _CHARGE,
        _INTENT,
        word("status", "pending, requires_action, succeeded, failed, canceled", indexed=True),
        CURRENCY,
        amount("amount", "What is given back; more than 0"),
        word("reason", "duplicate, fraudulent, requested_by_customer, expired_uncaptured_charge"),
        _ENTRY,
        METADATA,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

PAYOUTS = Stream(
    name="payouts",
    key=("id",),
    comment="Transfers between the Stripe balance and the account's bank",
    columns=(
        CREATED,
        instant("arrival_date", "When it is expected to reach the bank", indexed=True),
        word("status", "paid, pending, in_transit, canceled, failed; paid may still become failed"),
        CURRENCY,
        amount("amount", "More than 0: to the bank; less than 0: from it"),
        flag("automatic", "Made by the payout schedule"),
        word("method", "standard, instant"),
        word("type", "bank_account, card"),
        word("destination", "The bank account or card"),
        word("failure_code"),
        word("statement_descriptor"),
        _ENTRY,
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

DISPUTES = Stream(
    name="disputes",
    key=("id",),
    comment="Charges that a cardholder has contested with the bank",
    columns=(
        CREATED,
        _CHARGE,
        _INTENT,
        word(
            "status",
            "warning_needs_response, warning_under_review, warning_closed, needs_response, under_review, "
            "won, lost, prevented",
            indexed=True,
        ),
        word("reason", "fraudulent, product_not_received, duplicate, …"),
        CURRENCY,
        amount("amount", "What is contested; more than 0"),
        flag("is_charge_refundable"),
        instant("evidence_due_by", "Until when evidence is taken", "evidence_details", "due_by"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

BALANCE_TRANSACTIONS = Stream(
    name="balance_transactions",
    key=("id",),
    comment=(
        "Entries of the Stripe balance. They never change but for status, of which Stripe has no events: it "
        "stays as it was when the row was read, and available_on tells"
    ),
    columns=(
        CREATED,
        instant("available_on", "When it can be paid out", indexed=True),
        word("type", "charge, refund, payout, adjustment, stripe_fee, …", indexed=True),
        word("reporting_category"),
        word("source", "The charge, refund, payout or other that caused it", indexed=True),
        word("status", "available, pending; as of the read"),
        CURRENCY,
        amount("amount", "Less than 0: taken from the balance; before fees"),
        amount("fee", "What Stripe keeps of it; taken off amount"),
        amount("net", "amount less fee"),
        number("exchange_rate", "From the source's currency; null where it is the same"),
        word("description"),
    ),
    cursor=CursorKind.NEWER,
    cost="First: a request per page. Then one per page of what is new; Stripe has no events of them",
    windowed=True,
)

EVENTS = Stream(
    name="events",
    key=("id",),
    comment="What happened, of every type; Stripe lists the last 30 days, and what was read before is kept",
    columns=(
        CREATED,
        word("type", "Such as invoice.paid", indexed=True),
        word("object_type", "What it is about", "data", "object", "object"),
        word("object_id", "Its id, where it has one", "data", "object", "id", indexed=True),
        word("request_id", "The API request that caused it; null where none did", "request", "id"),
        word("idempotency_key", "Of that request", "request", "idempotency_key"),
        word("api_version", "The one that data is written in"),
        whole("previous_attributes", "What was changed, as it was before", "data", "previous_attributes"),
        LIVEMODE,
    ),
    cursor=CursorKind.NEWER,
    cost="First: a request per page of 30 days. Then one per page of what is new",
    windowed=True,
)
