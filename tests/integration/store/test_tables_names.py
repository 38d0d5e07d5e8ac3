"""Whatever a provider calls its members: every one has its column, always the same one, and nothing else happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import sql

from leaderjobs.errors import Refused
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store import table_changes
from leaderjobs.store.table_names import MOST_NAME_BYTES, column_name, cut, index_name
from tests.integration.store.tables_rig import SCHEMA, Grown

LONG = "a property with a name that goes on and on and on, as form builders make them"
NASTY = [
    'x"; DROP TABLE shop.things; --',
    "x'); DROP TABLE shop.things; --",
    "$$; DROP TABLE shop.things; $$",
    "%s %(cluster)s %I %%",
    "{table} {} {{x}}",
    "\\'; \\n",
    "new",
    "NULL",
    "t",
    "naïve 名前 \N{SNOWMAN}",
    "\U0001f600" * 20,
    "Id",
    "ID",
    "id",
    "id_",
    "doc",
    "deleted_at",
    "ctid",
    "select",
    "",
    "_",
    " ",
    "a\0b",
    "a,b",
    "{a",
    f"{LONG} 1",
    f"{LONG} 2",
    column_name(f"{LONG} 1"),
]


def test_every_name_is_its_own_column_within_the_limit() -> None:
    names = [column_name(name) for name in NASTY]

    assert len(set(names)) == len(NASTY)
    assert all(0 < len(name.encode()) <= MOST_NAME_BYTES for name in names)
    assert names == [column_name(name) for name in NASTY]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", "id_"),
        ("id_", "id__"),
        ("xmin", "xmin_"),
        ("Id", "Id"),
        ("", "_"),
        ("_", "__"),
        ("idea", "idea"),
        ("half\ud800", "half\ufffd"),
        ("x" * 63, "x" * 63),
    ],
)
def test_only_names_that_are_taken_or_cannot_be_stored_change(name: str, expected: str) -> None:
    assert column_name(name) == expected


def test_cut_name_cannot_be_passed_for_by_another() -> None:
    made = cut("é" * 40)

    assert len(made.encode()) <= MOST_NAME_BYTES
    assert cut(made) != made
    assert index_name("a_b", "c") != index_name("a", "b_c")


@pytest.mark.parametrize("way", ["new", "online"])
def test_hostile_names_are_columns_like_any_other(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    stream = Stream(
        "hostile'\"%s {}",
        ("key",),
        "x'; DROP TABLE shop.things; --",
        tuple(Column(name, ColumnType.TEXT, (name,), f"'{name}%s{{}}", indexed=True) for name in NASTY),
    )
    row = {"key": "k", **{name: f"value {place}" for place, name in enumerate(NASTY)}}
    if way == "online":
        monkeypatch.setattr(table_changes, "MOST_REWRITTEN_BYTES", -1)
        grown.ensure(replace(stream, columns=()))
        grown.land(stream, row)
        assert not grown.ensure(stream)
        grown.land(stream, {**row, "key": "l"})

    grown.ensure(stream)
    grown.fill(stream)
    grown.land(stream, {**row, "key": "m"})

    names = sql.SQL(", ").join(sql.Identifier(column_name(name)) for name in NASTY)
    view = sql.Identifier(SCHEMA, f"{stream.name}_current")
    read = set(grown.admin.execute(sql.SQL("SELECT {} FROM {}").format(names, view)).fetchall())
    assert read == {tuple(f"value {place}" for place in range(len(NASTY)))}
    assert grown.ensure(stream)
    assert grown.one("SELECT to_regclass('shop.things') IS NOT NULL") is True


def test_columns_that_only_differ_in_what_cannot_be_stored_are_one(grown: Grown) -> None:
    columns = tuple(Column(name, ColumnType.TEXT, (name,)) for name in ("a\0", "a\ufffd"))

    grown.ensure(Stream("things", ("id",), "Things", columns))

    assert grown.column_names("things") == ["a\ufffd"]


def test_column_of_another_type_is_another_column(grown: Grown) -> None:
    names = ("price", "id", LONG)
    number, text = (
        Stream("things", ("id",), "Things", tuple(Column(name, made, (name,)) for name in names))
        for made in (ColumnType.NUMERIC, ColumnType.TEXT)
    )
    grown.ensure(number)

    assert grown.ensure(text)
    assert grown.ensure(number)
    assert grown.ensure(text, number)

    second = column_name(f"{LONG}__text")
    assert grown.column_names("things") == [
        "price",
        "id_",
        column_name(LONG),
        "price__text",
        "id__text",
        second,
    ]


def test_column_of_somebody_elses_is_left_alone(grown: Grown) -> None:
    stream = Stream("things", ("id",), "Things")
    grown.ensure(stream)
    grown.admin.execute("ALTER TABLE grown.things ADD note text, ADD twice text, ADD twice__text text")

    grown.ensure(replace(stream, columns=(Column("note", ColumnType.TEXT, ("note",)),)))

    assert grown.column_names("things") == ["note", "twice", "twice__text", "note__text"]
    with pytest.raises(Refused, match="rename it"):
        grown.ensure(replace(stream, columns=(Column("twice", ColumnType.TEXT, ("twice",)),)))


def test_more_columns_than_postgres_holds_are_refused(grown: Grown) -> None:
    columns = tuple(Column(f"c{number}", ColumnType.TEXT, ("c",)) for number in range(1600))

    with pytest.raises(Refused, match="at most 1500"):
        grown.ensure(Stream("things", ("id",), "Things", columns))
