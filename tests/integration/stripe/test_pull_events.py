"""What events say of Stripe's objects: updates, deletions, and what to do when they are lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from leaderjobs.errors import FatalError, Forbidden, RateLimited, TransientError, Unauthenticated
from leaderjobs.model.batch import Landing
from leaderjobs.model.job import Window
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.keyed import OTHER
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.testing import Context
from leaderjobs.values import Secret
from tests.unit.connectors.pulling import TEN_MINUTES, Pulled, pulling

MONTH = timedelta(days=31)


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(customers=45) as running:
        yield running


@pytest.fixture
def pulled(sandbox: StripeSandbox) -> Pulled:
    made = Pulled(sandbox, "customers")
    made.sync()
    return made


def test_deleted_objects_are_deleted_and_stay_so(sandbox: StripeSandbox, pulled: Pulled) -> None:
    gone = set(sandbox.remove("customers", 5))
    pulled.sync()
    assert pulled.table.deleted == gone
    assert pulled.is_true()
    # The events of the last ten minutes are read again, and those before the deletions with them.
    sandbox.modify("customers", 3)
    pulled.sync()
    assert pulled.table.deleted == gone
    assert pulled.is_true()


def test_a_canceled_subscription_is_called_deleted_and_is_not() -> None:
    with StripeSandbox(subscriptions=12) as sandbox:
        pulled = Pulled(sandbox, "subscriptions")
        pulled.sync()
        assert "canceled" in {row["status"] for row in pulled.table.rows.values()}
        canceled = sandbox.cancel_subscriptions(5)
        pulled.sync()
        assert {pulled.table.rows[key]["status"] for key in canceled} == {"canceled"}
        assert pulled.table.deleted == set()
        assert pulled.is_true()


def test_the_last_of_many_events_of_one_second_counts(sandbox: StripeSandbox, pulled: Pulled) -> None:
    customer = next(iter(sandbox._account.customers.rows()))
    for place in range(25):
        turned = type(customer)(id=customer.id, created=customer.created, email=f"{place}@example.com")
        sandbox._account.put(turned)
        sandbox._account.emit("customer.updated", turned, OTHER)
    for _ in range(6):
        pulled.sync(pages=1)
    pulled.sync()
    assert pulled.table.rows[customer.id]["email"] == "24@example.com"
    pulled.sync()
    assert pulled.table.rows[customer.id]["email"] == "24@example.com"


def test_an_older_page_does_not_undo_a_newer_event(sandbox: StripeSandbox, pulled: Pulled) -> None:
    """A window's page was fetched, then the sync beside it landed what has happened since."""
    sandbox.advance(timedelta(hours=1))
    connector = pulling(sandbox)
    everything = Window(datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(2**33, UTC))
    old = list(connector.read("customers", None, Context(window=everything)))
    connector.close()
    sandbox.advance(timedelta(seconds=2))
    gone, changed = set(sandbox.remove("customers", 5)), sandbox.modify("customers", 10)
    pulled.sync()
    assert pulled.is_true()
    cursor = pulled.table.cursor
    pulled.table.take(old)
    pulled.table.cursor = cursor
    assert pulled.table.deleted == gone
    assert all(pulled.table.rows[key] == sandbox.rows("customers")[key] for key in changed)
    assert pulled.is_true()


def test_an_older_event_does_not_undo_a_newer_page(sandbox: StripeSandbox, pulled: Pulled) -> None:
    """The event was read first and committed last."""
    sandbox.modify("customers", 10)
    sandbox.advance(timedelta(minutes=2))
    connector = pulling(sandbox)
    (event,) = islice(connector.read("customers", pulled.table.cursor, Context()), 1)
    connector.close()
    customers = list(sandbox._account.customers.rows())
    for customer in customers:  # Nobody is told of this.
        sandbox._account.put(
            type(customer)(id=customer.id, created=customer.created, email="new@example.com")
        )
    pulled.table.reset()
    pulled.sync()
    pulled.table.commit(event)
    assert pulled.is_true()


def test_a_month_without_a_sync_is_told_and_everything_is_read_again(
    sandbox: StripeSandbox, pulled: Pulled
) -> None:
    gone = sandbox.remove("customers", 5)
    sandbox.modify("customers", 5)
    sandbox.add("customers", 5)
    sandbox.advance(MONTH)
    sandbox.modify("customers", 5)
    context = Context()
    walked = len(pulled.table.landings)
    pulled.sync(context)
    assert pulled.is_true()
    assert set(gone) <= pulled.table.deleted
    assert pulled.table.landings[walked : walked + 6] == [Landing.RESTART, *[Landing.WALK] * 4, Landing.SWEEP]
    (line,) = context.lines
    assert line.startswith("stripe customers: events were last read on 20")
    assert "31 days ago" in line
    gap = (pulled.table.cursor or {}).get("gap")
    assert isinstance(gap, list)
    assert gap[1] - gap[0] == pytest.approx(MONTH.total_seconds(), abs=700)
    again = Context()
    pulled.sync(again)
    assert again.lines == []


def test_reading_everything_again_goes_on_at_every_page_of_it(sandbox: StripeSandbox, pulled: Pulled) -> None:
    sandbox.remove("customers", 5)
    sandbox.advance(MONTH)
    before, lines = sandbox.requests()["GET /v1/customers"], 0
    for _ in range(9):
        context = Context()
        pulled.sync(context, pages=1)
        lines += len(context.lines)
        sandbox.modify("customers", 1)
        sandbox.advance(timedelta(hours=1))
    pulled.sync()
    assert pulled.is_true()
    assert lines == 1
    assert pulled.table.landings.count(Landing.SWEEP) == 2
    assert sandbox.requests()["GET /v1/customers"] - before <= 4 + 6


def test_a_walk_that_is_itself_interrupted_for_a_month_begins_again(
    sandbox: StripeSandbox, pulled: Pulled
) -> None:
    sandbox.advance(MONTH)
    pulled.sync(pages=3)
    gone = sandbox.remove("customers", 10)
    sandbox.advance(MONTH)
    context = Context()
    pulled.sync(context)
    assert pulled.is_true()
    assert set(gone) <= pulled.table.deleted
    assert len(context.lines) == 1


def test_a_quiet_year_with_syncs_is_no_gap(sandbox: StripeSandbox, pulled: Pulled) -> None:
    sandbox.modify("customers", 1)
    lines = []
    for _ in range(16):
        context = Context()
        pulled.sync(context)
        lines += context.lines
        sandbox.advance(timedelta(days=25))
    assert lines == []
    assert pulled.is_true()
    assert sandbox.requests()["GET /v1/customers"] < 30
    sandbox.modify("customers", 25)
    sandbox.advance(TEN_MINUTES)
    pulled.sync()
    assert pulled.is_true()


@pytest.mark.parametrize("committed", range(4))
def test_events_are_read_on_from_any_page_of_them(
    sandbox: StripeSandbox, pulled: Pulled, committed: int
) -> None:
    sandbox.modify("customers", 12)
    sandbox.advance(TEN_MINUTES)
    pulled.sync()
    sandbox.advance(timedelta(days=1))
    sandbox.modify("customers", 20)
    sandbox.remove("customers", 9)
    sandbox.add("customers", 10)
    sandbox.advance(TEN_MINUTES)
    before = sandbox.state()["pages_asked_twice"]
    pulled.sync(pages=committed or None)
    pulled.sync()
    assert pulled.is_true()
    assert sandbox.state()["pages_asked_twice"] == before


def test_lost_events_of_the_events_themselves_are_told_and_what_was_read_stays(
    sandbox: StripeSandbox,
) -> None:
    pulled = Pulled(sandbox, "events")
    sandbox.add("customers", 15)
    pulled.sync()
    kept = set(pulled.table.rows)
    sandbox.advance(MONTH)
    sandbox.add("customers", 15)
    context = Context()
    pulled.sync(context)
    assert len(context.lines) == 1
    assert len(pulled.table.rows) == 30
    assert kept < set(pulled.table.rows)
    assert pulled.table.deleted == set()


@pytest.mark.parametrize("path", ["/v1/invoices", "/v1/events"])
def test_a_key_that_may_not_read_a_stream_is_told_by_name(sandbox: StripeSandbox, path: str) -> None:
    denied = Fault(
        kind=FaultKind.ERROR, path=path, status=403, error_type="invalid_request_error", error_code=""
    )
    sandbox.faults.replace(denied)
    with pytest.raises(Forbidden, match=f"stream invoices: {path}: .* may not read {path}"):
        Pulled(sandbox, "invoices").sync()


def test_a_key_that_is_wrong_and_a_limit_are_told(sandbox: StripeSandbox) -> None:
    with pytest.raises(Unauthenticated, match="check api_key") as caught:
        Pulled(sandbox, "invoices").sync(api_key=Secret(literal="sk_test_hunter2"))
    assert "hunter" not in str(caught.value)
    with pytest.raises(FatalError, match="LEADERJOBS_NO_SUCH"):
        Pulled(sandbox, "invoices").sync(api_key=Secret(env="LEADERJOBS_NO_SUCH"))
    sandbox.faults.replace(Fault(kind=FaultKind.RATE_LIMITED, retry_after="7"))
    with pytest.raises(RateLimited, match="limit global-rate") as limited:
        Pulled(sandbox, "invoices").sync()
    assert limited.value.retry_after == timedelta(seconds=7)
    sandbox.faults.replace(
        Fault(
            kind=FaultKind.ERROR,
            status=400,
            error_type="invalid_request_error",
            error_code="RESOURCE_MISSING",
        )
    )
    with pytest.raises(FatalError, match="resource_missing"):
        Pulled(sandbox, "invoices").sync()


def test_a_page_that_nothing_answers_is_asked_for_again(sandbox: StripeSandbox) -> None:
    sandbox.faults.replace(
        Fault(kind=FaultKind.RESET, skip=1, count=2), Fault(kind=FaultKind.EMPTY_PAGE, skip=3, count=1)
    )
    pulled = Pulled(sandbox, "customers")
    pulled.sync()
    assert pulled.is_true()
    assert sandbox.faults.struck() == 3
    sandbox.faults.replace(Fault(kind=FaultKind.EMPTY_PAGE))
    pulled.table.reset()
    with pytest.raises(TransientError, match="its page is empty"):
        pulled.sync()
