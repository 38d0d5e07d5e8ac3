"""Full pulls, windows, quotas and streams whose shape is known only when they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.engine import runner
from leaderjobs.errors import QuotaExhausted, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState, Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.quota import Quota
from leaderjobs.model.stream import Column, ColumnType
from tests.integration.engine.scripted import Bench, ScriptedConnector
from tests.support import eventually

SPAN = Window(clock.now() - timedelta(days=2), clock.now() - timedelta(days=1))
FIRST = ScriptedConnector.streams[0]


def page(stream: str, number: int, cursor: Cursor) -> Batch:
    return Batch(stream, b'{"rows": [{"id": "%d"}]}' % number, ("rows",), None, cursor, Landing.UPSERT, 1)


def marker(surroundings: Bench, stream: str) -> Cursor:
    found = surroundings.stores.markers.load("c", stream)
    assert found is not None
    return found.cursor


def test_a_full_pull_begins_anew_and_goes_on_where_a_retry_finds_it(surroundings: Bench) -> None:
    surroundings.start("a")
    surroundings.ended(surroundings.enqueue())
    failures = iter([TransientError("later", retry_after=timedelta(0))])
    surroundings.script.reads.clear()
    surroundings.script.error = lambda stream, number: (
        next(failures, None) if (stream, number) == ("first", 2) else None
    )

    job = surroundings.ended(surroundings.enqueue(full=True))

    assert (job.state, job.attempt, job.begun) == (JobState.COMPLETED, 2, ("first", "second"))
    assert surroundings.script.reads == [
        (stream, number) for stream in ("first", "second") for number in (1, 2, 3)
    ]
    assert surroundings.sequences() == {"first": 6, "second": 6}


def test_a_window_is_pulled_beside_the_marker_and_goes_on_after_a_retry(surroundings: Bench) -> None:
    surroundings.start("a")
    surroundings.ended(surroundings.enqueue())
    seen: list[tuple[object, Window | None]] = []

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        seen.append((cursor, context.window))
        if cursor is None:
            yield page(stream, 10, {"at": 1})
            raise TransientError("later", retry_after=timedelta(0))
        yield page(stream, 11, {"at": 2})

    surroundings.script.read = read
    job = surroundings.ended(surroundings.enqueue(streams=("second",), window=SPAN))

    assert job.state is JobState.COMPLETED
    assert seen == [(None, SPAN), ({"at": 1}, SPAN)]
    seen.clear()
    surroundings.ended(surroundings.enqueue(streams=("second",), window=SPAN))
    surroundings.ended(surroundings.enqueue(streams=("second",)))
    # Another window begins anew; the stream's own reads go on where they were.
    assert seen[0] == (None, SPAN)
    assert seen[-1] == ({"page": 3}, None)
    assert marker(surroundings, "second") == {"at": 2}


def test_a_stream_without_spans_refuses_a_window(surroundings: Bench) -> None:
    surroundings.start("a")

    job = surroundings.ended(surroundings.enqueue(window=SPAN))

    assert job.state is JobState.DISCARDED
    assert "span" in str(job.error)


def test_a_quota_that_is_used_up_holds_the_connection_until_it_is_renewed(surroundings: Bench) -> None:
    running = surroundings.start("a")
    until = clock.now() + timedelta(hours=1)

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        context.log(f"reading {stream}")
        context.spend(Quota("tube", 2, until), 2)
        yield page(stream, 1, {"at": 1})
        context.spend(Quota("tube", 2, until), 1)

    surroundings.script.read = read
    job = surroundings.enqueue(streams=("first",))
    eventually(surroundings.stores.holds.all)

    (hold,) = surroundings.stores.holds.all()
    assert (hold.connection, hold.code, hold.person) == ("c", "quota_exhausted", False)
    assert abs(hold.until - until) < timedelta(seconds=5)
    waiting = surroundings.stores.jobs.get(job.id)
    assert (waiting.state, waiting.attempt) == (JobState.RETRYABLE, 0)
    assert marker(surroundings, "first") == {"at": 1}
    assert [(each.name, each.used) for each in surroundings.stores.quotas.all()] == [("tube", 2)]
    assert [event.facts["line"] for event in running.saw(EventKind.JOB_LOGGED)] == ["reading first"]


def test_a_quota_that_the_provider_says_is_used_up_holds_too(surroundings: Bench) -> None:
    surroundings.start("a")

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        context.observe(Quota("tokens", 10, clock.now() + timedelta(hours=1)), 10)
        if not cursor:
            raise QuotaExhausted("used up", until=clock.now() + timedelta(hours=1))
        yield page(stream, 1, {})

    surroundings.script.read = read
    surroundings.enqueue(streams=("first",))

    assert eventually(surroundings.stores.holds.all)[0].person is False
    assert surroundings.stores.quotas.all()[0].used == 10


def test_a_long_pull_says_how_far_it_is_how_fast_and_how_long_it_will_take(
    surroundings: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PROGRESS_EVERY", timedelta(0))
    running = surroundings.start("a")

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        yield dataclasses.replace(page(stream, 1, {"at": 1}), rows=40, total=100)
        yield dataclasses.replace(page(stream, 2, {"at": 2}), rows=50)

    surroundings.script.read = read
    surroundings.ended(surroundings.enqueue(streams=("first",)))

    facts = [event.facts for event in running.saw(EventKind.JOB_PROGRESSED)]
    assert [(each["rows"], each["pages"], each["total"]) for each in facts] == [(40, 1, 100), (90, 2, 100)]
    assert all(each["rows_per_second"] for each in facts)
    assert all("seconds_left" in each for each in facts)


def test_a_shape_that_no_table_can_have_ends_the_job_with_the_reason(surroundings: Bench) -> None:
    surroundings.start("a")
    bad = dataclasses.replace(FIRST, name="first", columns=tuple(_columns(1600)))

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        yield dataclasses.replace(page(stream, 1, {"at": 1}), shape=bad)

    surroundings.script.read = read
    job = surroundings.ended(surroundings.enqueue(streams=("first",)))

    assert job.state is JobState.DISCARDED
    assert "columns" in str(job.error)


def _columns(count: int) -> Iterator[Column]:
    for number in range(count):
        yield Column(f"c{number}", ColumnType.TEXT, (f"c{number}",))


def test_a_page_that_needs_another_shape_finds_its_table_made_to_fit(surroundings: Bench) -> None:
    surroundings.start("a")
    wider = dataclasses.replace(FIRST, columns=(Column("colour", ColumnType.TEXT, ("colour",)),))

    def read(stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        yield page(stream, 1, {"at": 1})
        body = b'{"rows": [{"id": "2", "colour": "red"}]}'
        yield dataclasses.replace(page(stream, 2, {"at": 2}), body=body, shape=wider)

    surroundings.script.read = read
    job = surroundings.ended(surroundings.enqueue(streams=("first",)))

    assert job.state is JobState.COMPLETED
    with psycopg.connect(surroundings.url) as connection:
        found = connection.execute("SELECT id, colour FROM scripted.first_current ORDER BY id").fetchall()
    assert found == [("1", None), ("2", "red")]
