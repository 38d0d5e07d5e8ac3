"""The parts of a declared stream that need no server: times, places in the marker, and what a stream is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.connectors.rest.pagination import Spot
from leaderjobs.connectors.rest.place import Anchor, Place, State, Walk
from leaderjobs.connectors.rest.request import asked_since
from leaderjobs.connectors.rest.settings import RestSettings
from leaderjobs.connectors.rest.stream_settings import RestIncremental, RestStreamSettings
from leaderjobs.connectors.rest.streams import described
from leaderjobs.connectors.rest.times import Form, Value, kept
from leaderjobs.errors import FatalError
from leaderjobs.model.stream import ColumnType, CursorKind
from leaderjobs.values import Duration
from tests.unit.connectors.catalog import STREAMS, decoded

NOON = datetime(2024, 2, 29, 12, 30, 15, 250000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "value", "read", "written"),
    [
        ("datetime", "2024-02-29T12:30:15.250Z", NOON, "2024-02-29T12:30:15.250000Z"),
        ("datetime", "2024-02-29T14:30:15.25+02:00", NOON, "2024-02-29T12:30:15.250000Z"),
        ("datetime", "2024-02-29 12:30:15.250000999", NOON, "2024-02-29T12:30:15.250000Z"),
        ("datetime", "2024-02-29", datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00Z"),
        ("date", "2024-02-29T12:30:15.25Z", NOON, "2024-02-29"),
        ("unix", Decimal("1709209815.25"), NOON, 1709209815),
        ("unix", "1709209815.250000", NOON, 1709209815),
        ("unix", 1709209815, NOON.replace(microsecond=0), 1709209815),
        ("unix_ms", 1709209815250, NOON, 1709209815250),
        ("%Y%m%d %H:%M", "20240229 12:30", NOON.replace(second=0, microsecond=0), "20240229 12:30"),
        ("text", "0xff", "0xff", "0xff"),
        ("text", 12345678901234567890, 12345678901234567890, 12345678901234567890),
    ],
)
def test_each_form_is_read_and_written_never_later(
    form: str, value: object, read: Value, written: object
) -> None:
    found = Form(form).read(value)
    assert found == read
    assert Form(form).write(found) == written


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("datetime", "yesterday"),
        ("datetime", ""),
        ("datetime", True),
        ("datetime", None),
        ("datetime", "1" * 300),
        ("date", "2024-02-30"),
        ("unix", "12a"),
        ("unix", 10**19),
        ("unix", Decimal("1e400")),
        ("unix", True),
        ("unix_ms", []),
        ("%Y-%m-%d", "2024/02/29"),
        ("text", Decimal("0.1")),
        ("text", False),
        ("text", None),
        ("text", ""),
    ],
)
def test_what_is_not_of_its_form(form: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"a text|an instant|a date|seconds since"):
        Form(form).read(value)


def test_looking_back() -> None:
    def since(value: Value | None, **values: Any) -> Value | None:
        incremental = RestIncremental(cursor="at", parameter="since", **values)
        return asked_since(RestStreamSettings(path="/x", key="id", incremental=incremental), value)

    assert since(None) is None
    assert since(None, initial="2024-01-01") == datetime(2024, 1, 1, tzinfo=UTC)
    assert since(NOON, initial="2024-01-01") == NOON
    assert since(NOON, look_back=Duration(hours=1)) == NOON - timedelta(hours=1)
    first = datetime(1, 1, 1, 1, tzinfo=UTC)
    assert since(first, look_back=Duration(days=1)) == first
    assert since("abc", format="text") == "abc"


PLACES = [
    State(),
    State(since="2024-01-01T00:00:00+00:00"),
    State(since=12345678901234567890),
    State(over=True),
    State(walk=Walk("abc", NOON, Place())),
    State("x", Walk("abc", NOON, Place(Spot("tok", 3, 30, "print")), "max")),
    State("a", Walk("abc", NOON, Place(Spot(pages=3)), "c", "b")),
    State(None, Walk("abc", NOON, Place(Spot(7), done=True, anchor=Anchor(Place(Spot("t", 1)), 4, "k")), 7)),
    State(
        None,
        Walk("abc", NOON, Place(Spot(), anchor=Anchor(Place(anchor=Anchor(Place(Spot(2)), 1, "a")), 0, "b"))),
    ),
]


@pytest.mark.parametrize("state", PLACES)
def test_a_place_is_the_same_after_the_marker(state: State) -> None:
    assert State.parse(json.loads(json.dumps(state.cursor()))) == state


def test_the_beginning_is_an_empty_cursor() -> None:
    assert State().cursor() == {}
    assert State.parse(None) == State.parse({}) == State()


@pytest.mark.parametrize(
    "cursor",
    [
        {"made_up": 1},
        {"since": 1.5},
        {"since": True},
        {"since": []},
        {"walk": 7},
        {"walk": {}},
        {"walk": {"of": "a", "began": "soon"}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00"}},
        {"walk": {"of": 1, "began": "2024-01-01T00:00:00Z"}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "page": {}}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "pages": -1}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "seen": "3"}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "other": 1}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "parent": {"index": 1}}},
        {"walk": {"of": "a", "began": "2024-01-01T00:00:00Z", "parent": {"index": 1, "key": 2}}},
    ],
)
def test_a_cursor_that_was_never_written_is_refused(cursor: dict[str, object]) -> None:
    with pytest.raises(FatalError, match="the marker holds") as caught:
        State.parse(cursor)
    assert "\n" not in str(caught.value)


def test_a_value_is_kept_as_text_that_reads_the_same() -> None:
    assert Form("datetime").read(kept(NOON)) == NOON
    assert kept(NOON.astimezone(timezone(timedelta(hours=2)))).endswith("+02:00")  # type: ignore[union-attr]
    assert (kept("x"), kept(7)) == ("x", 7)


def test_what_a_stream_is_to_everybody_else() -> None:
    found = {name: described(name, decoded(RestStreamSettings, values)) for name, values in STREAMS.items()}
    assert {name for name, stream in found.items() if stream.windowed} == {"changes", "sorted"}
    assert found["cursor"].cursor is CursorKind.FULL
    assert found["changes"].cursor is CursorKind.CHANGES
    assert found["members"].key == ("group", "id")
    assert found["members"].cost == "one request per page of 10 for each of groups, and the pages of groups"
    assert (found["plain"].cost, found["plain"].comment) == ("one request", "GET /plain")
    columns = {column.name: column for column in found["plain"].columns}
    assert (columns["owner_name"].path, columns["name"].path) == (("owner", "name"), ("name",))
    assert (columns["price"].type, columns["price"].comment) == (ColumnType.NUMERIC, "In euros")
    assert columns["updated_at"].indexed
    newer = {**STREAMS["changes"], "deleted": {"member": "x", "values": ["y"]}, "full": False}
    assert described("x", decoded(RestStreamSettings, newer)).cursor is CursorKind.CHANGES
    unswept = decoded(RestStreamSettings, {**STREAMS["plain"], "full": False})
    assert described("x", unswept).cursor is CursorKind.NEWER


def test_the_schema_is_the_connections_name_unless_set() -> None:
    for schema, found in ((None, "shop"), ("acme", "acme")):
        options = RestSettings(base_url="https://api.example.com", schema=schema)
        assert RestConnector.schema_of("shop", options) == found
