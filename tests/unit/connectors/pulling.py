"""What tests of Stripe's streams share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.stripe.connector import StripeConnector, StripeSettings
from leaderjobs.model.stream import Stream
from leaderjobs.sandbox.keyed import OTHER
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.testing import Clock, Context, Table
from leaderjobs.values import Duration, Rate, Secret

TEN_MINUTES = timedelta(minutes=10, seconds=1)


def settings(sandbox: StripeSandbox, **other: object) -> StripeSettings:
    """Settings that reach the sandbox at full speed unless told otherwise."""
    values: dict[str, Any] = {
        "base_url": sandbox.url,
        "api_key": Secret(literal=sandbox.api_key),
        "page_size": 10,
        "rate_limit": Rate(1_000_000, timedelta(seconds=1)),
        "timeout": Duration(seconds=10),
    }
    return StripeSettings(**(values | other))


def pulling(sandbox: StripeSandbox, **other: Any) -> StripeConnector:
    """A connector to the sandbox; the caller closes it."""
    return StripeConnector("books", settings(sandbox, **other), Paces(elapsed=Clock()))


def stream(name: str) -> Stream:
    return next(found for found in StripeConnector.streams if found.name == name)


class Pulled:
    """A table that one process after the other fills."""

    def __init__(self, sandbox: StripeSandbox, name: str) -> None:
        self.sandbox = sandbox
        self.name = name
        self.table = Table(stream(name))

    def sync(self, context: Context | None = None, *, pages: int | None = None, **options: Any) -> None:
        """Read to the end from where the marker stands, or die after so many pages."""
        connector = pulling(self.sandbox, **options)
        try:
            batches = connector.read(self.name, self.table.cursor, context or Context())
            for number, batch in enumerate(batches, start=1):
                self.table.commit(batch)
                if number == pages:
                    return
        finally:
            connector.close()

    def is_true(self) -> bool:
        return self.table.rows == self.sandbox.rows(self.name)


def asked(sandbox: StripeSandbox) -> int:
    return sum(sandbox.requests().values())


def at(pulled: Pulled, member: str) -> str:
    """What the marker says of the list's upper end."""
    assert pulled.table.cursor is not None
    objects = pulled.table.cursor.get("objects", {})
    assert isinstance(objects, dict)
    return str(objects.get(member, ""))


def vanish(sandbox: StripeSandbox, row_id: str) -> None:
    """Delete one customer."""
    account = sandbox._account
    row = account.customers.get(row_id)
    assert row is not None
    account.emit("customer.deleted", row, OTHER)
    account.remove(row)
