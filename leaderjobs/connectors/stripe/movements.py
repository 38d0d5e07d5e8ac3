"""What moved at Stripe, by its own lists: payments of invoices, and refunds.

A list's `created` is when an object came to be, not when it was paid: an invoice's payment is created when
the invoice is finalized, which may be weeks before. What was paid since an instant is therefore told by
the events (`invoice.paid`), which Stripe keeps for 30 days; further back nothing can be said that is whole,
so it is refused. Events also name the key of the request that caused them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.connectors.base import Movement, ReadContext
from leaderjobs.connectors.documents import at, rows, table, text, whole
from leaderjobs.connectors.outcome import NO_ANSWER, UNANSWERED, Answer
from leaderjobs.connectors.pacing import Pace
from leaderjobs.connectors.stripe.errors import object_in
from leaderjobs.connectors.stripe.operations import BUSINESS_KEY, EFFECT, CreateRefund, PayInvoice
from leaderjobs.errors import FatalError, TransientError

PAGE = 100
MOST_PAGES = 2000
"""Of one list."""
MOST_UNANSWERED = 4
"""Requests sent for one page before its silence is an error."""
EVENTS_KEPT = timedelta(days=30)
_RETRY = Backoff(first=timedelta(milliseconds=500), most=timedelta(seconds=8))
_LAST_SECOND = 2**37
Row = Mapping[str, object]


@dataclass(slots=True)
class _Told:
    """What the events say."""

    paid: dict[str, Row] = field(default_factory=dict)
    """The event of an invoice that was paid."""
    refunded: dict[str, str] = field(default_factory=dict)
    """The key of the request that made a refund."""


class Movements:
    """Reads the lists, paced, and only while the context lets it."""

    def __init__(self, read: Callable[[str], Answer], pace: Pace, context: ReadContext) -> None:
        """`read` gives a 2xx answer or raises."""
        self._read = read
        self._pace = pace
        self._context = context

    def since(self, since: datetime) -> Iterator[Movement]:
        """Everything that moved since then; FatalError when that is too far back."""
        if clock.now() - since > EVENTS_KEPT:
            raise FatalError(
                f"Stripe keeps events for {EVENTS_KEPT.days} days; {since:%Y-%m-%d %H:%M} is further back",
                code="too_far_back",
            )
        second = ("created[gte]", str(int(since.timestamp())))
        told = self._events(second)
        yield from self._payments(second, told)
        for refund in self._rows("/v1/refunds", [second]):
            if refund.get("status") not in {"failed", "canceled"}:
                yield _refund(refund, told.refunded)

    def _events(self, second: tuple[str, str]) -> _Told:
        told = _Told()
        wanted = [("types[]", "invoice.paid"), ("types[]", "refund.created"), second]
        for event in self._rows("/v1/events", wanted):
            about = text(at(event, "data.object.id"))
            if event.get("type") == "invoice.paid":
                told.paid[about] = event
            else:
                told.refunded[about] = text(at(event, "request.idempotency_key"))
        return told

    def _payments(self, second: tuple[str, str], told: _Told) -> Iterator[Movement]:
        paid: dict[str, list[Row]] = {}
        for payment in self._rows("/v1/invoice_payments", [("status", "paid"), second]):
            paid.setdefault(_reference(payment.get("invoice")), []).append(payment)
        for invoice, payments in paid.items():
            yield from _of_invoice(invoice, payments, told.paid.get(invoice, {}))
        for invoice, event in told.paid.items():
            if invoice not in paid:
                wanted = [("invoice", invoice), ("status", "paid")]
                yield from _of_invoice(invoice, list(self._rows("/v1/invoice_payments", wanted)), event)

    def _rows(self, path: str, query: list[tuple[str, str]]) -> Iterator[Row]:
        """All rows of a list, newest first."""
        after: list[tuple[str, str]] = []
        for _ in range(MOST_PAGES):
            page = self._page(f"{path}?{urlencode([*query, ('limit', str(PAGE)), *after])}")
            found = [table(row) for row in rows(page.get("data"))]
            yield from found
            if page.get("has_more") is not True:
                return
            last = text(found[-1].get("id")) if found else ""
            if not last:
                raise FatalError(f"Stripe says that {path} goes on, but not where")
            after = [("starting_after", last)]
        raise FatalError(f"{path} has not ended after {MOST_PAGES} pages; give a shorter time")

    def _page(self, path: str) -> Row:
        sent = 0
        while True:
            self._pace.take(self._context)
            self._context.check()
            sent += 1
            try:
                return _listed(path, self._read(path))
            except TransientError as error:
                if error.code not in UNANSWERED or sent == MOST_UNANSWERED:
                    raise
            self._context.wait(_RETRY.delay(sent))


def _listed(path: str, answer: Answer) -> Row:
    page = object_in(answer)
    if isinstance(page.get("data"), list) and isinstance(page.get("has_more"), bool):
        return page
    where = path.partition("?")[0]
    raise TransientError(f"{where} was answered with something that is no list", code=NO_ANSWER)


def _of_invoice(invoice: str, payments: list[Row], event: Row) -> Iterator[Movement]:
    """The payments of one invoice: one movement, unless they are more than it was for.

    An invoice may be paid in parts, which together are one payment of it; and without any payment, from the
    customer's balance or outside of Stripe.
    """
    key = text(at(event, "request.idempotency_key"))
    owed = whole(at(event, "data.object.amount_due"))
    total = sum(whole(payment.get("amount_paid")) or 0 for payment in payments)
    if not payments:
        amount = whole(at(event, "data.object.amount_paid")) or 0
        facts = {"amount": amount, "currency": text(at(event, "data.object.currency"))}
        yield _payment(invoice, invoice, _instant(event.get("created")), key, facts)
        return
    parts = owed is not None and total <= owed
    for payment in payments[-1:] if parts else payments:
        facts = {
            "amount": total if parts else whole(payment.get("amount_paid")) or 0,
            "currency": text(payment.get("currency")),
        }
        paid_at = at(payment, "status_transitions.paid_at") or payment.get("created")
        alone = parts or len(payments) == 1
        remote_id = _reference(at(payment, "payment.payment_intent")) or text(payment.get("id"))
        yield _payment(invoice, remote_id, _instant(paid_at), key if alone else "", facts)


def _payment(invoice: str, remote_id: str, paid: datetime, key: str, facts: Row) -> Movement:
    return Movement(PayInvoice.name, f"invoice:{invoice}:pay", remote_id, paid, key, facts)


def _refund(refund: Row, keys: Mapping[str, str]) -> Movement:
    """One of ours says which effect it is; any other is only itself."""
    own = text(refund.get("id"))
    intent, charge = _reference(refund.get("payment_intent")), _reference(refund.get("charge"))
    of = f"payment_intent:{intent}" if intent else f"charge:{charge}"
    return Movement(
        CreateRefund.name,
        text(at(refund, f"metadata.{BUSINESS_KEY}")) or f"{of}:refund:{own}",
        own,
        _instant(refund.get("created")),
        keys.get(own) or text(at(refund, f"metadata.{EFFECT}")),
        {
            "amount": whole(refund.get("amount")) or 0,
            "currency": text(refund.get("currency")),
            "status": text(refund.get("status")),
        },
    )


def _reference(value: object) -> str:
    """The id of an object, expanded or not."""
    return text(at(value, "id")) or text(value)


def _instant(value: object) -> datetime:
    return datetime.fromtimestamp(min(max(whole(value) or 0, 0), _LAST_SECOND), UTC)
