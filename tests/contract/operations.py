"""Every operation, each at a sandbox of its provider, for the suites that hold them to their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from leaderjobs.connectors import registry
from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.rest.settings import RestLookUp, RestOperationSettings
from leaderjobs.sandbox.keyed import OTHER, KeyedSandbox
from leaderjobs.sandbox.orders import OrdersSandbox
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.values import Duration, Secret

ORDER = RestOperationSettings(
    path="/orders",
    arguments={"order": "text", "cents": "integer"},
    business_key="order:{order}:create",
    body={"reference": "{order}", "cents": "{cents}"},
    idempotency_header="Idempotency-Key",
    replay_window=Duration(hours=23),
    id="id",
    look_up=RestLookUp(
        path="/orders",
        parameters={"reference": "{order}"},
        records="data",
        match={"reference": "{order}"},
        id="id",
    ),
)


@dataclass(frozen=True)
class Case:
    """One operation at a sandbox; `given` is a wish that can be had there."""

    connector: str
    operation: str
    sandbox: Callable[[], KeyedSandbox]
    given: Callable[[Any], dict[str, object]]
    happened: Callable[[Any], int]
    """How often the effect is in the provider's book."""


@dataclass(frozen=True)
class Rig:
    """A case with its sandbox running."""

    case: Case
    sandbox: Any

    @property
    def secret(self) -> str:
        return str(self.sandbox.token if self.case.connector == "rest" else self.sandbox.api_key)

    @contextmanager
    def connection(self, url: str = "", timeout: float = 5) -> Iterator[Connector]:
        kind = registry.settings_type(self.case.connector)
        values: dict[str, Any] = {"base_url": url or self.sandbox.url, "timeout": Duration(seconds=timeout)}
        if self.case.connector == "rest":
            values["headers"] = {"Authorization": Secret(literal=f"Bearer {self.secret}")}
        else:
            values["api_key"] = Secret(literal=self.secret)
        declared = {self.case.operation: ORDER} if registry.declares(self.case.connector) else {}
        made = registry.make(self.case.connector, "shop", kind(**values), Paces(), declared)
        try:
            yield made
        finally:
            made.close()

    def wish(self) -> dict[str, object]:
        return self.case.given(self.sandbox)

    def happened(self) -> int:
        return self.case.happened(self.sandbox)


def _paid_intent(sandbox: StripeSandbox) -> str:
    invoice = next(row.id for row in sandbox._account.invoices.rows())
    return sandbox.pay_by_other(invoice)


def _new_intent(sandbox: StripeSandbox) -> str:
    made = sandbox._payments.create(
        OTHER, amount=500, currency="usd", customer=None, payment_method="pm_card_visa", metadata={}
    )
    return made.id


CASES = [
    Case(
        "stripe",
        "pay_invoice",
        lambda: StripeSandbox(invoices=1),
        lambda sandbox: {"invoice": next(row.id for row in sandbox._account.invoices.rows())},
        lambda sandbox: len(sandbox.book.payments()),
    ),
    Case(
        "stripe",
        "confirm_payment_intent",
        StripeSandbox,
        lambda sandbox: {"payment_intent": _new_intent(sandbox), "amount": "500", "currency": "USD"},
        lambda sandbox: len(sandbox.book.payments()),
    ),
    Case(
        "stripe",
        "create_refund",
        lambda: StripeSandbox(invoices=1),
        lambda sandbox: {"payment_intent": _paid_intent(sandbox), "amount": "100", "reference": "first"},
        lambda sandbox: len(sandbox.book.refunds()),
    ),
    Case(
        "rest",
        "create_order",
        OrdersSandbox,
        lambda _: {"order": "A 7/ö", "cents": "1250"},
        lambda sandbox: len(sandbox.book.orders()),
    ),
]
