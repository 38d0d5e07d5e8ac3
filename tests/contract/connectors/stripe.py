"""Stripe: a list that is walked down once, then what is new and what events say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from leaderjobs.connectors.base import Connector
from leaderjobs.model.job import Window
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.testing import LEAST_PAGES, Can
from tests.contract.connectors.stand_in import EVERYTHING, StandIn
from tests.unit.connectors.pulling import pulling

OTHERS = (
    "products",
    "prices",
    "subscriptions",
    "invoices",
    "charges",
    "payment_intents",
    "refunds",
    "payouts",
    "disputes",
    "balance_transactions",
)


class StripeStandIn(StandIn):
    name = "stripe"
    stream = "customers"
    can = EVERYTHING | {Can.WINDOW}
    descriptions = ("stripe",)
    troubled = "/v1/"
    overlap = 30
    """What is younger than ten minutes is read again: the objects and events of a test."""
    numbers = ("12345678901234567890", "0.12345678901234567890")

    def __init__(self) -> None:
        self.sandbox: StripeSandbox = StripeSandbox(customers=10 * LEAST_PAGES - 5)
        for kind in OTHERS:
            # As old as the customers: what is younger than ten minutes is read again by every process.
            self.sandbox._seeds.grow(kind, 2)
        self.sandbox.modify("charges", 1)  # With an event.

    def connect(self, **options: Any) -> Connector:
        return pulling(self.sandbox, **options)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sandbox.api_key,)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        return self.sandbox.rows(stream)

    def add(self, count: int) -> None:
        self.sandbox.add("customers", count)

    def modify(self, count: int) -> None:
        self.sandbox.modify("customers", count)

    def remove(self, count: int) -> None:
        self.sandbox.remove("customers", count)

    def pages_asked_twice(self) -> int:
        return int(self.sandbox.state()["pages_asked_twice"])

    def change_shapes(self) -> None:
        self.sandbox.drift(15)

    def window(self) -> Window:
        youngest = max(row["created"] for row in self.rows(self.stream).values())
        since = datetime.fromtimestamp(youngest, UTC) - timedelta(minutes=10)
        return Window(since, since + timedelta(minutes=6))

    def inside(self, row: Mapping[str, Any]) -> bool:
        window = self.window()
        assert window.since is not None
        assert window.until is not None
        return bool(window.since.timestamp() <= row["created"] < window.until.timestamp())
