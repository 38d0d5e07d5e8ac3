"""Tables that people read and pages land in grow meanwhile: nobody is locked out, and every row gets its values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store import table_fill, tables
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from tests.integration.store.rig import Admin
from tests.integration.store.tables_rig import SCHEMA, Grown
from tests.support import eventually

ROWS = 50_000
OLD = Stream("things", ("id",), "Things", (Column("pad", ColumnType.TEXT, ("pad",), "Padding"),))
NEW = replace(
    OLD,
    columns=(
        Column("mood", ColumnType.TEXT, ("mood",), "How it feels", indexed=True),
        Column("price", ColumnType.NUMERIC, ("price",)),
        Column("fine", ColumnType.BOOLEAN, ("fine",)),
        Column("tags", ColumnType.JSON, ("tags",), indexed=True),
        *OLD.columns,
    ),
)
WRONG = """
SELECT count(*) FROM grown.{} WHERE mood IS DISTINCT FROM leaderjobs.json_text(doc, 'mood')
    OR price IS DISTINCT FROM leaderjobs.json_numeric(doc, 'price')
    OR fine IS DISTINCT FROM leaderjobs.json_boolean(doc, 'fine')
    OR tags IS DISTINCT FROM leaderjobs.json_json(doc, 'tags')
"""


@pytest.fixture
def other(store_url: str) -> Iterator[Admin]:
    """A connection that leaves its transaction open."""
    with closing(psycopg.connect(store_url)) as connection:
        yield connection


@pytest.fixture
def member(store_url: str) -> Iterator[Tables]:
    """The tables as another member sees them."""
    with closing(Database(store_url, application="member")) as database:
        yield Tables(database)


def test_pages_land_and_people_read_while_a_large_table_grows(
    grown: Grown, admin: Admin, other: Admin
) -> None:
    grown.ensure(OLD)
    grown.insert(OLD, ROWS)
    file = grown.one("SELECT pg_relation_filenode('grown.things')")

    with landing(grown) as landed:
        assert not grown.ensure(NEW)
        # A lock that readers wait for could not be had from here on.
        other.execute("SELECT FROM grown.things LIMIT 1")
        assert grown.fill_some(NEW)
        before = len(landed)
        assert grown.one(WRONG.format("things_current")) == 0
        assert grown.one(WRONG.format("things")) != 0
        eventually(lambda: len(landed) > before)
        grown.fill(NEW)

    assert grown.one(WRONG.format("things")) == 0
    assert grown.one("SELECT count(*) FROM grown.things WHERE price IS NULL OR tags IS NULL") == 0
    assert grown.one("SELECT pg_relation_filenode('grown.things')") == file
    assert admin.execute(
        "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid = 'grown.things'::regclass"
    ).fetchone() == (3, True)
    assert grown.ensure(NEW)


@pytest.mark.usefixtures("online")
def test_table_that_stays_in_use_is_left_for_later_and_blocks_nobody(
    grown: Grown, other: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_PATIENCE", timedelta(milliseconds=500))
    grown.ensure(OLD)
    grown.insert(OLD, 10)
    other.execute("SELECT FROM grown.things LIMIT 1")

    assert not grown.ensure(NEW)

    assert "grown.things: columns to add" in grown.pending(NEW)
    assert not grown.fill_some(NEW)
    assert grown.one("SELECT count(*) FROM grown.things") == 10
    grown.land(NEW, {"id": "late", "mood": "m"})
    other.rollback()
    grown.fill(NEW)
    assert grown.one(WRONG.format("things")) == 0
    assert grown.column_names("things") == ["pad", "mood", "price", "fine", "tags"]


@pytest.mark.usefixtures("online")
def test_row_that_a_page_holds_is_filled_once_it_is_free(grown: Grown, other: Admin) -> None:
    grown.ensure(OLD)
    grown.insert(OLD, 10)
    grown.ensure(NEW)
    # A deletion does not touch the document, so the trigger does not see it.
    other.execute("UPDATE grown.things SET deleted_at = now() WHERE id = 'r5'")

    assert grown.fill_some(NEW)
    assert not grown.fill_some(NEW)

    assert grown.one(WRONG.format("things")) == 1
    other.commit()
    grown.fill(NEW)
    assert grown.one(WRONG.format("things")) == 0


@pytest.mark.usefixtures("online")
def test_step_that_is_killed_has_done_nothing_and_the_next_goes_on_from_there(
    grown: Grown, other: Admin, member: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_fill, "MOST_STEP_ROWS", 80)
    monkeypatch.setattr(table_fill, "LOCK_PATIENCE", timedelta(seconds=30))
    grown.ensure(OLD)
    grown.insert(OLD, 200)
    grown.tables = Tables(grown.cluster.database)
    grown.ensure(NEW)
    assert grown.fill_some(NEW)
    passed = "SELECT max(passed) FROM leaderjobs.columns"
    left, place = grown.one(WRONG.format("things")), grown.one(passed)
    assert 0 < int(str(left)) < 200
    other.execute("SELECT FROM leaderjobs.columns FOR UPDATE")

    with racing(lambda: grown.fill_some(NEW)) as failed:
        eventually(
            lambda: grown.one(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND query ~ '^UPDATE leaderjobs.columns'"
            )
        )

    assert [type(error) for error in failed] == [StoreUnavailable]
    other.rollback()
    assert (grown.one(WRONG.format("things")), grown.one(passed)) == (left, place)
    while member.fill_some(SCHEMA, [NEW]):
        pass
    assert grown.one(WRONG.format("things")) == 0
    assert grown.pending(NEW) == []


@pytest.mark.usefixtures("online")
def test_members_that_do_the_same_at_once_do_it_once(grown: Grown, member: Tables) -> None:
    grown.ensure(OLD)
    grown.insert(OLD, 3000)

    def work(made: Tables) -> None:
        made.ensure(SCHEMA, [NEW])
        eventually(lambda: not made.fill_some(SCHEMA, [NEW]) and not made.pending(SCHEMA, [NEW]))

    with racing(lambda: work(member), lambda: work(grown.tables)) as failed:
        pass

    assert failed == []
    assert grown.one(WRONG.format("things")) == 0
    assert grown.column_names("things") == ["pad", "mood", "price", "fine", "tags"]
    indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'grown'"
    assert grown.one(indexes) == 3


@pytest.mark.usefixtures("online")
def test_column_that_comes_during_a_fill_is_filled_too(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_fill, "MOST_STEP_ROWS", 80)
    grown.tables = Tables(grown.cluster.database)
    grown.ensure(OLD)
    grown.insert(OLD, 200)
    before = replace(NEW, columns=NEW.columns[:1])
    grown.ensure(before)
    grown.fill_some(before)

    grown.ensure(NEW)
    grown.land(NEW, {"id": "r3", "mood": "new", "price": 1, "fine": False, "tags": {}})
    grown.fill(NEW)

    assert grown.one(WRONG.format("things")) == 0
    assert grown.one("SELECT count(*) FROM grown.things_current WHERE price IS NULL") == 0
    grown.land(NEW, {"id": "r3", "mood": "newer", "price": 2, "fine": True}, {"id": "r4"})
    assert grown.one(WRONG.format("things")) == 0


def test_index_that_was_left_unfinished_is_built_anew(grown: Grown, admin: Admin) -> None:
    grown.ensure(OLD)
    grown.insert(OLD, 10)
    grown.ensure(replace(NEW, columns=tuple(replace(each, indexed=False) for each in NEW.columns)))
    grown.admin.execute('UPDATE grown.things SET doc = doc || \'{"mood": "same"}\'')
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON grown.things (mood)")

    assert not grown.ensure(NEW)
    grown.fill(NEW)

    assert grown.one("SELECT count(*) FROM pg_indexes WHERE indexname = 'broken'") == 0
    invalid = "SELECT count(*) FROM pg_index WHERE indrelid = 'grown.things'::regclass AND NOT indisvalid"
    assert grown.one(invalid) == 0


def test_index_being_built_is_left_to_whoever_builds_it_and_can_be_interrupted(
    grown: Grown, other: Admin, member: Tables
) -> None:
    grown.ensure(OLD)
    indexed = replace(OLD, columns=(replace(OLD.columns[0], indexed=True),))
    other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    other.execute("SELECT count(*) FROM grown.things")
    told: list[bool] = []

    with racing(lambda: told.append(grown.fill_some(indexed))):
        waits = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase ~ 'waiting for old snapshots'"
        eventually(lambda: grown.one(waits))
        assert not member.fill_some(SCHEMA, [indexed])
        grown.tables.interrupt()

    assert told == [False]
    assert grown.pending(indexed) == ["grown.things: index on pad to build"]
    other.rollback()
    grown.fill(indexed)
    # Not a b-tree: the column was made without an index, and holds texts of any length.
    grown.land(indexed, {"id": "long", "pad": "".join(chr(0x4E00 + n % 20000) for n in range(20_000))})
    assert grown.one("SELECT length(pad) FROM grown.things") == 20_000


@contextmanager
def landing(grown: Grown) -> Iterator[list[int]]:
    """Land changed, new and deleted rows all the time; the pages that have landed."""
    landed: list[int] = []
    stop = threading.Event()

    def land() -> None:
        while not stop.wait(0.01):
            page = len(landed)
            rows = [
                {
                    "id": f"r{(page * 977 + n * 31) % (ROWS + 500)}",
                    "mood": f"p{page}",
                    "price": n,
                    "tags": [page],
                }
                for n in range(50)
            ]
            grown.land(NEW, *rows, gone=(f"r{page * 13 % ROWS}",))
            landed.append(page)

    with racing(land) as failed:
        try:
            yield landed
        finally:
            stop.set()
    assert failed == []
    assert landed


@contextmanager
def racing(*works: Callable[[], object]) -> Iterator[list[Exception]]:
    """Run each in a thread of its own beside the block; what they raised, once it has been left."""
    failed: list[Exception] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
