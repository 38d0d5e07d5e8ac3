"""What the tests at the Stripe sandbox share: faults, a connection, and what was paid there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.stripe.connector import StripeConnector, StripeSettings
from leaderjobs.connectors.stripe.operation import post
from leaderjobs.model.effect import Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.values import Duration, Secret

LOST = [
    Fault(kind=FaultKind.RESET, method="POST", after=True, count=1),
    Fault(kind=FaultKind.DROP, method="POST", after=True, count=1),
    Fault(kind=FaultKind.HTML, method="POST", after=True, count=1),
    Fault(kind=FaultKind.TRUNCATED, method="POST", count=1),
    Fault(kind=FaultKind.SHAPELESS, method="POST", count=1),
    Fault(kind=FaultKind.HANG, method="POST", after=True, count=1),
    Fault(kind=FaultKind.REDIRECT, method="POST", after=True, count=1),
    Fault(kind=FaultKind.SERVER_ERROR, method="POST", after=True, stored=False, count=1),
]
"""The provider has acted and the answer is lost."""
NOT_ACTED = [
    Fault(kind=FaultKind.RESET, method="POST", count=1),
    Fault(kind=FaultKind.DROP, method="POST", count=1),
    Fault(kind=FaultKind.HTML, method="POST", count=1),
    Fault(kind=FaultKind.REDIRECT, method="POST", count=1),
    Fault(kind=FaultKind.RATE_LIMITED, method="POST", count=1),
    Fault(kind=FaultKind.SERVER_ERROR, method="POST", stored=False, count=1),
]
"""The provider never saw it, or turned it away, though a client may not be able to tell."""


def named(fault: object) -> str:
    return fault.kind.value if isinstance(fault, Fault) else ""


def connect(sandbox: StripeSandbox, **other: Any) -> StripeConnector:
    values: dict[str, Any] = {
        "base_url": sandbox.url,
        "api_key": Secret(literal=sandbox.api_key),
        "timeout": Duration(seconds=5),
    }
    return StripeConnector("books", StripeSettings(**(values | other)), Paces())


def invoice(sandbox: StripeSandbox) -> str:
    return next(row.id for row in sandbox._account.invoices.rows())


def ask(stripe: StripeConnector, request: Request) -> None:
    """Something that happens beside our ledger."""
    answer = stripe.exchange(request, timeout=timedelta(seconds=5), guard=lambda: None)
    assert answer.status in {200, 402}, answer.body


def intent(sandbox: StripeSandbox, stripe: StripeConnector, method: str | None = "pm_card_visa") -> str:
    """A payment intent that somebody has created and nobody confirmed."""
    fields = {"amount": 5000, "currency": "usd", "payment_method": method}
    ask(stripe, post("/v1/payment_intents", fields, f"made-{method}"))
    return next(row.id for row in sandbox._account.intents.rows() if row.invoice is None)


def paid(sandbox: StripeSandbox, what: str) -> int:
    return sum(what in {line.invoice, line.payment_intent} for line in sandbox.book.payments())
