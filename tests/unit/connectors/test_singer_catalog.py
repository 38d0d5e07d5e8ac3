"""Selecting one stream in the catalogs that taps make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaderjobs.connectors.singer.catalog import Chosen, checked, choose
from leaderjobs.connectors.singer.settings import SingerSelection, SingerSettings
from leaderjobs.errors import FatalError

PROPERTIES = {"id": {"type": "integer"}, "amount": {}, "notes": {}, "blob": {}}


def catalog() -> dict[str, Any]:
    """As three generations of taps write it."""
    return {
        "version": 1,
        "streams": [
            {
                "tap_stream_id": "public-orders",
                "stream": "orders",
                "schema": {"properties": PROPERTIES},
                "metadata": [
                    {"breadcrumb": [], "metadata": {"table-key-properties": ["id"], "row-count": 5}},
                    {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "automatic"}},
                    {"breadcrumb": ["properties", "notes"], "metadata": {"selected-by-default": False}},
                    {"breadcrumb": ["properties", "blob"], "metadata": {"inclusion": "unsupported"}},
                ],
            },
            {"tap_stream_id": "old", "stream": "old", "schema": {"selected": True, "properties": {"a": {}}}},
            {
                "tap_stream_id": "shops",
                "replication_method": "INCREMENTAL",
                "metadata": [{"breadcrumb": (), "metadata": {"selected": True}}],
            },
        ],
    }


def settings(*streams: str, **other: Any) -> SingerSettings:
    return SingerSettings(command="/opt/tap", streams=streams, **other)


def chosen(stream: str, **other: Any) -> tuple[Chosen, dict[str, Any]]:
    found = choose(json.dumps(catalog()).encode(), stream, settings(stream, **other))
    return found, {entry["tap_stream_id"]: entry for entry in json.loads(found.body)["streams"]}


def metadata(entry: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(found["breadcrumb"]): found["metadata"] for found in entry["metadata"]}


def selected(entries: dict[str, Any]) -> dict[str, bool]:
    return {name: metadata(entry)[()]["selected"] for name, entry in entries.items()}


@pytest.mark.parametrize("stream", ["public-orders", "orders"])
def test_one_stream_is_selected_by_its_id_or_its_name_and_the_others_are_said_not_to_be(stream: str) -> None:
    found, entries = chosen(stream)
    assert selected(entries) == {"public-orders": True, "old": False, "shops": False}
    assert found.names == {"public-orders", "orders"}
    assert entries["old"]["schema"]["selected"] is False
    assert metadata(entries["public-orders"])[()] == {
        "table-key-properties": ["id"], "row-count": 5, "inclusion": "available", "selected": True,
    }  # fmt: skip


def test_all_that_can_be_is_asked_for_unless_the_tap_would_leave_it_out() -> None:
    _, entries = chosen("orders")
    found = metadata(entries["public-orders"])
    assert {path[-1]: each["selected"] for path, each in found.items() if path} == {
        "id": True, "amount": True, "notes": False, "blob": False,
    }  # fmt: skip


def test_named_fields_are_asked_for_and_no_others() -> None:
    _, entries = chosen("orders", select={"orders": SingerSelection(fields=("notes", "blob"))})
    found = metadata(entries["public-orders"])
    assert {path[-1]: each["selected"] for path, each in found.items() if path} == {
        "id": True, "amount": False, "notes": True, "blob": False,
    }  # fmt: skip


def test_a_tap_from_before_there_were_metadata_is_told_in_the_schema() -> None:
    _, entries = chosen("old")
    assert entries["old"]["schema"]["selected"] is True
    assert selected(entries) == {"public-orders": False, "old": True, "shops": False}
    assert metadata(entries["old"])["properties", "a"]["selected"] is True


def test_what_another_needs_is_selected_with_it() -> None:
    _, entries = chosen("orders", also_select=("shops",))
    assert selected(entries) == {"public-orders": True, "old": False, "shops": True}


def test_the_method_is_what_we_say_or_what_the_tap_says() -> None:
    assert chosen("shops")[0].method == "INCREMENTAL"
    assert chosen("old")[0].method == ""
    selection = SingerSelection(replication_method="INCREMENTAL", replication_key="at")
    found, entries = chosen("orders", select={"orders": selection})
    root = metadata(entries["public-orders"])[()]
    assert found.method == root["replication-method"] == "INCREMENTAL"
    assert entries["public-orders"]["replication_key"] == root["replication-key"] == "at"


def test_numbers_and_whatever_else_the_catalog_holds_reach_the_tap() -> None:
    body = json.dumps(catalog()).replace('"row-count": 5', '"row-count": 12345678901234567890').encode()
    assert b"12345678901234567890" in choose(body, "orders", settings("orders")).body


def test_a_stream_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(FatalError, match=r"tap has no stream invoices; it has: public-orders, old, shops$"):
        choose(json.dumps(catalog()).encode(), "invoices", settings("invoices"))
    many = json.dumps({"streams": [{"tap_stream_id": f"s{number}"} for number in range(500)]}).encode()
    with pytest.raises(FatalError, match=r"s19, …$"):
        choose(many, "invoices", settings("invoices"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"streams": [{}]}', b'{"streams": 1}', b"\xff", b"[" * 10000]
)
def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(FatalError, match="what it says is no Singer catalog"):
        checked(body, "what it says")
