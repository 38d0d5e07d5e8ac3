"""A stream's columns from the JSON schemas that taps send."""

from __future__ import annotations

from typing import Any

import pytest

from leaderjobs.connectors.singer.shape import MOST_COLUMNS, key_of, shaped
from leaderjobs.model.stream import Stream

STREAM = Stream(name="orders", key=("_leaderjobs_id",), comment="Orders")


def types(stream: Stream) -> dict[str, str]:
    return {column.name: column.type.value for column in stream.columns}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"type": "string"}, "text"),
        ({"type": ["null", "string"]}, "text"),
        ({"type": ["null", "string"], "format": "date-time"}, "timestamptz"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "time"}, "text"),
        ({"type": "string", "format": "singer.decimal"}, "numeric"),
        ({"type": ["null", "integer"]}, "numeric"),
        ({"type": ["integer", "number"]}, "numeric"),
        ({"type": "boolean"}, "boolean"),
        ({"type": ["null", "object"], "properties": {}}, "jsonb"),
        ({"type": "array", "items": {}}, "jsonb"),
        ({"type": ["string", "integer"]}, "jsonb"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "timestamptz"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["null", "string"]}]}, "text"),
        ({"anyOf": [{"oneOf": [{"type": "number"}]}, {"type": "null"}]}, "numeric"),
        ({}, "jsonb"),
        ({"$ref": "#/definitions/x"}, "jsonb"),
        ({"type": 5}, "jsonb"),
        ({"type": [["x"], None]}, "jsonb"),
        ([], "jsonb"),
        (None, "jsonb"),
    ],
)
def test_a_member_has_the_column_that_all_its_values_fit(described: Any, expected: str) -> None:
    assert types(shaped(STREAM, {"properties": {"it": described}}, ("id",), ())) == {"it": expected}


def test_a_schema_without_end_is_read_to_a_depth() -> None:
    endless: dict[str, Any] = {}
    endless["anyOf"] = [endless]
    assert types(shaped(STREAM, {"properties": {"it": endless}}, ("id",), ())) == {"it": "jsonb"}


def test_columns_only_grow_and_keep_their_types() -> None:
    first = shaped(STREAM, {"properties": {"a": {"type": "number"}, "b": {"type": "string"}}}, ("b",), ())
    second = shaped(first, {"properties": {"a": {"type": "string"}, "c": {"type": "boolean"}}}, ("b",), ())
    assert types(second) == {"a": "numeric", "b": "text", "a__text": "text", "c": "boolean"}
    assert second.columns[2].path == ("a",)
    assert shaped(second, {"properties": {"a": {"type": "string"}}}, ("b",), ()) == second


def test_what_was_asked_for_and_the_key_become_columns_with_their_comments() -> None:
    properties = {"a": {"type": "number", "description": "In\neuros"}, "b": {}, "c": {}}
    made = shaped(STREAM, {"properties": properties}, ("c",), ("a",))
    assert [(column.name, column.comment) for column in made.columns] == [("a", "In euros"), ("c", "")]
    assert made.key == ("c",)


def test_a_schema_of_any_size_makes_a_table_that_postgres_can_hold() -> None:
    made = shaped(STREAM, {"properties": {f"m{number}": {} for number in range(3000)}}, ("m0",), ())
    assert len(made.columns) == MOST_COLUMNS
    for schema in ({}, {"properties": None}, {"properties": [1]}):
        assert shaped(STREAM, schema, ("id",), ()).columns == ()


def test_a_key_names_each_member_once() -> None:
    assert key_of(["a", "b", "a"]) == ("a", "b")
    assert key_of([]) == key_of(None) == ()
