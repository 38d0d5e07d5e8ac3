"""One Stripe account: every object it holds, its events, and whose clock stamps them."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from typing import Any

from leaderjobs.sandbox.book import Book
from leaderjobs.sandbox.keyed import Actor
from leaderjobs.sandbox.settable_clock import SettableClock
from leaderjobs.sandbox.shelf import R, Row, Shelf
from leaderjobs.sandbox.stripe.errors import missing
from leaderjobs.sandbox.stripe.objects import (
    Charge,
    Customer,
    Event,
    Intent,
    Invoice,
    InvoiceItem,
    InvoicePayment,
    Refund,
    Thing,
)

EVENT_SECONDS = 30 * 24 * 3600
THINGS = {
    "prod": "product",
    "price": "price",
    "sub": "subscription",
    "po": "payout",
    "du": "dispute",
    "txn": "balance_transaction",
}
"""Kinds of objects that nothing here acts on, by the prefix of their ids."""
_ALPHABET = string.digits + string.ascii_letters


class Account:
    """The shelves; whoever changes something holds the sandbox's lock."""

    def __init__(self, seed: int, clock: SettableClock, book: Book) -> None:
        """Empty; the seed decides every id."""
        self._clock = clock
        self.book = book
        self.random = random.Random(f"{seed}/account")
        self.changes = 0
        """How often anything has changed: a request that leaves it as it was has had no effect."""
        self.customers: Shelf[Customer] = Shelf("/v1/customers", "customer")
        self.invoices: Shelf[Invoice] = Shelf("/v1/invoices", "invoice")
        self.items: Shelf[InvoiceItem] = Shelf("/v1/invoiceitems", "invoiceitem")
        self.invoice_payments: Shelf[InvoicePayment] = Shelf("/v1/invoice_payments", "invoice_payment")
        self.intents: Shelf[Intent] = Shelf("/v1/payment_intents", "payment_intent")
        self.charges: Shelf[Charge] = Shelf("/v1/charges", "charge")
        self.refunds: Shelf[Refund] = Shelf("/v1/refunds", "refund")
        self.events: Shelf[Event] = Shelf("/v1/events", "event")
        self.things: dict[str, Shelf[Thing]] = {
            prefix: Shelf(f"/v1/{noun}s", noun) for prefix, noun in THINGS.items()
        }
        self.shelves: dict[str, Shelf[Any]] = {
            "cus": self.customers,
            "in": self.invoices,
            "ii": self.items,
            "inpay": self.invoice_payments,
            "pi": self.intents,
            "ch": self.charges,
            "re": self.refunds,
            **self.things,
            "evt": self.events,
        }

    def now(self) -> int:
        """What `created` says now."""
        return int(self._clock.now())

    def new_id(self, prefix: str) -> str:
        """An id as Stripe makes them."""
        return f"{prefix}_1{''.join(self.random.choices(_ALPHABET, k=23))}"

    def put(self, row: Row) -> None:
        """Add an object or its next state."""
        self._shelf(row.id).put(row)
        self.changes += 1

    def remove(self, row: Row) -> None:
        """Let an object be gone."""
        self._shelf(row.id).remove(row.id)
        self.changes += 1

    def find(self, shelf: Shelf[R], row_id: str, param: str | None = None) -> R:
        """The object as it is; Stripe's refusal when there is none (`param` None: the path named it)."""
        row = shelf.get(row_id)
        if row is None:
            raise missing(shelf.noun, row_id, param)
        return row

    def emit(self, kind: str, subject: Row, actor: Actor, previous: Mapping[str, Any] | None = None) -> None:
        """An event, with the object as it is now."""
        self.put(
            Event(
                id=self.new_id("evt"),
                created=self.now(),
                type=kind,
                subject=subject,
                previous=previous,
                request=actor.request,
                idempotency_key=actor.honoured_key,
            )
        )

    def _shelf(self, row_id: str) -> Shelf[Any]:
        return self.shelves[row_id.partition("_")[0]]
