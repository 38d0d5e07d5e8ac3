"""What Stripe shows: one object, a page of a list, a search."""

from __future__ import annotations

import base64
import fnmatch
import operator
from collections.abc import Callable
from typing import Any

from leaderjobs.sandbox.faults import FaultKind
from leaderjobs.sandbox.shelf import AnchorGoneError, R, Row, Shelf, Wanted
from leaderjobs.sandbox.stripe.account import EVENT_SECONDS, Account
from leaderjobs.sandbox.stripe.errors import missing, unfit
from leaderjobs.sandbox.stripe.forms import Params
from leaderjobs.sandbox.stripe.objects import Event
from leaderjobs.sandbox.stripe.search import query
from leaderjobs.sandbox.stripe.shapes import Json, listed, shape

MOST_PAGE = 100
DEFAULT_PAGE = 10
MOST_SECOND = 2**40
_SPANS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_BOTH = "Received both starting_after and ending_before parameters. Please pass in only one."
Fits = Callable[[Any], bool]


class Reads:
    """Reads of one account; `as_of` is how things were then, None how they are."""

    def __init__(self, account: Account) -> None:
        """Of this account."""
        self._account = account

    def one(self, shelf: Shelf[R], row_id: str, as_of: float | None) -> R:
        """An object by id; an event only for 30 days."""
        row = shelf.get(row_id, as_of)
        if row is None or (isinstance(row, Event) and row.created < self._oldest_event()):
            raise missing(shelf.noun, row_id)
        return row

    def page(self, shelf: Shelf[R], params: Params, as_of: float | None) -> Json:
        """A page of a list; the parameters are its own and those of every list."""
        fits = _FILTERS[shelf.path](params)
        within = _created(params)
        wanted = _wanted(params)
        params.done()
        since = 0
        if shelf.path == self._account.events.path:
            since = self._oldest_event()
            self._refuse_old_anchor(wanted, since)
        try:
            rows, more = shelf.page(
                wanted, lambda row: row.created >= since and fits(row) and within(row), as_of
            )
        except AnchorGoneError as gone:
            raise missing(shelf.noun, gone.row_id, gone.parameter) from None
        return listed(shelf.path, [shape(row) for row in rows], more=more)

    def search(self, params: Params, as_of: float | None) -> Json:
        """Payment intents that match a query; `as_of` is how far the index has come."""
        text = params.required("query")
        matches = query(text)
        limit = params.integer("limit", 1, MOST_PAGE) or DEFAULT_PAGE
        start = _opened(params.text("page"), text)
        params.done()
        found = [row for row in self._account.intents.rows(as_of) if matches(row)]
        page = found[start : start + limit]
        more = len(found) > start + limit
        return {
            "object": "search_result",
            "data": [shape(row) for row in page],
            "has_more": more,
            "next_page": _sealed(start + limit, text) if more else None,
            "url": "/v1/payment_intents/search",
        }

    def balance(self) -> Json:
        """What came in less what went back, by the book."""
        lines = [(line.currency, line.amount) for line in self._account.book.payments()]
        lines += [(line.currency, -line.amount) for line in self._account.book.refunds()]
        currencies = sorted({currency for currency, _ in lines} or {"usd"})
        sums = {
            currency: sum(amount for name, amount in lines if name == currency) for currency in currencies
        }
        return {
            "object": "balance",
            "available": [
                {"amount": amount, "currency": currency, "source_types": {"card": amount}}
                for currency, amount in sums.items()
            ],
            "livemode": False,
            "pending": [
                {"amount": 0, "currency": currency, "source_types": {"card": 0}} for currency in currencies
            ],
        }

    def _oldest_event(self) -> int:
        return self._account.now() - EVENT_SECONDS

    def _refuse_old_anchor(self, wanted: Wanted, since: int) -> None:
        for parameter in ("starting_after", "ending_before"):
            anchor = getattr(wanted, parameter)
            event = self._account.events.get(anchor or "")
            if event is not None and event.created < since:
                raise missing("event", anchor, parameter)


def spoil(shown: Json, params: Params, faults: frozenset[FaultKind]) -> None:
    """What can be wrong with a page that has rows."""
    rows = shown["data"]
    anchor = params.peek("starting_after", "ending_before")
    if FaultKind.EMPTY_PAGE in faults:
        shown.update(data=[], has_more=True)
    if FaultKind.EQUAL_CURSORS in faults:
        shown["has_more"] = True
        if anchor is not None:
            again = {**rows[0], "id": anchor}
            rows[:] = [again, *rows] if params.peek("ending_before") else [*rows, again]
    if FaultKind.DUPLICATE_ID in faults:
        rows.insert(0, {**rows[0], "metadata": {"outdated": "yes"}} if "metadata" in rows[0] else rows[0])


def _wanted(params: Params) -> Wanted:
    wanted = Wanted(
        params.integer("limit", 1, MOST_PAGE) or DEFAULT_PAGE,
        params.text("starting_after"),
        params.text("ending_before"),
    )
    if wanted.starting_after and wanted.ending_before:
        raise unfit(_BOTH, "parameters_exclusive", None)
    return wanted


def _created(params: Params) -> Callable[[Row], bool]:
    """`created` as one second, or between bounds."""
    if params.peek("created") is not None:
        second = params.integer("created", 0, MOST_SECOND)
        return lambda row: row.created == second
    bounds = params.group("created")
    asked = [(holds, bounds.integer(name, 0, MOST_SECOND)) for name, holds in _SPANS.items()]
    given = [(holds, bound) for holds, bound in asked if bound is not None]
    return lambda row: all(holds(row.created, bound) for holds, bound in given)


def _same(**wanted: str | None) -> Fits:
    """Rows whose attributes are these; what is None is not looked at."""
    given = [(operator.attrgetter(name), value) for name, value in wanted.items() if value is not None]
    if len(given) == 1:  # A look-up by id goes through everything that there is, so it should be quick.
        ((of, only),) = given
        return lambda row: of(row) == only
    return lambda row: all(of(row) == value for of, value in given)


def _customers(params: Params) -> Fits:
    return _same(email=params.text("email"))


def _invoices(params: Params) -> Fits:
    statuses = ("draft", "open", "paid", "uncollectible", "void")
    return _same(
        customer=params.text("customer"),
        collection_method=params.choice("collection_method", ("charge_automatically", "send_invoice")),
        status=params.choice("status", statuses),
    )


def _items(params: Params) -> Fits:
    return _same(customer=params.text("customer"), invoice=params.text("invoice"))


def _invoice_payments(params: Params) -> Fits:
    payment = params.group("payment")
    kind = payment.choice("type", ("payment_intent", "payment_record"))
    intent = payment.text("payment_intent")
    if kind == "payment_record":
        return lambda _row: False
    return _same(
        invoice=params.text("invoice"),
        status=params.choice("status", ("open", "paid", "canceled")),
        intent=intent,
    )


def _intents(params: Params) -> Fits:
    return _same(customer=params.text("customer"))


def _charges(params: Params) -> Fits:
    return _same(customer=params.text("customer"), payment_intent=params.text("payment_intent"))


def _refunds(params: Params) -> Fits:
    return _same(charge=params.text("charge"), payment_intent=params.text("payment_intent"))


def _active(params: Params) -> Fits:
    """Products or prices; without `active` both kinds."""
    active = params.choice("active", ("true", "false"))
    return lambda row: active is None or row.members["active"] is (active == "true")


def _subscriptions(params: Params) -> Fits:
    """Without a status all but those that are canceled."""
    status, customer = params.text("status"), params.text("customer")
    return lambda row: (
        (
            (row.members["status"] == status if status else row.members["status"] != "canceled")
            or status == "all"
        )
        and customer in {None, row.members["customer"]}
    )


def _members(*names: str) -> Callable[[Params], Fits]:
    """Objects whose members are these."""

    def read(params: Params) -> Fits:
        wanted = {name: value for name in names if (value := params.text(name)) is not None}
        return lambda row: all(row.members[name] == value for name, value in wanted.items())

    return read


def _events(params: Params) -> Fits:
    one, several = params.text("type"), params.texts("types")
    params.skip("delivery_success")
    if one and several:
        raise unfit(
            "You may only specify one of these parameters: type, types.", "parameters_exclusive", "type"
        )
    patterns = (one,) if one else several
    return lambda row: not patterns or any(fnmatch.fnmatchcase(row.type, pattern) for pattern in patterns)


def _sealed(start: int, text: str) -> str:
    return base64.urlsafe_b64encode(f"{start} {text}".encode()).decode()


def _opened(page: str | None, text: str) -> int:
    """Where a search goes on; Stripe's refusal for a token of another query."""
    if page is None:
        return 0
    try:
        start, _, of = base64.urlsafe_b64decode(page).decode().partition(" ")
    except ValueError:
        start, of = "", ""
    if of != text or not start.isdigit():
        raise unfit("Invalid page token for this query.", None, "page")
    return int(start)


_FILTERS: dict[str, Callable[[Params], Fits]] = {
    "/v1/customers": _customers,
    "/v1/invoices": _invoices,
    "/v1/invoiceitems": _items,
    "/v1/invoice_payments": _invoice_payments,
    "/v1/payment_intents": _intents,
    "/v1/charges": _charges,
    "/v1/refunds": _refunds,
    "/v1/products": _active,
    "/v1/prices": _active,
    "/v1/subscriptions": _subscriptions,
    "/v1/payouts": _members("status", "destination"),
    "/v1/disputes": _members("charge", "payment_intent"),
    "/v1/balance_transactions": _members("currency", "payout", "source", "type"),
    "/v1/events": _events,
}
