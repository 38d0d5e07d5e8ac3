"""The table in memory does with a batch what Landing says."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.testing import Table

THINGS = Stream(
    "things",
    ("id",),
    "Things",
    (
        Column("day", ColumnType.DATE, ("day",), indexed=True),
        Column("open", ColumnType.BOOLEAN, ("flags", "open"), indexed=True),
        Column("price", ColumnType.NUMERIC, ("price",)),
    ),
)


def page(
    *rows: dict[str, Any], landing: Landing = Landing.UPSERT, gone: tuple[str, ...] = (), **more: Any
) -> Batch:
    body: dict[str, Any] = {"rows": list(rows)}
    if gone:
        body["gone"] = [{"id": key} for key in gone]
    body |= more.pop("beside", {})
    deletes = "gone" if gone else None
    return Batch(
        "things", json.dumps(body).encode(), ("rows",), deletes, {}, landing, len(rows) + len(gone), **more
    )


def thing(key: str, **members: Any) -> dict[str, Any]:
    return {"id": key, **members}


def ids(table: Table) -> str:
    return " ".join(sorted(table.rows))


@pytest.fixture
def table() -> Table:
    return Table(THINGS)


def test_an_upsert_adds_changes_and_deletes_and_moves_the_marker(table: Table) -> None:
    table.commit(page(thing("a", n=1), thing("b")))
    table.commit(page(thing("a", n=2), gone=("b", "never")))
    assert table.rows == {"a": thing("a", n=2)}
    assert table.deleted == {"b"}
    assert (table.sequence, table.received) == (2, 5)


def test_within_a_batch_a_later_row_wins_and_a_deletion_over_all(table: Table) -> None:
    table.commit(page(thing("a", n=1), thing("a", n=2), thing("b"), gone=("b",)))
    assert table.rows == {"a": thing("a", n=2)}


def test_numbers_with_a_point_are_decimals(table: Table) -> None:
    table.commit(
        Batch("things", b'{"rows":[{"id":"a","price":0.10}]}', ("rows",), None, {}, Landing.UPSERT, 1)
    )
    assert table.rows["a"]["price"] == Decimal("0.10")


def test_replace_retires_what_it_does_not_hold(table: Table) -> None:
    table.commit(page(thing("a"), thing("b")))
    table.commit(page(thing("b"), thing("c"), landing=Landing.REPLACE))
    assert ids(table) == "b c"


def test_replace_with_a_scope_leaves_other_scopes_alone(table: Table) -> None:
    table.commit(page(thing("a", day="1"), thing("b", day="1"), thing("c", day="2"), thing("d")))
    table.commit(page(thing("b", day="1"), landing=Landing.REPLACE, scope=("day", "1")))
    assert ids(table) == "b c d"


def test_a_scope_reads_its_columns_path_as_text(table: Table) -> None:
    table.commit(
        page(thing("a", flags={"open": True}), thing("b", flags={"open": False}), thing("c", flags=1))
    )
    table.commit(page(landing=Landing.REPLACE, scope=("open", "true")))
    assert ids(table) == "b c"


def test_a_walk_retires_at_its_end_what_no_page_of_it_has_met(table: Table) -> None:
    table.commit(page(thing("a"), thing("b"), thing("c")))
    table.commit(page(thing("a"), landing=Landing.WALK))
    assert ids(table) == "a b c"
    table.commit(page(thing("d"), landing=Landing.SWEEP))
    assert ids(table) == "a d"
    table.commit(page(thing("e"), landing=Landing.SWEEP))
    assert ids(table) == "e"


def test_a_sweep_with_a_scope_retires_within_it_only(table: Table) -> None:
    table.commit(page(thing("a", day="1"), thing("b", day="2")))
    table.commit(page(landing=Landing.SWEEP, scope=("day", "2")))
    assert ids(table) == "a"


def test_restart_forgets_what_was_met_and_staged(table: Table) -> None:
    table.commit(page(thing("a")))
    table.commit(page(thing("a"), landing=Landing.WALK))
    table.commit(page(thing("s"), landing=Landing.STAGE))
    table.commit(page(landing=Landing.RESTART))
    table.commit(page(thing("b"), landing=Landing.SWEEP))
    assert ids(table) == "b"
    table.commit(page(landing=Landing.APPLY))
    assert ids(table) == "b"


def test_staged_pages_show_when_they_are_applied_in_their_order(table: Table) -> None:
    table.commit(page(thing("a", n=1), landing=Landing.STAGE))
    table.commit(page(thing("a", n=2), gone=("x",), landing=Landing.STAGE))
    assert table.rows == {}
    table.commit(page(thing("b"), landing=Landing.APPLY))
    assert table.rows == {"a": thing("a", n=2), "b": thing("b")}
    assert table.staged == []


def test_apply_with_a_scope_replaces_it_with_all_of_the_update(table: Table) -> None:
    table.commit(page(thing("old", day="1"), thing("other", day="2")))
    table.commit(page(thing("a", day="1"), landing=Landing.STAGE))
    table.commit(page(thing("b", day="1"), landing=Landing.APPLY, scope=("day", "1")))
    assert ids(table) == "a b other"


def test_an_older_version_never_takes_the_place_of_a_newer_one(table: Table) -> None:
    table.commit(page(thing("a", n=2), order=20))
    table.commit(page(thing("a", n=1), thing("b"), order=10))
    assert table.rows == {"a": thing("a", n=2), "b": thing("b")}
    table.commit(page(thing("a", n=3), order=20))
    assert table.rows["a"] == thing("a", n=3)


def test_a_deletion_is_a_version_too(table: Table) -> None:
    table.commit(page(thing("a"), thing("b"), order=20))
    table.commit(page(gone=("a",), order=10))
    assert ids(table) == "a b"
    table.commit(page(gone=("a",), order=30))
    table.commit(page(thing("a"), order=25))
    assert ids(table) == "b"
    table.commit(page(thing("a"), order=30))
    assert ids(table) == "a b"


def test_each_row_may_have_its_own_order_key(table: Table) -> None:
    beside = {"rows_orders": [9, 1, 5]}
    table.commit(page(thing("a", n=9), thing("a", n=1), thing("b"), ordered=True, beside=beside))
    assert table.rows == {"a": thing("a", n=9), "b": thing("b")}


def test_what_is_newer_than_a_walk_stays_when_it_ends(table: Table) -> None:
    table.commit(page(thing("a"), order=10))
    table.commit(page(thing("b"), order=30))
    table.commit(page(landing=Landing.SWEEP, order=20))
    assert ids(table) == "b"


def test_a_key_of_several_members_is_one_id() -> None:
    table = Table(Stream("things", ("shop", "id"), "Things"))
    table.commit(page(thing("1", shop="ü"), thing("1", shop="b"), {"id": 2, "shop": "b"}))
    assert set(table.rows) == {'["ü", "1"]', '["b", "1"]', '["b", "2"]'}


def test_a_shape_changes_the_stream() -> None:
    table = Table(Stream("things", ("id",), "Things"))
    table.commit(page(thing("a", day="1"), shape=THINGS))
    table.commit(page(landing=Landing.REPLACE, scope=("day", "1")))
    assert table.rows == {}


def test_a_reset_empties_the_cursor_and_keeps_the_rows(table: Table) -> None:
    table.commit(page(thing("a"), landing=Landing.STAGE))
    table.reset()
    assert (table.cursor, table.sequence, table.staged) == ({}, 1, [])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (page(thing(""), thing("b")), "no id that is text or a whole number"),
        (page({"id": 1.5}), "no id that is text or a whole number"),
        (page({"id": True}), "no id that is text or a whole number"),
        (page({"id": "x" * 1001}), "an id of too many bytes"),
        (Batch("things", b"[]", (), None, {}, Landing.UPSERT, 0), "the body is no JSON object"),
        (Batch("things", b"{}", ("rows",), None, {}, Landing.UPSERT, 0), "the body's rows is no array"),
        (
            Batch("things", b'{"rows":[]}', ("rows",), None, {}, Landing.UPSERT, 1),
            "says 1 rows, its body holds 0",
        ),
        (Batch("other", b"{}", (), None, {}, Landing.UPSERT, 0), "a batch of other, read as things"),
        (page(thing("a"), ordered=True), "no array rows_orders"),
        (page(thing("a"), ordered=True, beside={"rows_orders": []}), "rows_orders is not as long as rows"),
        (page(thing("a"), ordered=True, beside={"rows_orders": [1.5]}), "holds no whole number"),
        (page(landing=Landing.REPLACE, scope=("price", "1")), "column price of things has no index"),
        (page(landing=Landing.REPLACE, scope=("colour", "red")), "things has no column colour"),
        (page(thing("a"), landing=Landing.RESTART), "a RESTART brings no rows"),
    ],
)
def test_a_batch_that_breaks_its_promise_is_refused(table: Table, batch: Batch, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        table.commit(batch)
