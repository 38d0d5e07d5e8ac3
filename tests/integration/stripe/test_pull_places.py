"""The Stripe stand-in's lists are read upward and down although objects vanish, and others show late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.model.batch import Landing
from leaderjobs.model.job import Window
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.testing import Context
from tests.unit.connectors.pulling import TEN_MINUTES, Pulled, asked, at, vanish


def test_the_object_that_a_walk_down_has_come_to_may_vanish(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=45)
    pulled = Pulled(sandbox, "customers")
    pulled.sync(pages=2)
    assert pulled.table.cursor is not None
    vanish(sandbox, str(pulled.table.cursor["after"]))
    before = asked(sandbox)
    pulled.sync()
    assert pulled.is_true()
    # One that fails, four that go on from that second, the events and the list above: none from the top.
    assert asked(sandbox) - before <= 1 + 4 + 2
    assert pulled.table.landings[:4] == [Landing.WALK] * 4


@pytest.mark.parametrize("more", [3, 35])
@pytest.mark.parametrize("oldest", [False, True])
def test_the_object_that_the_list_is_read_upward_from_may_vanish(
    more: int, sandboxed: Callable[..., StripeSandbox], *, oldest: bool
) -> None:
    sandbox = sandboxed(customers=1 if oldest else 45)
    pulled = Pulled(sandbox, "customers")
    pulled.sync()
    pages = sandbox.requests()["GET /v1/customers"]
    vanish(sandbox, at(pulled, "id"))
    sandbox.add("customers", more)
    sandbox.advance(TEN_MINUTES)
    pulled.sync()
    assert pulled.is_true()
    if not oldest:
        assert sandbox.requests()["GET /v1/customers"] - pages <= 1 + 2 + more // 10 + 1
    sandbox.add("customers", 2)
    pulled.sync()
    assert pulled.is_true()


def test_an_object_that_shows_late_is_not_passed_by(sandboxed: Callable[..., StripeSandbox]) -> None:
    """Balance transactions: no event tells of them."""
    sandbox = sandboxed(balance_transactions=12)
    pulled = Pulled(sandbox, "balance_transactions")
    pulled.sync()
    sandbox.add("balance_transactions", 12)
    late = sandbox.hide("balance_transactions")
    sandbox.add("balance_transactions", 12)
    sandbox.advance(timedelta(minutes=5))
    pulled.sync(pages=2)
    pulled.sync()
    assert late not in pulled.table.rows
    sandbox.reveal(late)
    sandbox.advance(timedelta(minutes=20))
    pulled.sync()
    assert pulled.is_true()


@pytest.mark.parametrize("old", [0, 12])
def test_a_walk_up_that_was_interrupted_passes_nothing_by_that_shows_late(
    old: int, sandboxed: Callable[..., StripeSandbox]
) -> None:
    """When it goes on, what it had read is old enough; but it was not when it was read."""
    sandbox = sandboxed(balance_transactions=old)
    pulled = Pulled(sandbox, "balance_transactions")
    pulled.sync()
    sandbox.add("balance_transactions", 3)
    late = sandbox.hide("balance_transactions")
    sandbox.add("balance_transactions", 20)
    pulled.sync(pages=1)
    sandbox.reveal(late)
    sandbox.advance(timedelta(minutes=20))
    pulled.sync()
    assert pulled.is_true()


def test_a_list_without_an_old_object_passes_nothing_by_that_shows_late(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    """Only its time tells how far it has been read."""
    sandbox = sandboxed()
    pulled = Pulled(sandbox, "balance_transactions")
    pulled.sync()
    late = sandbox.hide("balance_transactions")
    for minutes in (5, 9, 2):
        sandbox.add("balance_transactions", 1)
        sandbox.advance(timedelta(minutes=minutes))
        if minutes == 9:
            sandbox.reveal(late)
        pulled.sync()
    assert pulled.is_true()


def test_a_busy_list_that_is_read_every_few_minutes_passes_nothing_by(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    """There is always something that has not settled; it is read twice, and not with every sync."""
    sandbox = sandboxed(balance_transactions=12)
    pulled = Pulled(sandbox, "balance_transactions")
    pulled.sync()
    late: list[str] = []
    for _ in range(30):
        sandbox.add("balance_transactions", 1)
        late.append(sandbox.hide("balance_transactions"))
        sandbox.add("balance_transactions", 1)
        sandbox.advance(timedelta(minutes=2))
        if len(late) > 3:
            sandbox.reveal(late.pop(0))
        pulled.sync()
    assert len(pulled.table.rows) < 12 + 3 * 30 - len(late)
    for row_id in late:
        sandbox.reveal(row_id)
    sandbox.advance(TEN_MINUTES)
    pulled.sync()
    assert pulled.is_true()
    assert pulled.table.received < 3 * len(pulled.table.rows)


def test_leaders_that_die_at_every_second_page_come_to_an_end(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    """What has not settled is not begun anew by every process."""
    sandbox = sandboxed(customers=25)
    sandbox.modify("customers", 12)
    pulled = Pulled(sandbox, "customers")
    for _ in range(3 + 2):
        pulled.sync(pages=1)
    pulled.sync()
    assert len(pulled.table.landings) == 3 + 2
    assert pulled.is_true()


def test_the_object_that_a_walk_up_has_come_to_may_vanish(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=12)
    pulled = Pulled(sandbox, "customers")
    pulled.sync()
    for _ in range(2):
        sandbox.add("customers", 15)
        sandbox.advance(timedelta(minutes=4))
    # Three pages of events, then two of the list, which end among what was made last.
    pulled.sync(pages=5)
    vanish(sandbox, at(pulled, "up"))
    before = sandbox.requests()["GET /v1/customers"]
    pulled.sync()
    assert pulled.is_true()
    # One that fails, one to see whether that second fits a page, one to find what lies below, two pages.
    assert sandbox.requests()["GET /v1/customers"] - before == 5


def test_events_of_the_minutes_before_the_first_page_are_read(
    sandboxed: Callable[..., StripeSandbox],
) -> None:
    """The list may have been a copy from before them."""
    sandbox = sandboxed(customers=12)
    sandbox.modify("customers", 3)
    sandbox.advance(timedelta(minutes=5))
    pulled = Pulled(sandbox, "customers")
    pulled.sync()
    assert pulled.table.received == 12 + 3


def test_the_object_that_a_window_has_come_to_may_vanish(sandboxed: Callable[..., StripeSandbox]) -> None:
    sandbox = sandboxed(customers=45)
    made = sorted(row["created"] for row in sandbox.rows("customers").values())
    window = Window(datetime.fromtimestamp(made[6], UTC), datetime.fromtimestamp(made[-6], UTC))
    pulled = Pulled(sandbox, "customers")
    pulled.sync(Context(window=window), pages=1)
    assert pulled.table.cursor is not None
    gone = str(pulled.table.cursor["after"])
    vanish(sandbox, gone)
    pulled.sync(Context(window=window))
    inside = {
        key: row for key, row in sandbox.rows("customers").items() if made[6] <= row["created"] < made[-6]
    }
    assert {key: row for key, row in pulled.table.rows.items() if key != gone} == inside
