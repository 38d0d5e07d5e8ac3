"""Destination tables: made once, only ever grown, and never the reason that a page fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pytest

from leaderjobs.errors import Refused, StoreError
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from tests.integration.store.rig import STREAM, Admin, Cluster, page, raw_page

ODD = "o\"d%s {x}'; --"


@pytest.fixture
def migrated(database_url: str) -> Iterator[Database]:
    made = Database(database_url, application="test")
    Migrations(made).apply()
    yield made
    made.close()


def test_ensure_again_does_nothing_and_takes_no_lock(migrated: Database, database_url: str) -> None:
    tables = Tables(migrated)
    tables.ensure("shop", [STREAM])
    with closing(psycopg.connect(database_url)) as reader:
        reader.execute("SELECT count(*) FROM shop.things")

        tables.ensure("shop", [STREAM])


def test_racing_members_make_one_table(database_url: str, migrated: Database) -> None:
    failed: list[Exception] = []

    def ensure() -> None:
        with closing(Database(database_url, application="racer")) as database:
            try:
                Tables(database).ensure("shop", [STREAM, replace(STREAM, name="others")])
            except StoreError as error:
                failed.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failed == []
    assert migrated.rows("SELECT count(*) AS n FROM shop.others_current") == [{"n": 0}]


def test_new_column_is_added_and_read_from_the_documents_there_are(migrated: Database) -> None:
    tables = Tables(migrated)
    tables.ensure("shop", [replace(STREAM, columns=STREAM.columns[:1])])
    migrated.rows(
        "INSERT INTO shop.things VALUES ('c', 'h', 'a', '{\"label\": \"l\", \"price\": {\"amount\": 1.10}}', 1, NULL, now())"
        " RETURNING id"
    )

    tables.ensure("shop", [replace(STREAM, columns=(*STREAM.columns[1:], STREAM.columns[0]))])

    (row,) = migrated.rows("SELECT * FROM shop.things_current")
    assert list(row) == ["connection", "id", "doc", "synced_at", "label", "amount", "day", "seen_at", "fine"]
    assert str(row["amount"]) == "1.10"


def test_odd_names_are_quoted(migrated: Database) -> None:
    stream = Stream(ODD, (ODD,), ODD, (Column(ODD, ColumnType.TEXT, (ODD, "b"), ODD, indexed=True),))

    Tables(migrated).ensure(ODD, [stream])

    found = migrated.rows(
        "SELECT obj_description(c.oid) AS comment FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %(name)s AND c.relname = %(name)s",
        {"name": ODD},
    )
    assert found == [{"comment": ODD}]


def test_page_lands_in_a_table_with_odd_names(cluster: Cluster, admin: Admin) -> None:
    Tables(cluster.database).ensure("shop", [replace(STREAM, name=ODD)])
    led = cluster.lead()

    cluster.commit(led, cluster.start(led), page({"id": "a"}, gone=("b",)), None, replace(STREAM, name=ODD))

    assert admin.execute(
        psycopg.sql.SQL("SELECT id FROM {}").format(psycopg.sql.Identifier("shop", ODD))
    ).fetchone() == ("a",)


def test_own_columns_and_view_carry_their_meaning(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "a"}, {"id": "b"}), None)
    cluster.commit(led, job, page(gone=("a",)), marker)

    assert admin.execute("SELECT id FROM shop.things_current").fetchall() == [("b",)]
    comments = admin.execute(
        "SELECT count(*) FROM pg_description WHERE objoid = 'shop.things'::regclass AND objsubid > 0"
    ).fetchone()
    assert comments == (8,)
    indexes = admin.execute(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'things'"
    ).fetchone()
    assert indexes == (3,)


@pytest.mark.parametrize("name", ["leaderjobs", "public", "pg_mine", "information_schema", "", "x" * 64])
def test_schema_that_is_taken_or_cannot_be_is_refused(migrated: Database, name: str) -> None:
    with pytest.raises(Refused):
        Tables(migrated).ensure(name, [STREAM])


def test_tables_whose_names_would_be_cut_or_collide_are_refused(migrated: Database) -> None:
    tables = Tables(migrated)
    for streams in (
        [replace(STREAM, name="x" * 60)],
        [replace(STREAM, name="half\ud800")],
        [STREAM, replace(STREAM, name="things_current")],
    ):
        with pytest.raises(Refused):
            tables.ensure("shop", streams)


def test_view_or_other_thing_in_the_place_of_a_table_is_refused(migrated: Database) -> None:
    tables = Tables(migrated)
    tables.ensure("shop", [STREAM])
    with pytest.raises(Refused, match="things_current is something else"):
        tables.ensure("shop", [replace(STREAM, name="things_current")])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.10", Decimal("1.10")),
        ('"1.10"', Decimal("1.10")),
        ("-1e3", Decimal(-1000)),
        ('"1e3"', None),
        ('"abc"', None),
        ('"NaN"', None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ("1" * 5000, None),
    ],
)
def test_numeric_column_reads_numbers_and_leaves_the_rest_empty(
    cluster: Cluster, admin: Admin, value: str, expected: Decimal | None
) -> None:
    assert _read(cluster, admin, "amount", f'"price": {{"amount": {value}}}') == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"2024-02-29"', date(2024, 2, 29)),
        ('"2000-02-29"', date(2000, 2, 29)),
        ('"1900-02-29"', None),
        ('"2023-02-29"', None),
        ('"2023-04-31"', None),
        ('"2023-12-31"', date(2023, 12, 31)),
        ('"2023-13-01"', None),
        ('"2023-1-1"', None),
        ('"0000-01-01"', None),
        ('"2023-01-01T00:00:00Z"', None),
        ("20230101", None),
        ("null", None),
    ],
)
def test_date_column_reads_days_that_exist(
    cluster: Cluster, admin: Admin, value: str, expected: date | None
) -> None:
    assert _read(cluster, admin, "day", f'"day": {value}') == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"2026-01-02T03:04:05Z"', datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ('"2026-01-02t03:04:05.123456789-05:30"', datetime(2026, 1, 2, 8, 34, 5, 123457, tzinfo=UTC)),
        ('"2026-01-02 03:04:05+14:00"', datetime(2026, 1, 1, 13, 4, 5, tzinfo=UTC)),
        ('"2026-12-31T23:59:59.9999999Z"', datetime(2027, 1, 1, tzinfo=UTC)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ('"2026-02-30T03:04:05Z"', None),
        ('"2026-01-02T25:04:05Z"', None),
        ('"2026-01-02T03:04:60Z"', None),
        ('"2026-01-02T03:04:05"', None),
        ('"2026-01-02"', None),
        ("-1", None),
        ("1e300", None),
        ("false", None),
    ],
)
def test_timestamp_column_reads_instants_with_their_zone(
    cluster: Cluster, admin: Admin, value: str, expected: datetime | None
) -> None:
    assert _read(cluster, admin, "seen_at", f'"seen_at": {value}') == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("false", False), ("1", None), ("null", None), ('"yes"', None)]
)
def test_boolean_column_reads_booleans(cluster: Cluster, admin: Admin, value: str, expected: object) -> None:
    assert _read(cluster, admin, "fine", f'"fine": {value}') is expected


@pytest.mark.parametrize(
    ("value", "expected"), [('"text"', "text"), ("12", "12"), ("null", None), ('{"a": 1}', '{"a": 1}')]
)
def test_text_column_reads_anything(cluster: Cluster, admin: Admin, value: str, expected: str | None) -> None:
    assert _read(cluster, admin, "label", f'"label": {value}') == expected


def test_text_too_long_for_an_index_is_left_empty_and_stays_in_the_document(
    cluster: Cluster, admin: Admin
) -> None:
    long = "".join(chr(0x4E00 + number % 20000) for number in range(20_000))

    assert _read(cluster, admin, "label", f'"label": "{long}"') is None

    assert admin.execute("SELECT doc ->> 'label' FROM shop.things").fetchone() == (long,)


def _read(cluster: Cluster, admin: Admin, column: str, member: str) -> object:
    led = cluster.lead()
    body = f'{{"rows": [{{"id": "a", {member}}}], "removed": []}}'.encode()
    cluster.commit(led, cluster.start(led), raw_page(body), None)
    row = admin.execute(
        psycopg.sql.SQL("SELECT {} FROM shop.things").format(psycopg.sql.Identifier(column))
    ).fetchone()
    assert row is not None
    return row[0]
