"""Declared streams at the catalog: every way of paging, deaths between pages, changes, and markers grown stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from leaderjobs.errors import FatalError, LeaderJobsError, TransientError
from leaderjobs.model.batch import Landing
from leaderjobs.sandbox.catalog.sandbox import API, GROUPS, CatalogSandbox
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.testing import Context
from tests.unit.connectors.catalog import (
    KINDS,
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


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("name", [*KINDS, "changes"])
def test_a_successor_goes_on_at_any_page_and_asks_nothing_twice(
    sandbox: CatalogSandbox, name: str, ahead: int
) -> None:
    whole = len(synced(sandbox, table(sandbox, name)).landings)
    assert whole == (1 if name == "plain" else PAGES)
    for committed in range(whole):
        before, into = asked(sandbox), table(sandbox, name)
        synced(sandbox, part(sandbox, into, committed, ahead))
        assert into.rows == truth(sandbox, name)
        assert asked(sandbox) - before == whole + ahead
        assert len(into.landings) == whole


@pytest.mark.parametrize("name", [*KINDS, "members", *INCREMENTAL])
def test_changes_additions_and_deletions_are_seen_by_the_next_sync(
    sandbox: CatalogSandbox, name: str
) -> None:
    into = synced(sandbox, table(sandbox, name))
    sandbox.add(PAGE)
    sandbox.modify(7)
    sandbox.remove(9)
    synced(sandbox, into)
    assert into.rows == truth(sandbox, name)
    assert into.deleted


def test_what_is_listed_whole_is_walked_and_swept_and_what_is_newer_is_not(sandbox: CatalogSandbox) -> None:
    assert synced(sandbox, table(sandbox, "cursor")).landings == [Landing.WALK] * (PAGES - 1) + [
        Landing.SWEEP
    ]
    for name, other in (("cursor", changed("cursor", full=False)), ("changes", {})):
        found = synced(sandbox, table(sandbox, name, **other), **other)
        assert found.landings == [Landing.UPSERT] * PAGES


def test_the_total_is_told_where_the_api_tells_it(sandbox: CatalogSandbox) -> None:
    with connected(sandbox) as made:
        totals = {
            name: {batch.total for batch in made.read(name, None, Context())}
            for name in ("numbered", "offset", "plain")
        }
    assert totals == {"numbered": {PAGES * PAGE - 5}, "offset": {PAGES * PAGE - 5}, "plain": {None}}


@pytest.mark.parametrize(
    ("name", "pagination", "requests"),
    [
        ("numbered", {"kind": "page_number"}, PAGES + 1),
        ("numbered", {"kind": "page_number", "has_more": "info.has_more"}, PAGES),
        ("numbered", {"kind": "page_number", "total": "info.total"}, PAGES),
        ("numbered", {"kind": "page_number", "page_size": 10, "size_parameter": "per_page",
                      "short_page_ends": True}, PAGES),
        ("offset", {"kind": "offset"}, PAGES + 1),
        ("offset", {"kind": "offset", "page_size": 1000, "size_parameter": "limit", "total": "total"}, 1),
        ("cursor", {"kind": "cursor", "parameter": "cursor", "next": "meta.next",
                    "has_more": "meta.has_more"}, PAGES),
        ("last", {"kind": "cursor", "parameter": "after", "last": "id"}, PAGES + 1),
    ],
)  # fmt: skip
def test_each_way_to_know_the_end(
    sandbox: CatalogSandbox, name: str, pagination: dict[str, Any], requests: int
) -> None:
    into = table(sandbox, name)
    synced(sandbox, into, **changed(name, pagination=pagination))
    assert into.rows == truth(sandbox, name)
    assert asked(sandbox) == requests


def test_a_listing_that_is_always_the_same_page_stops(sandbox: CatalogSandbox) -> None:
    pagination = {"kind": "page_number", "parameter": "seite"}
    with pytest.raises(FatalError, match="stream numbered: two pages in a row are the same"):
        synced(sandbox, table(sandbox, "numbered"), **changed("numbered", pagination=pagination))
    assert asked(sandbox) == 2


def test_a_listing_without_end_stops(sandbox: CatalogSandbox) -> None:
    with pytest.raises(
        FatalError, match="stream cursor: a listing has not ended after 3 pages; raise most_p"
    ):
        synced(sandbox, table(sandbox, "cursor"), most_pages=3)
    into = part(sandbox, table(sandbox, "cursor"), 2)
    with pytest.raises(FatalError, match="not ended after 3 pages"):
        synced(sandbox, into, most_pages=3)


@pytest.mark.parametrize("name", ["linked", "chained"])
def test_credentials_go_to_no_other_origin(sandbox: CatalogSandbox, name: str) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.FOREIGN_ORIGIN, skip=1))
    into = table(sandbox, name)
    with pytest.raises(FatalError, match="leaves the origin of base_url") as caught:
        synced(sandbox, into)
    assert "127.0.0.2" not in str(caught.value)
    assert into.landings == [Landing.WALK]


@pytest.mark.parametrize("name", ["cursor", "linked", "chained", "posted"])
def test_a_cursor_that_the_api_no_longer_knows_begins_the_walk_anew(
    sandbox: CatalogSandbox, name: str
) -> None:
    into = part(sandbox, table(sandbox, name), 2)
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, count=1))
    context = Context()
    synced(sandbox, into, context)
    assert into.rows == truth(sandbox, name)
    assert into.landings[2:] == [Landing.RESTART] + [Landing.WALK] * (PAGES - 1) + [Landing.SWEEP]
    assert context.lines == [f"{name}: its place in the listing is gone; beginning anew"]


def test_the_same_answer_to_anything_else_is_an_error(sandbox: CatalogSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, skip=1, count=1))
    with pytest.raises(FatalError, match=f"{API}/cursor answered 400"):
        synced(sandbox, table(sandbox, "cursor"))
    into = part(sandbox, table(sandbox, "offset"), 2)
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, count=1))
    with pytest.raises(FatalError, match="answered 400"):
        synced(sandbox, into)


def test_a_changed_declaration_begins_the_walk_anew(sandbox: CatalogSandbox) -> None:
    into = part(sandbox, table(sandbox, "cursor"), 2)
    other = changed("cursor", parameters={"colour": "red"})
    synced(sandbox, into, **other)
    assert into.landings[2] is Landing.RESTART
    assert into.rows == truth(sandbox, "cursor")
    assert synced(sandbox, part(sandbox, table(sandbox, "cursor"), 2)).landings.count(Landing.RESTART) == 0


class TestChildren:
    @pytest.mark.parametrize("ahead", [0, 1])
    def test_a_successor_goes_on_with_the_parents_record(self, sandbox: CatalogSandbox, ahead: int) -> None:
        whole = synced(sandbox, table(sandbox, "members"))
        assert whole.landings[-1] is Landing.SWEEP
        cursors = []
        for committed in range(len(whole.landings)):
            before, into = sandbox.requests(), table(sandbox, "members")
            part(sandbox, into, committed, ahead)
            cursors.append(len(str(into.cursor)))
            synced(sandbox, into)
            assert into.rows == truth(sandbox, "members")
            assert len(into.landings) == len(whole.landings)
            lists = {path: count - before[path] for path, count in sandbox.requests().items()}
            assert lists.pop(f"{API}/groups") == 2 - (committed + ahead == 0)
            assert sum(lists.values()) <= len(whole.landings) - 1 + ahead
        assert max(cursors) < 700

    def test_a_parent_that_is_gone_begins_the_walk_anew(self, sandbox: CatalogSandbox) -> None:
        for groups, restarts in ((("white", "green/blue"), 0), (("red", "white"), 1)):
            into = part(sandbox, table(sandbox, "members"), 5)
            sandbox.groups = groups
            synced(sandbox, into)
            assert into.landings.count(Landing.RESTART) == restarts
            assert restarts == 0 or into.rows == truth(sandbox, "members")
            synced(sandbox, into)
            assert into.rows == truth(sandbox, "members")
            sandbox.groups = GROUPS

    def test_one_whose_listing_is_not_there_is_skipped_only_where_that_is_declared(
        self, sandbox: CatalogSandbox
    ) -> None:
        path = "/groups/{parent.size}/items"
        with pytest.raises(FatalError, match="answered 404"):
            synced(sandbox, table(sandbox, "members"), **changed("members", path=path))
        into = synced(sandbox, table(sandbox, "members"), **changed("members", path=path, absent=[404]))
        assert (into.rows, into.landings[-1]) == ({}, Landing.SWEEP)

    def test_parents_that_the_configuration_tells(self, sandbox: CatalogSandbox) -> None:
        parents = [{"id": "red", "of": 1}, {"id": "green/blue", "of": 2}]
        other = changed("members", parent=None, parents=parents)
        whole = synced(sandbox, table(sandbox, "members", **other), **other)
        wanted = {key: row for key, row in truth(sandbox, "members").items() if row["group"] != "white"}
        assert whole.rows == wanted
        assert f"{API}/groups" not in sandbox.requests()
        assert whole.stream.cost == "one request per page of 10 for each of 2 parents"
        for committed in range(1, len(whole.landings)):
            before = asked(sandbox)
            into = part(sandbox, table(sandbox, "members", **other), committed, **other)
            synced(sandbox, into, **other)
            assert (into.rows, into.landings) == (wanted, whole.landings)
            assert asked(sandbox) - before == len(whole.landings) - 1
        into = part(sandbox, table(sandbox, "members", **other), 2, **other)
        synced(sandbox, into, **changed("members", parent=None, parents=parents[1:]))
        assert into.landings.count(Landing.RESTART) == 1
        assert {row["group"] for row in into.rows.values()} == {"green/blue"}

    def test_a_child_of_a_child(self, sandbox: CatalogSandbox) -> None:
        deep = {
            "path": "/groups/{parent.parent.id}/items",
            "parameters": {"of": "{parent.id}"},
            "parent": "members",
            "records": "results",
            "key": ["group", "parent", "id"],
            "add": {"group": "{parent.parent.id}", "parent": "{parent.id}"},
            "pagination": {"kind": "next_url", "next": "next", "page_size": 1000, "size_parameter": "limit"},
        }
        other: dict[str, Any] = {"streams": {**STREAMS, "deep": deep}}
        whole = synced(sandbox, table(sandbox, "deep", **other), **other)
        members = list(truth(sandbox, "members").values())
        pairs = {(one["group"], one["id"], two["id"]) for one in members for two in members
                 if one["group"] == two["group"]}  # fmt: skip
        assert {(row["group"], row["parent"], row["id"]) for row in whole.rows.values()} == pairs
        for committed in (1, 5, 23, len(whole.landings) - 1):
            into = part(sandbox, table(sandbox, "deep", **other), committed, **other)
            assert len(str(into.cursor)) < 1000
            synced(sandbox, into, **other)
            assert into.rows == whole.rows
            assert into.landings == whole.landings


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"key": ["id", "colour"]},
            "stream cursor: a row has no id and colour that is a text or a whole number",
        ),
        ({"key": "price"}, "stream cursor: a row has no price that"),
        ({"records": "data"}, "stream cursor: a row has no id"),
        ({"records": "data.rows"}, "stream cursor: the answer has no data.rows"),
        ({"records": "meta.total"}, "stream cursor: meta.total is no list of objects"),
        ({"path": "/nowhere"}, f"{API}/nowhere answered 404; check base_url, path, parameters and headers"),
        ({"path": "/cursor?cursor=x"}, "answered 400"),
    ],
)
def test_what_is_not_as_declared_says_so(
    sandbox: CatalogSandbox, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(FatalError) as caught:
        synced(sandbox, table(sandbox, "cursor"), **changed("cursor", **values))
    assert str(caught.value).startswith(sentence) or sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_may_be_declared_to_be_empty(sandbox: CatalogSandbox) -> None:
    into = table(sandbox, "cursor")
    synced(sandbox, into, **changed("cursor", records="data.rows", missing="empty"))
    assert into.rows == {}


@pytest.mark.parametrize(
    ("retryable", "kind"), [([409], TransientError), ([], FatalError)], ids=["declared", "not declared"]
)
def test_statuses_that_pass(
    sandbox: CatalogSandbox, retryable: list[int], kind: type[LeaderJobsError]
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, status=409))
    with pytest.raises(LeaderJobsError) as caught:
        synced(sandbox, table(sandbox, "plain"), **changed("plain", retryable=retryable))
    assert type(caught.value) is kind
