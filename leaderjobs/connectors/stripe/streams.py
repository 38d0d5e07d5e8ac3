"""Stripe's streams, and where each comes from.

An event may be about something else than its type's first word says: `charge.dispute.closed` shows a dispute,
`charge.refund.updated` a refund. So a source names the events that it wants, and what it takes of them is
what `object` says. A wildcard stands where all of a kind are about such an object: then what Stripe adds to
the kind comes with it.

`customer.subscription.deleted` means canceled: the subscription stays in the list. `invoice.upcoming` shows
an invoice that does not exist.
"""

from __future__ import annotations

from leaderjobs.connectors.stripe.pull_source import Query, Source
from leaderjobs.connectors.stripe.streams_billing import CUSTOMERS, INVOICES, PRICES, PRODUCTS, SUBSCRIPTIONS
from leaderjobs.connectors.stripe.streams_payments import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    DISPUTES,
    EVENTS,
    PAYMENT_INTENTS,
    PAYOUTS,
    REFUNDS,
)


def _types(*names: str) -> Query:
    """Stripe takes one `type`, which may hold a wildcard, or up to 20 `types[]`, which may not."""
    return (("type", names[0]),) if len(names) == 1 else tuple(("types[]", name) for name in names)


SOURCES = (
    Source(
        CUSTOMERS,
        "customer",
        events=_types("customer.created", "customer.updated", "customer.deleted"),
        deletions=frozenset({"customer.deleted"}),
        sweeps=True,
    ),
    Source(
        PRODUCTS,
        "product",
        events=_types("product.*"),
        deletions=frozenset({"product.deleted"}),
        sweeps=True,
    ),
    # Of prices Stripe's description says that without `active` only active ones are listed, and never inline
    # ones: so a price that is not in the lists is not gone.
    Source(
        PRICES,
        "price",
        parts=((("active", "true"),), (("active", "false"),)),
        events=_types("price.*"),
        deletions=frozenset({"price.deleted"}),
    ),
    Source(
        SUBSCRIPTIONS,
        "subscription",
        params=(("status", "all"),),
        events=_types("customer.subscription.*"),
    ),
    Source(
        INVOICES,
        "invoice",
        events=_types("invoice.*"),
        deletions=frozenset({"invoice.deleted"}),
        skips=frozenset({"invoice.upcoming"}),
        sweeps=True,
    ),
    Source(
        CHARGES,
        "charge",
        events=_types(
            "charge.captured",
            "charge.expired",
            "charge.failed",
            "charge.pending",
            "charge.refunded",
            "charge.succeeded",
            "charge.updated",
        ),
    ),
    Source(PAYMENT_INTENTS, "payment_intent", events=_types("payment_intent.*")),
    Source(
        REFUNDS,
        "refund",
        events=_types("refund.created", "refund.failed", "refund.updated", "charge.refund.updated"),
    ),
    Source(PAYOUTS, "payout", events=_types("payout.*")),
    Source(DISPUTES, "dispute", events=_types("charge.dispute.*")),
    Source(BALANCE_TRANSACTIONS, "balance_transaction"),
    Source(EVENTS, "event"),
)
