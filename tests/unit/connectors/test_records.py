"""Records are cut out of answers as they are, to the byte."""

from __future__ import annotations

import pytest
from msgspec import DecodeError, Raw

from leaderjobs.connectors.rest import records
from leaderjobs.connectors.rest.client import Told
from leaderjobs.connectors.rest.rows import Rows
from leaderjobs.connectors.rest.stream_settings import RestDeleted, RestStreamSettings
from leaderjobs.errors import FatalError

NUMBERS = b'{"id":12345678901234567890123,"a":0.10,"b":1e400,"c":-0.0,"d":"\\u00e9\\/"}'


def told(body: bytes) -> Told:
    return Told(body, records.document(body), {}, "https://api.example.com/x")


@pytest.mark.parametrize(
    ("body", "selector", "found"),
    [
        (b'[{"a":1},{"a":2}]', "", [b'{"a":1}', b'{"a":2}']),
        (b' {"a":1} ', "", [b'{"a":1}']),
        (b'{"data":[{"a":1}]}', "data", [b'{"a":1}']),
        (b'{"data":{"items":[{"a":1}]}}', "data.items", [b'{"a":1}']),
        (b'{"data":{"a":1}}', "data", [b'{"a":1}']),
        (b'{"data":null}', "data", []),
        (b"[]", "", []),
        (b'{"data":{"x":{"a":1},"y":{"a":2}}}', "data.*", [b'{"a":1}', b'{"a":2}']),
        (b'{"children":[{"data":{"a":1}},{"data":{"a":2}}]}', "children.*.data", [b'{"a":1}', b'{"a":2}']),
        (b'[{"lines":[{"a":1}]},{"lines":[]},{"lines":[{"a":2}]}]', "*.lines", [b'{"a":1}', b'{"a":2}']),
        (b'[[{"a":1}],[{"a":2}]]', "1", [b'{"a":2}']),
        (b'{"d":[' + NUMBERS + b"]}", "d", [NUMBERS]),
    ],
)
def test_where_records_are(body: bytes, selector: str, found: list[bytes]) -> None:
    assert [bytes(each) for each in records.selected(records.document(body), selector)] == found


@pytest.mark.parametrize(
    ("body", "selector", "kind"),
    [
        (b"{}", "data", records.Missing),
        (b'{"data":{}}', "data.items", records.Missing),
        (b'{"data":7}', "data.items", records.Missing),
        (b'{"data":[1]}', "data", records.Misfit),
        (b'{"data":"x"}', "data", records.Misfit),
        (b'{"data":7}', "data.*", records.Misfit),
        (b'{"c":[{"data":{}},{}]}', "c.*.data", records.Misfit),
        (b'[[{"a":1}]]', "", records.Misfit),
    ],
)
def test_where_none_are(body: bytes, selector: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        records.selected(records.document(body), selector)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":1', b'{"a":"\xff"}', b'{"a":1}}', b"[" * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises((DecodeError, UnicodeDecodeError, RecursionError)):
        records.document(body)


def test_members_are_put_in_front_and_a_records_own_win() -> None:
    assert bytes(records.with_members(Raw(b'{"id":1}'), {"p": "x", "n": 10**20})) == (
        b'{"p":"x","n":100000000000000000000,"id":1}'
    )
    assert bytes(records.with_members(Raw(b"{ }"), {"p": 1})) == b'{"p":1 }'
    assert bytes(records.with_members(Raw(b'{"p":2}'), {"p": 1})) == b'{"p":1,"p":2}'
    assert bytes(records.with_members(Raw(b"{}"), {})) == b"{}"


def test_the_body_is_handed_on_as_it_came_where_nothing_was_done_to_its_rows() -> None:
    body = b' {"data": [' + NUMBERS + b'], "more": 1e5} '
    rows = Rows("s", RestStreamSettings(path="/x", key="id", records="data"))
    found = told(body)
    assert rows.landed(found, rows.of(found, {})).body is body
    other = Rows("s", RestStreamSettings(path="/x", key="id", records="data.0"))
    made = other.landed(found, other.of(found, {}))
    assert (made.body, made.upserts, made.rows) == (b'{"rows":[' + NUMBERS + b"]}", "rows", 1)
    null = told(b'{"data":null}')
    assert rows.landed(null, rows.of(null, {})).body == b'{"rows":[]}'


def test_rows_that_say_that_they_are_gone_and_the_last_version_of_each_counts() -> None:
    body = (b'[{"id":1,"gone":"x"},{"id":2,"gone":null},{"id":3},{"id":4,"gone":false},'
            b'{"id":1},{"id":2,"gone":0}]')  # fmt: skip
    found = told(body)
    rows = Rows("s", RestStreamSettings(path="/x", key="id", deleted=RestDeleted(member="gone")))
    made = rows.landed(found, rows.of(found, {}))
    assert made.body == b'{"rows":[{"id":1},{"id":3},{"id":4,"gone":false}],"gone":[{"id":2,"gone":0}]}'
    assert (made.upserts, made.deletes, made.rows) == ("rows", "gone", 4)
    declared = RestDeleted(member="gone", values=("x", "0"))
    rows = Rows("s", RestStreamSettings(path="/x", key="id", deleted=declared))
    assert [rows.is_gone(row) for row in rows.of(found, {})] == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    "row",
    [
        b"{}",
        b'{"id":null}',
        b'{"id":1.5}',
        b'{"id":1.0}',
        b'{"id":true}',
        b'{"id":{}}',
        b'{"id":""}',
        b'{"ID":1}',
    ],
)
def test_a_row_without_its_key(row: bytes) -> None:
    rows = Rows("things", RestStreamSettings(path="/x", key="id"))
    with pytest.raises(FatalError, match="stream things: a row has no id that is a text or a whole number"):
        rows.of(told(b"[" + row + b"]"), {})
    assert rows.of(told(b'[{"id":12345678901234567890123},{"id":"x"}]'), {})
