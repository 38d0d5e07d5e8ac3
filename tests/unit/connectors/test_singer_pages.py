"""Batches from messages alone: states, walks, versions, deletions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaderjobs.connectors.singer.pages import Pages, Place
from leaderjobs.connectors.singer.settings import SingerSelection
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.stream import Stream
from leaderjobs.testing import Table

STREAM = Stream(name="orders", key=("_leaderjobs_id",), comment="Orders")
SCHEMA = {
    "type": "SCHEMA",
    "stream": "orders",
    "schema": {"properties": {"id": {}}},
    "key_properties": ["id"],
}
Message = dict[str, Any] | str


class Run:
    """One run after another over one table, each from the marker that the one before has left."""

    def __init__(self, *, full: bool = False, page_size: int = 100, key: tuple[str, ...] = ()) -> None:
        self.table = Table(STREAM)
        self.full, self.page_size, self.key = full, page_size, key

    def __call__(self, *messages: Message, ended_well: bool = True) -> list[Batch]:
        pages = Pages(
            STREAM, frozenset({"orders"}), Place.parse(self.table.cursor), full=self.full,
            selection=SingerSelection(key=self.key), page_size=self.page_size,
        )  # fmt: skip
        batches: list[Batch] = []
        for number, message in enumerate((SCHEMA, *messages), start=1):
            line = message if isinstance(message, str) else json.dumps(message)
            batches += pages.feed(line.encode(), number)
        if ended_well:
            batches += pages.finish()
        self.table.take(batches)
        return batches

    @property
    def ids(self) -> str:
        return " ".join(sorted(row["id"] for row in self.table.rows.values()))


def record(identity: str, version: int | None = None, **members: Any) -> Message:
    row = {"id": identity, **members}
    return {"type": "RECORD", "stream": "orders", "record": row} | ({"version": version} if version else {})


def gone(identity: str) -> Message:
    return record(identity, _sdc_deleted_at="2026-01-01")


def state(value: Any) -> Message:
    return {"type": "STATE", "value": value}


def activate(version: int) -> Message:
    return {"type": "ACTIVATE_VERSION", "stream": "orders", "version": version}


def kinds(batches: list[Batch]) -> list[Landing]:
    return [batch.landing for batch in batches]


def test_records_and_schemas_of_other_streams_are_dropped_and_states_are_not() -> None:
    run = Run()
    other = {"type": "RECORD", "stream": "shops", "record": {"id": "s"}}
    shops = SCHEMA | {"stream": "shops", "key_properties": ["x"]}
    run(record("a"), other, shops, {"type": "ACTIVATE_VERSION", "stream": "shops", "version": 5}, state(1))
    assert run.ids == "a"
    assert run.table.cursor == {"state": 1}
    assert run.table.stream.key == ("id",)


def test_a_state_without_rows_waits_for_rows_or_the_end() -> None:
    run = Run()
    assert [batch.rows for batch in run(state(1), state(2), record("a"), state(3), state(4))] == [1, 0]
    assert run.table.cursor == {"state": 4}
    assert run(state(4)) == []
    assert run() == []


def test_rows_after_the_last_state_are_committed_with_it_only_where_the_tap_ended_well() -> None:
    run = Run()
    run(record("a"), state(1), record("b"), ended_well=False)
    assert run.ids == "a"
    run(record("b"))
    assert run.ids == "a b"
    assert run.table.cursor == {"state": 1}


def test_a_row_that_comes_back_in_the_batch_that_deleted_it_is_there() -> None:
    run = Run()
    run(record("a"), record("b"), state(1), gone("a"), record("a"), gone("b"), state(2))
    assert run.ids == "a"
    assert run(gone("a"), record("a"), gone("a")) != []
    assert run.ids == ""


def test_a_value_that_looks_like_a_deletion_is_none() -> None:
    run = Run()
    run(record("a", _sdc_deleted_at=None), record("b", note='"_sdc_deleted_at": 1'))
    assert run.ids == "a b"


def test_a_key_of_our_choice_takes_the_place_of_the_taps() -> None:
    run = Run(key=("shop", "id"))
    run(record("a", shop="x"), record("a", shop="y"))
    assert set(run.table.rows) == {'["x", "a"]', '["y", "a"]'}


def test_records_without_a_key_are_told_apart_by_what_they_say() -> None:
    run = Run()
    bare = SCHEMA | {"key_properties": None}
    run(
        bare,
        '{"type":"RECORD","stream":"orders","record":{"id":"a","n":1.10,"_sdc_extracted_at":"x"}}',
        '{"type":"RECORD","stream":"orders","record":{ "n": 1.10, "id": "a", "_sdc_extracted_at": "y" }}',
        '{"type":"RECORD","stream":"orders","record":{"id":"a","n":1.11}}',
        '{"type":"RECORD","stream":"orders","record":{}}',
        '{"type":"RECORD","stream":"orders","record": { } }',
    )
    assert len(run.table.rows) == 3
    assert all(len(key) == 64 == len(row["_leaderjobs_id"]) for key, row in run.table.rows.items())


class TestWholeTables:
    def test_what_a_run_that_ended_well_has_not_brought_is_gone(self) -> None:
        run = Run(full=True, page_size=2)
        assert kinds(run(record("a"), record("b"), record("c"))) == [Landing.WALK, Landing.SWEEP]
        run(record("b"), record("d"))
        assert run.ids == "b d"
        run()
        assert run.ids == ""

    def test_without_versions_a_run_that_broke_off_is_begun_again_with_the_same_state(self) -> None:
        run = Run(full=True, page_size=2)
        run(record("a"), record("b"), state({"at": 1}))
        run(record("a"), record("b"), state({"at": 2}), record("c"), record("d"), ended_well=False)
        assert run.table.cursor == {"state": {"at": 1}, "walk": 0}
        batches = run(record("b"), record("c"), state({"at": 3}))
        assert kinds(batches) == [Landing.RESTART, Landing.WALK, Landing.SWEEP]
        assert run.ids == "b c"
        assert run.table.cursor == {"state": {"at": 3}}

    def test_with_versions_a_run_that_broke_off_goes_on(self) -> None:
        run = Run(full=True, page_size=2)
        run(record("x", 1), record("y", 1))
        run(record("a", 5), state(5), ended_well=False)
        assert run.table.cursor == {"state": 5, "version": 1, "walk": 5}
        run(record("b", 5), activate(5))
        assert run.ids == "a b"
        assert run.table.cursor == {"state": 5, "version": 5}

    def test_a_new_version_gives_up_the_walk_of_the_old_one(self) -> None:
        run = Run(full=True)
        run(record("a", 5), state(5), ended_well=False)
        assert Landing.RESTART in kinds(run(record("b", 6), activate(6)))
        assert run.ids == "b"

    @pytest.mark.parametrize(
        "messages",
        [
            [activate(5), record("a", 5), record("b", 5)],
            [record("a", 5), record("b", 5), activate(5)],
            [activate(5), record("a", 5), record("b", 5), activate(5), activate(5)],
            [activate(5), record("a", 5), activate(5), record("b", 5)],
            [record("a"), record("b"), activate(5)],
            [record("a", 5), record("b", 5)],
        ],
    )
    def test_it_does_not_matter_when_or_how_often_its_version_is_activated(
        self, messages: list[Message]
    ) -> None:
        run = Run(full=True)
        run(record("a", 1), record("z", 1), activate(1))
        assert kinds(run(*messages)).count(Landing.SWEEP) == 1
        assert run.ids == "a b"


class TestVersionsOfChanges:
    """A tap that lists a table once, and then what has changed in it."""

    def test_the_first_load_sweeps_at_its_end_and_changes_come_after_it(self) -> None:
        run = Run()
        run(record("z"), state(0))
        batches = run(record("a", 5), state(1), activate(5), record("b", 5), state(2))
        assert kinds(batches) == [Landing.WALK, Landing.SWEEP, Landing.UPSERT]
        assert run.ids == "a b"
        assert kinds(run(activate(5), record("c", 5), activate(5), state(3))) == [Landing.UPSERT]
        assert run.ids == "a b c"

    def test_a_first_load_that_was_activated_before_it_came_sweeps_when_it_has_come(self) -> None:
        run = Run()
        run(record("z"), state(0))
        run(activate(5), record("a", 5), state(1), ended_well=False)
        assert run.ids == "a z"
        assert kinds(run(activate(5), record("b", 5), state(2))) == [Landing.WALK, Landing.SWEEP]
        assert run.ids == "a b"

    def test_a_version_of_which_nothing_has_come_deletes_nothing(self) -> None:
        run = Run()
        run(record("a", 5), activate(5), state(1))
        run(activate(6))
        assert run.ids == "a"
        run(activate(6), record("b", 6), state(2))
        assert run.ids == "a b"

    def test_records_without_a_version_are_no_walk(self) -> None:
        run = Run()
        run(record("a", 5), activate(5))
        assert kinds(run(record("b"), activate(6))) == [Landing.UPSERT]
        assert run.ids == "a b"


@pytest.mark.parametrize(
    ("cursor", "state"),
    [
        (None, b"null"),
        ({}, b"null"),
        ({"state": {"a": 1.5}}, b'{"a":1.5}'),
        ({"state_json": '{"a":1.23456789012345678901}'}, b'{"a":1.23456789012345678901}'),
    ],
)
def test_a_marker_gives_the_state_back(cursor: dict[str, object] | None, state: bytes) -> None:
    assert Place.parse(cursor).state == state


@pytest.mark.parametrize("text", [b"1.23456789012345678901", b"1e400", b'{"a":[0.1000000000000000000001]}'])
def test_a_number_that_is_no_float_is_kept_as_text(text: bytes) -> None:
    cursor = Place(text).cursor()
    assert cursor == {"state_json": text.decode()}
    assert Place.parse(json.loads(json.dumps(cursor))).state == text


@pytest.mark.parametrize(
    "text", [b"1.10", b"12345678901234567890123", b'{"at": 1700000000.123456}', b'"\xc3\xa9"']
)
def test_other_states_are_readable(text: bytes) -> None:
    cursor = Place(text).cursor()
    assert set(cursor) == {"state"}
    assert json.loads(Place.parse(json.loads(json.dumps(cursor))).state) == json.loads(text)


@pytest.mark.parametrize(
    "cursor",
    [
        {"after": 1},
        {"state": 1, "walk": "x"},
        {"state_json": 1},
        {"state": 1, "version": 1.5},
        {"state": 1, "x": 1},
    ],
)
def test_a_marker_that_was_never_written_is_refused(cursor: dict[str, object]) -> None:
    with pytest.raises(FatalError, match="run the leaderjobs version that wrote it"):
        Place.parse(cursor)
