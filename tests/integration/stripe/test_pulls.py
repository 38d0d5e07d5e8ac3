"""Streams of the Stripe stand-in: whatever dies, vanishes or comes late, the table is what Stripe holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from leaderjobs.connectors.stripe import pull as stripe_pull
from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.errors import FatalError
from leaderjobs.model.job import Window
from leaderjobs.model.stream import CursorKind
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.testing import Context
from leaderjobs.values import Rate
from tests.unit.connectors.pulling import Pulled, asked, pulling, stream

NAMES = [found.name for found in StripeConnector.streams]
DELETED = ["customers", "products", "prices", "invoices"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_read_whole_and_then_what_has_become_of_it(
    name: str, sandboxed: Callable[..., StripeSandbox]
) -> None:
    kind = "customers" if name == "events" else name
    sandbox = sandboxed(**({} if kind == "invoices" else {kind: 25}))
    if kind in {"invoices", "customers"}:
        sandbox.add(kind, 15)
    pulled = Pulled(sandbox, name)
    pulled.sync()
    assert pulled.is_true()
    for _ in range(3):
        sandbox.add(kind, 12)
        if stream(kind).cursor is CursorKind.CHANGES:
            sandbox.modify(kind, 12)
        if kind in DELETED:
            sandbox.remove(kind, 4)
        sandbox.advance(timedelta(days=2))
        pulled.sync()
        assert pulled.is_true()
        assert len(pulled.table.deleted) >= (0 if kind not in DELETED or name == "events" else 1)


@pytest.mark.parametrize("name", ["customers", "prices", "balance_transactions", "events"])
def test_a_death_after_every_page_leaves_no_gap_and_asks_for_none_twice(
    name: str, sandboxed: Callable[..., StripeSandbox]
) -> None:
    sandbox = sandboxed(**({} if name == "events" else {name: 47}))
    if name == "events":
        sandbox.add("customers", 47)
        sandbox.advance(timedelta(days=1))
    pulled = Pulled(sandbox, name)
    for _ in range(12):
        pulled.sync(pages=1)
    assert pulled.is_true()
    assert sandbox.state()["pages_asked_twice"] == 0
    # Of what was made in one second, active or not, only Stripe knows the order.
    assert pulled.table.received - 47 in range(3 if name == "prices" else 1)
    for _ in range(2):
        sandbox.add("customers" if name == "events" else name, 25)
        sandbox.advance(timedelta(hours=1))
        for _ in range(9):
            pulled.sync(pages=1)
        assert pulled.is_true()
    assert sandbox.state()["pages_asked_twice"] == 0


def test_a_first_read_costs_a_request_per_page_and_two_and_a_quiet_one_two(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    sandbox = sandboxed(customers=95, balance_transactions=95)
    customers, entries = Pulled(sandbox, "customers"), Pulled(sandbox, "balance_transactions")
    customers.sync()
    assert asked(sandbox) == 10 + 2
    customers.sync()
    assert asked(sandbox) == 10 + 2 + 2
    entries.sync()
    entries.sync()
    assert asked(sandbox) == 10 + 2 + 2 + 10 + 1 + 1
    assert len(customers.table.landings) == len(entries.table.landings) == 10


def test_what_is_made_while_the_list_is_read_is_there_in_the_end(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    sandbox = sandboxed(customers=45)
    pulled = Pulled(sandbox, "customers")
    for _ in range(4):
        pulled.sync(pages=1)
        sandbox.add("customers", 7)
        sandbox.modify("customers", 9)
        sandbox.remove("customers", 3)
        sandbox.advance(timedelta(seconds=30))
    pulled.sync()
    assert pulled.is_true()


def test_a_window_is_read_for_itself_and_from_any_page_of_it(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    sandbox = sandboxed(charges=60)
    made = sorted(row["created"] for row in sandbox.rows("charges").values())
    since, until = made[12], made[48]
    window = Window(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC))
    pulled = Pulled(sandbox, "charges")
    for _ in range(8):
        pulled.sync(Context(window=window), pages=1)
    inside = {key: row for key, row in sandbox.rows("charges").items() if since <= row["created"] < until}
    assert pulled.table.rows == inside
    assert 0 < len(inside) < 60
    assert asked(sandbox) == len(pulled.table.landings) == -(-len(inside) // 10)
    pulled.table.cursor = None
    pulled.sync(Context(window=Window(until=window.until)))
    assert len(pulled.table.rows) > len(inside)
    assert max(row["created"] for row in pulled.table.rows.values()) < until
    with pytest.raises(FatalError, match="not a place in Stripe's lists"):
        pulled.sync()


@pytest.mark.parametrize("upward", [False, True])
def test_a_list_that_does_not_move_on_is_given_up(
    sandboxed: Callable[..., StripeSandbox], *, upward: bool
) -> None:
    sandbox = sandboxed(payouts=25)
    pulled = Pulled(sandbox, "payouts")
    if upward:
        pulled.sync()
        sandbox.add("payouts", 15)
    sandbox.faults.replace(Fault(kind=FaultKind.EQUAL_CURSORS, path="/v1/payouts", skip=0 if upward else 1))
    before = sandbox.requests().get("GET /v1/payouts", 0)
    with pytest.raises(FatalError, match=r"goes on, but after po_\w+ comes po_"):
        pulled.sync()
    assert sandbox.requests()["GET /v1/payouts"] - before <= 3


@pytest.mark.parametrize("upward", [False, True])
def test_a_list_without_an_end_is_given_up(
    sandboxed: Callable[..., StripeSandbox], monkeypatch: pytest.MonkeyPatch, *, upward: bool
) -> None:
    sandbox = sandboxed(payouts=60)
    pulled = Pulled(sandbox, "payouts")
    if upward:
        pulled.sync()
        sandbox.add("payouts", 60)
    monkeypatch.setattr(stripe_pull, "MOST_PAGES", 4)
    with pytest.raises(FatalError, match="has not ended after 4 pages"):
        pulled.sync()


def test_a_page_that_holds_a_row_twice_gives_the_later_one(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=25)
    sandbox.faults.replace(Fault(kind=FaultKind.DUPLICATE_ID))
    pulled = Pulled(sandbox, "customers")
    pulled.sync()
    sandbox.modify("customers", 12)
    pulled.sync()
    assert pulled.is_true()
    assert sandbox.faults.struck() >= 5


def test_amounts_and_rates_keep_every_digit(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(balance_transactions=5)
    pulled = Pulled(sandbox, "balance_transactions")
    pulled.sync()
    for row in pulled.table.rows.values():
        assert row["amount"] > 2**53
        assert row["net"] == row["amount"] - 1
        assert isinstance(row["exchange_rate"], Decimal)
        assert len(str(row["exchange_rate"])) >= 20
    assert pulled.is_true()


def test_every_read_names_the_account_and_the_version(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=3)
    Pulled(sandbox, "customers").sync(account="acct_123")
    seen = sandbox.recorded()
    assert len(seen) == 3
    assert {request.headers["Stripe-Account"] for request in seen} == {"acct_123"}
    assert {request.headers["Stripe-Version"] for request in seen} == {"2026-10-28.endive"}
    assert len({request.headers["Authorization"] for request in seen}) == 1


def test_reads_are_paced(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=195)
    context = Context()
    connector = pulling(sandbox, rate_limit=Rate(4, timedelta(seconds=1)))
    list(connector.read("customers", None, context))
    connector.close()
    assert sum(context.waits, timedelta()) >= timedelta(seconds=4)
