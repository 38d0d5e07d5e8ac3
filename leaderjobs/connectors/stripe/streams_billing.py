"""Who is billed, for what, and the bills: customers, products, prices, subscriptions, invoices."""

from __future__ import annotations

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

COST = "First: a request per page. Then two, and one more per page of what is new or of events"

CUSTOMERS = Stream(
    name="customers",
    key=("id",),
    comment="Customers; deleted ones are deleted",
    columns=(
        CREATED,
        word("email", indexed=True),
        word("name"),
        word("description"),
        word("phone"),
        amount("balance", "Less than 0: credit towards the next invoice; more than 0: owed with it"),
        word("currency", "ISO 4217, in small letters, of the next invoices; null before there is one"),
        flag("delinquent", "Whether the latest charge of an invoice has failed"),
        word(
            "default_payment_method",
            "Of invoices and subscriptions that have none of their own",
            "invoice_settings",
            "default_payment_method",
        ),
        word("tax_exempt", "none, exempt, reverse"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

PRODUCTS = Stream(
    name="products",
    key=("id",),
    comment="Products, archived ones included (active is false); deleted ones are deleted",
    columns=(
        CREATED,
        word("name"),
        word("description"),
        flag("active", "Whether it can be bought"),
        word("default_price", "Key in stripe.prices"),
        word("tax_code"),
        word("unit_label", "What one of it is called on invoices"),
        instant("updated"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

PRICES = Stream(
    name="prices",
    key=("id",),
    comment=(
        "Prices, archived ones included (active is false). Stripe does not list inline prices, so those come "
        "by events only, and a price that was deleted during 29 days without a sync stays"
    ),
    columns=(
        CREATED,
        word("product", "Key in stripe.products", indexed=True),
        word("nickname"),
        flag("active", "Whether it can be used for new purchases"),
        CURRENCY,
        word("type", "one_time, recurring"),
        word("billing_scheme", "per_unit, tiered"),
        amount("unit_amount", "Of one; null where it is no whole number or comes in tiers"),
        number("unit_amount_decimal", "The same, with up to 12 decimal places of the smallest unit"),
        word("interval", "day, week, month, year; null for one_time", "recurring", "interval"),
        number("interval_count", "Intervals between two bills", "recurring", "interval_count"),
        word("lookup_key"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

SUBSCRIPTIONS = Stream(
    name="subscriptions",
    key=("id",),
    comment="Subscriptions of every status, canceled ones included; their items have the periods",
    columns=(
        CREATED,
        CUSTOMER,
        word(
            "status",
            "incomplete, incomplete_expired, trialing, active, past_due, canceled, unpaid, paused",
            indexed=True,
        ),
        CURRENCY,
        word("collection_method", "charge_automatically, send_invoice"),
        instant("start_date", "When it began; may lie before created"),
        instant("billing_cycle_anchor", "What its periods are counted from"),
        flag("cancel_at_period_end"),
        instant("cancel_at", "When it will be canceled"),
        instant("canceled_at", "When somebody canceled it; it may run on until ended_at"),
        instant("ended_at"),
        instant("trial_start"),
        instant("trial_end"),
        word("default_payment_method"),
        word("latest_invoice", "Key in stripe.invoices"),
        whole(
            "items", "List of what is subscribed to, with prices, quantities and current periods; up to 10"
        ),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)

INVOICES = Stream(
    name="invoices",
    key=("id",),
    comment="Invoices of every status; drafts that were deleted are deleted. Lines: the first 10 (see doc)",
    columns=(
        CREATED,
        CUSTOMER,
        word("number", "As the customer sees it; null for a draft"),
        word("status", "draft, open, paid, uncollectible, void", indexed=True),
        CURRENCY,
        amount("total", "After discounts and taxes; less than 0 adds to the customer's credit"),
        amount("subtotal", "Before discounts and exclusive taxes"),
        amount("amount_due", "What is to be paid, credit taken off"),
        amount("amount_paid", "What has been paid"),
        amount("amount_remaining", "What is left to be paid"),
        word("collection_method", "charge_automatically, send_invoice"),
        word("billing_reason", "manual, subscription_cycle, subscription_create, …"),
        word(
            "subscription",
            "Key in stripe.subscriptions; null where none caused it",
            "parent",
            "subscription_details",
            "subscription",
        ),
        number("attempt_count", "Automatic attempts at payment"),
        flag("auto_advance", "Whether Stripe finalizes and collects it by itself"),
        instant("due_date", "Null where it is charged automatically"),
        instant("period_start", "Of what was used; for a subscription the period before"),
        instant("period_end"),
        instant("finalized_at", "When it became open", "status_transitions", "finalized_at"),
        instant("paid_at", "", "status_transitions", "paid_at", indexed=True),
        instant("voided_at", "", "status_transitions", "voided_at"),
        METADATA,
        LIVEMODE,
    ),
    cursor=CursorKind.CHANGES,
    cost=COST,
    windowed=True,
)
