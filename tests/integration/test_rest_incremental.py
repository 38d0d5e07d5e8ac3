"""Declared streams that ask only for what is newer: no row is lost, whatever changes while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from leaderjobs import clock
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Landing
from leaderjobs.model.job import Window
from leaderjobs.model.stream import CursorKind
from leaderjobs.sandbox.catalog.sandbox import CatalogSandbox
from leaderjobs.testing import Context
from tests.unit.connectors.catalog import (
    PAGE,
    STREAMS,
    asked,
    changed,
    connected,
    part,
    synced,
    table,
    truth,
)

PAGES = 5
INCREMENTAL = ("changes", "sorted")


@pytest.fixture
def sandbox() -> Iterator[CatalogSandbox]:
    with CatalogSandbox(items=PAGES * PAGE - 5) as running:
        yield running


def test_it_asks_for_what_is_newer_and_again_for_what_it_looks_back_on(sandbox: CatalogSandbox) -> None:
    into = synced(sandbox, table(sandbox, "changes"))
    received = into.received
    synced(sandbox, into)
    assert into.received == received + 1  # The last one: `updated_since` means that instant too.
    incremental = {**STREAMS["changes"]["incremental"], "look_back": "3s"}
    synced(sandbox, into, **changed("changes", incremental=incremental))
    assert into.received == received + 1 + 4


@pytest.mark.parametrize("form", ["unix", "unix_ms", "text", "%Y-%m-%dT%H:%M:%S.%fZ"])
def test_each_form_of_the_value(sandbox: CatalogSandbox, form: str) -> None:
    cursor = {"unix": "updated", "unix_ms": "updated_ms", "text": "id"}.get(form, "updated_at")
    incremental = {"cursor": cursor, "parameter": "since_" + cursor, "format": form}
    other = changed("changes", incremental=incremental, deleted=None)
    into = synced(sandbox, table(sandbox, "changes", **other), **other)
    assert into.rows == truth(sandbox, "changes")
    assert into.stream.cursor is CursorKind.NEWER
    received, added = into.received, sandbox.add(2)
    synced(sandbox, into, **other)
    assert set(added) <= set(into.rows)
    assert into.received - received <= 3


def test_what_changes_while_it_is_listed_is_not_lost(sandbox: CatalogSandbox) -> None:
    """A later page may hold a higher value than a row that changes on one that has passed."""
    into, first = table(sandbox, "changes"), sandbox.rows()
    with connected(sandbox) as made:
        for number, batch in enumerate(made.read("changes", None, Context())):
            into.commit(batch)
            if number < PAGES - 1:
                sandbox.modify(len(first))
    assert into.rows != truth(sandbox, "changes")
    synced(sandbox, into)
    assert into.rows == truth(sandbox, "changes")


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_sorted_one_asks_for_the_next_page_by_the_value(sandbox: CatalogSandbox, ahead: int) -> None:
    whole = synced(sandbox, table(sandbox, "sorted"))
    assert whole.rows == truth(sandbox, "sorted")
    assert asked(sandbox) == len(whole.landings) == PAGES + 1  # Two rows of each page come again.
    assert "page=1" in sandbox.recorded()[-1].query
    for committed in range(1, len(whole.landings)):
        before = asked(sandbox)
        into = part(sandbox, table(sandbox, "sorted"), committed, ahead)
        synced(sandbox, into)
        assert (into.rows, into.landings, into.cursor) == (whole.rows, whole.landings, whole.cursor)
        assert asked(sandbox) - before == len(whole.landings) + ahead


def test_a_sorted_one_loses_no_row_that_others_push_to_an_earlier_page(sandbox: CatalogSandbox) -> None:
    unsorted = {**STREAMS["sorted"]["incremental"], "sorted": None}
    for other, complete in (({}, True), (changed("sorted", incremental=unsorted), False)):
        into = table(sandbox, "sorted", **other)
        with connected(sandbox, **other) as made:
            for batch in made.read("sorted", None, Context()):
                into.commit(batch)
                oldest = min(sandbox.rows().values(), key=lambda row: str(row["updated_at"]))
                sandbox._items._put(replace(sandbox._items._items[oldest["id"]], updated=clock.now()))
        synced(sandbox, into, **other)
        assert (set(into.rows) == set(truth(sandbox, "sorted"))) is complete


@pytest.mark.parametrize("parameter", ["since_updated", "after_updated"])
def test_many_rows_of_one_value_are_paged_by_number(sandbox: CatalogSandbox, parameter: str) -> None:
    """Also where the API leaves out what is equal to the value that it is asked for."""
    sandbox.modify(PAGES * PAGE - 10)
    incremental = {"cursor": "updated", "parameter": parameter, "format": "unix",
                   "sorted": "ascending", "look_back": "1h"}  # fmt: skip
    other = changed("sorted", incremental=incremental)
    into = part(sandbox, table(sandbox, "sorted", **other), 2, **other)
    synced(sandbox, into, **other)
    assert into.rows == truth(sandbox, "sorted")
    assert len(into.landings) <= PAGES + 1
    before = len(into.landings)
    synced(sandbox, into, **other)
    assert len(into.landings) - before <= PAGES + 1
    assert into.rows == truth(sandbox, "sorted")


def test_a_sorted_one_whose_cursor_is_refused_goes_on_at_the_value(sandbox: CatalogSandbox) -> None:
    other = changed("sorted", path="/changes", records="data.items",
                    pagination=STREAMS["changes"]["pagination"])  # fmt: skip
    into = part(sandbox, table(sandbox, "sorted", **other), 2, **other)
    assert into.cursor is not None
    walk = into.cursor["walk"]
    assert isinstance(walk, dict)
    # As though the last page had held one value only.
    into.cursor = {"walk": {**walk, "page": "stale", "pages": 3}}
    before = asked(sandbox)
    synced(sandbox, into, **other)
    assert into.landings.count(Landing.RESTART) == 1
    assert into.rows == truth(sandbox, "sorted")
    assert asked(sandbox) - before == 1 + PAGES - 1


def test_a_span_is_read_beside_the_marker(sandbox: CatalogSandbox) -> None:
    instants = sorted(row["updated_at"] for row in sandbox.rows().values())
    window = Window(*(datetime.fromisoformat(instants[at]) for at in (10, 35)))
    into, context = table(sandbox, "changes"), Context(window=window)
    with connected(sandbox) as made:
        assert all(stream.windowed is (stream.name in INCREMENTAL) for stream in made.streams)
        batches = list(made.read("changes", None, context))
        for batch in batches[:2]:
            into.commit(batch)
    assert len(batches) == 3
    synced(sandbox, into, context)
    assert sorted(row["updated_at"] for row in into.rows.values()) == instants[10:35]
    received = into.received
    synced(sandbox, into, context)
    assert (into.received, into.cursor) == (received, {"over": True})


def test_a_span_without_an_end_is_said_to_have_none(sandbox: CatalogSandbox) -> None:
    instants = sorted(row["updated_at"] for row in sandbox.rows().values())
    window = Window(*(datetime.fromisoformat(instants[at]) for at in (10, 35)))
    into, context = table(sandbox, "sorted"), Context(window=window)
    synced(sandbox, into, context)
    assert len(into.rows) == len(instants) - 10
    assert context.lines == ["sorted has no until_parameter: what is newer is read too"]


def test_since_and_until_in_texts(sandbox: CatalogSandbox) -> None:
    body = {"variables": {"first": PAGE, "since": "{since}", "until": "{until}"}}
    incremental = {"cursor": "updated_at", "initial": "1999-01-01T00:00:00Z"}
    other = changed("posted", body=body, incremental=incremental)
    into = synced(sandbox, table(sandbox, "posted", **other), **other)
    assert into.rows == truth(sandbox, "posted")
    bodies = [request.body.decode() for request in sandbox.recorded()]
    assert '"since":"1999-01-01T00:00:00Z"' in bodies[0]
    untils = {text.partition('"until":')[2][:24] for text in bodies}
    assert len(untils) == 1


def test_a_value_that_is_not_of_its_form_is_an_error(sandbox: CatalogSandbox) -> None:
    for cursor, sentence in (
        ("name", "name of a row is not an instant such as"),
        ("owner", "owner of a"),
    ):
        incremental = {"cursor": cursor, "parameter": "updated_since"}
        with pytest.raises(FatalError, match=f"stream changes: {sentence}"):
            synced(sandbox, table(sandbox, "changes"), **changed("changes", incremental=incremental))
