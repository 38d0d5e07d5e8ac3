"""Plaid's own rules: an update is staged, applied, or given up as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT
from leaderjobs.connectors.patience import MOST_UNANSWERED
from leaderjobs.connectors.plaid import connector as module
from leaderjobs.connectors.plaid.connector import (
    MOST_RESTARTS,
    SYNC_PATH,
    Place,
    PlaidConnector,
)
from leaderjobs.connectors.plaid.errors import MUTATION, NOT_READY
from leaderjobs.connectors.plaid.streams import TRANSACTIONS
from leaderjobs.errors import FatalError, NeedsUser, RateLimited, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from tests.support import free_port
from tests.unit.connectors.harness import Context, Table, plaid

STAGE, APPLY, RESTART = Landing.STAGE, Landing.APPLY, Landing.RESTART


@pytest.fixture
def sandbox() -> Iterator[PlaidSandbox]:
    """Three pages of ten."""
    with PlaidSandbox(transactions=30) as running:
        yield running


@contextmanager
def connector(sandbox: PlaidSandbox, **options: Any) -> Iterator[PlaidConnector]:
    made = plaid(sandbox, **options)
    try:
        yield made
    finally:
        made.close()


def table() -> Table:
    return Table(TRANSACTIONS)


def test_an_update_is_staged_page_by_page_and_applied_with_its_last(sandbox: PlaidSandbox) -> None:
    with connector(sandbox) as plaid_:
        batches = list(plaid_.read("transactions", None, Context()))
    assert [batch.landing for batch in batches] == [STAGE, STAGE, APPLY]
    assert [batch.rows for batch in batches] == [10, 10, 10]
    first, second, last = (dict(batch.cursor) for batch in batches)
    assert (first["first"], first["page"]) == ("", 1)
    assert (second["first"], second["page"]) == ("", 2)
    assert first["next"] != second["next"]
    assert last == {"first": last["first"], "next": last["first"]}


def test_a_body_is_handed_on_as_it_came(sandbox: PlaidSandbox) -> None:
    with connector(sandbox) as plaid_:
        batch = next(iter(plaid_.read("transactions", None, Context())))
    assert b'"amount":90071992547409.93' in batch.body
    assert float("90071992547409.93") != Decimal("90071992547409.93")


def test_an_update_of_one_page_is_applied_at_once(sandbox: PlaidSandbox) -> None:
    with connector(sandbox, page_size=500) as plaid_:
        assert [batch.landing for batch in plaid_.read("transactions", None, Context())] == [APPLY]


def test_an_empty_item_still_moves_the_cursor_once(sandbox: PlaidSandbox) -> None:
    with PlaidSandbox(transactions=0) as empty, connector(empty) as plaid_:
        copy = table()
        copy.sync(plaid_, "transactions")
        copy.sync(plaid_, "transactions")
        assert copy.landings == [APPLY]
        empty.add(3)
        copy.sync(plaid_, "transactions")
        assert copy.rows == empty.rows()


def test_mutation_on_the_second_page_drops_what_was_staged_and_begins_again(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.MUTATION, path=SYNC_PATH, skip=1, count=1))
    with connector(sandbox) as plaid_:
        batches = list(plaid_.read("transactions", None, Context()))
    assert [batch.landing for batch in batches] == [STAGE, RESTART, STAGE, STAGE, APPLY]
    assert batches[1] == Batch(
        "transactions", b"{}", ("added", "modified"), "removed", {"first": "", "next": ""}, RESTART, 0
    )
    assert sandbox.requests()[SYNC_PATH] == 5


def test_mutation_in_a_later_update_goes_back_to_where_that_update_began(sandbox: PlaidSandbox) -> None:
    copy = table()
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "transactions")
        began = copy.cursor
        sandbox.modify(25)
        for batch in islice(plaid_.read("transactions", copy.cursor, Context()), 2):
            copy.commit(batch)
        sandbox.modify(3)
        pages = plaid_.read("transactions", copy.cursor, Context())
        copy.commit(next(pages))
        assert copy.landings[-1] is RESTART
        assert copy.cursor == began
        copy.take(pages)
    assert copy.rows == sandbox.rows()


def test_no_row_of_an_update_that_was_given_up_is_kept(sandbox: PlaidSandbox) -> None:
    """A transaction that was staged and then removed at the bank must not come back as a row."""
    copy = table()
    with connector(sandbox) as plaid_:
        for batch in islice(plaid_.read("transactions", None, Context()), 2):
            copy.commit(batch)
        sandbox.remove(30)
        sandbox.add(4)
        copy.sync(plaid_, "transactions")
    assert copy.rows == sandbox.rows()
    assert len(copy.rows) == 4


def test_mutation_without_end_is_given_up_after_a_few_restarts(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.MUTATION))
    context = Context()
    with connector(sandbox) as plaid_, pytest.raises(TransientError) as caught:
        list(plaid_.read("transactions", None, context))
    assert caught.value.code == MUTATION
    assert sandbox.requests()[SYNC_PATH] == MOST_RESTARTS + 1


ANSWERS = [
    (Fault(kind=FaultKind.RATE_LIMITED, retry_after="3"), RateLimited),
    (Fault(kind=FaultKind.SERVER_ERROR), TransientError),
    (Fault(kind=FaultKind.LOGIN_REQUIRED), NeedsUser),
    (Fault(kind=FaultKind.ERROR, error_type="INVALID_INPUT", error_code="INVALID_ACCESS_TOKEN"), FatalError),
    (Fault(kind=FaultKind.NOT_READY), TransientError),
    (Fault(kind=FaultKind.SHAPELESS), FatalError),
    (Fault(kind=FaultKind.HTML, status=502), TransientError),
    (Fault(kind=FaultKind.REDIRECT), FatalError),
]
EQUAL = (Fault(kind=FaultKind.EQUAL_CURSORS), FatalError)
"""Needs a cursor to be equal to, so it cannot strike the first request."""


@pytest.mark.parametrize(
    ("fault", "expected", "staged"),
    [(*answer, staged) for staged in (0, 1, 2) for answer in [*ANSWERS, *([EQUAL] if staged else [])]],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else str(value),
)
def test_an_error_answer_gives_up_what_is_staged_and_is_then_raised(
    sandbox: PlaidSandbox, fault: Fault, expected: type[Exception], staged: int
) -> None:
    sandbox.faults.replace(msgspec.structs.replace(fault, skip=staged))
    copy = table()
    with connector(sandbox) as plaid_, pytest.raises(expected) as caught:
        copy.sync(plaid_, "transactions")
    assert type(caught.value) is expected
    assert copy.landings == [STAGE] * staged + [RESTART] * bool(staged)
    assert copy.rows == {}
    assert copy.cursor in (None, {"first": "", "next": ""})
    sandbox.faults.replace()
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "transactions")
    assert copy.rows == sandbox.rows()


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.TRUNCATED, FaultKind.HTML])
def test_a_page_without_an_answer_is_asked_for_again_and_nothing_is_given_up(
    sandbox: PlaidSandbox, kind: FaultKind
) -> None:
    sandbox.faults.replace(Fault(kind=kind, skip=1, count=MOST_UNANSWERED - 1))
    context, copy = Context(), table()
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "transactions", context)
    assert copy.landings == [STAGE, STAGE, APPLY]
    assert copy.rows == sandbox.rows()
    assert len(context.waits) == MOST_UNANSWERED - 1
    assert all(timedelta(0) < wait <= timedelta(seconds=8) for wait in context.waits)


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.TRUNCATED, FaultKind.HTML])
def test_lasting_silence_is_an_error_that_keeps_the_staged_pages(
    sandbox: PlaidSandbox, kind: FaultKind
) -> None:
    sandbox.faults.replace(Fault(kind=kind, skip=2))
    copy = table()
    with connector(sandbox) as plaid_, pytest.raises(TransientError) as caught:
        copy.sync(plaid_, "transactions")
    assert caught.value.code == NO_ANSWER
    assert copy.landings == [STAGE, STAGE]
    assert sandbox.requests()[SYNC_PATH] == 2 + MOST_UNANSWERED
    sandbox.faults.replace()
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "transactions")
    assert copy.landings == [STAGE, STAGE, APPLY]
    assert copy.rows == sandbox.rows()


def test_an_address_that_refuses_is_tried_a_few_times(sandbox: PlaidSandbox) -> None:
    context = Context()
    with (
        connector(sandbox, base_url=f"http://127.0.0.1:{free_port()}") as plaid_,
        pytest.raises(TransientError) as caught,
    ):
        list(plaid_.read("transactions", None, context))
    assert caught.value.code == NOT_SENT
    assert context.checks == MOST_UNANSWERED


def test_an_item_that_is_not_ready_stores_no_progress(sandbox: PlaidSandbox) -> None:
    """An empty cursor stored as one would later read as the beginning, when nothing was known yet."""
    sandbox.faults.replace(Fault(kind=FaultKind.NOT_READY, count=1))
    copy = table()
    with connector(sandbox) as plaid_:
        with pytest.raises(TransientError) as caught:
            copy.sync(plaid_, "transactions")
        assert caught.value.code == NOT_READY
        assert copy.cursor is None
        copy.sync(plaid_, "transactions")
    assert copy.rows == sandbox.rows()


def test_paging_without_end_is_bounded(sandbox: PlaidSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAGES", 2)
    copy = table()
    with connector(sandbox) as plaid_, pytest.raises(FatalError, match="after 2 pages"):
        copy.sync(plaid_, "transactions")
    assert copy.landings == [STAGE, STAGE, RESTART]


def test_pending_becomes_posted_across_two_pages_without_both_or_neither(sandbox: PlaidSandbox) -> None:
    copy = table()
    with connector(sandbox, page_size=1) as plaid_:
        copy.sync(plaid_, "transactions")
        pending = {key for key, row in copy.rows.items() if row["pending"]}
        (posted, *_) = sandbox.post_pending(len(pending))
        seen = copy.landings[:]
        for batch in plaid_.read("transactions", copy.cursor, Context()):
            before = copy.rows.copy()
            copy.commit(batch)
            if batch.landing is STAGE:
                assert copy.rows == before
    assert copy.landings[len(seen) :] == [STAGE] * (2 * len(pending) - 1) + [APPLY]
    assert copy.rows == sandbox.rows()
    assert not pending & set(copy.rows)
    assert copy.rows[posted]["pending_transaction_id"] in pending


def test_two_rows_with_one_id_in_a_page_end_as_the_later_one(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.DUPLICATE_ID))
    copy = table()
    with connector(sandbox) as plaid_:
        batch = next(iter(plaid_.read("transactions", None, Context())))
        assert batch.rows == 11
        copy.sync(plaid_, "transactions")
    assert copy.rows == sandbox.rows()


def test_ids_that_differ_in_case_only_are_two_rows(sandbox: PlaidSandbox) -> None:
    copy = table()
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "transactions")
    assert len(copy.rows) == 30
    assert len({key.lower() for key in copy.rows}) == 29


def test_a_cursor_of_another_item_is_refused(sandbox: PlaidSandbox) -> None:
    with PlaidSandbox(seed=1, transactions=5) as other, connector(other) as plaid_:
        copy = table()
        copy.sync(plaid_, "transactions")
    with connector(sandbox) as plaid_, pytest.raises(FatalError) as caught:
        copy.sync(plaid_, "transactions")
    assert caught.value.code == "INVALID_FIELD"


@pytest.mark.parametrize(
    "cursor", [{"first": 1, "next": "x"}, {"page": 2}, {"first": "", "next": "", "page": -1}]
)
def test_a_marker_that_was_never_ours_is_refused(sandbox: PlaidSandbox, cursor: dict[str, object]) -> None:
    with connector(sandbox) as plaid_, pytest.raises(FatalError, match="the marker holds"):
        list(plaid_.read("transactions", cursor, Context()))


def test_a_place_survives_the_way_through_a_marker() -> None:
    for place in (Place(), Place("a", "b", 3), Place("a", "a")):
        assert Place.parse(place.cursor()) == place
