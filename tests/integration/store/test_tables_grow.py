"""What a table has when its description changes, and what of it is nobody's business but its users'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from psycopg.conninfo import make_conninfo

from leaderjobs.errors import StoreError
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.store import table_changes, tables
from leaderjobs.store.pool import Connection, Database
from leaderjobs.store.table_state import Table, look
from leaderjobs.store.tables import Tables
from tests.integration.store.tables_rig import Grown

LABEL = Column("label", ColumnType.TEXT, ("label",), "Its label")
TAGS = Column("tags", ColumnType.JSON, ("more", "tags"), "Its tags", indexed=True)
PLAIN = Stream("things", ("id",), "Things")
WITH_LABEL = replace(PLAIN, columns=(LABEL,))
WITH_TAGS = replace(PLAIN, columns=(TAGS,))
BOTH = replace(PLAIN, columns=(LABEL, TAGS))
# As the first version made it.
EARLIER = """
CREATE SCHEMA grown;
CREATE TABLE grown.things (
    cluster text COLLATE "C" NOT NULL, connection text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL, ord bigint NOT NULL, deleted_at timestamptz, synced_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, connection, id)
) WITH (toast_tuple_target = 8160);
ALTER TABLE grown.things ADD COLUMN label text GENERATED ALWAYS AS (leaderjobs.json_text(doc, 'label')) STORED;
CREATE VIEW grown.things_current AS
    SELECT connection, id, doc, synced_at, label FROM grown.things WHERE deleted_at IS NULL;
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('[1, {"a": 1.10}]', '[1, {"a": 1.10}]'),
        ('"x"', '"x"'),
        ("0", "0"),
        ("null", None),
        ("false", "false"),
    ],
)
def test_json_column_holds_whatever_stands_there(grown: Grown, value: str, expected: str | None) -> None:
    grown.ensure(BOTH)
    grown.admin.execute(
        "INSERT INTO grown.things VALUES ('c', 'h', 'a', %s::jsonb, 1, NULL, now())",
        (f'{{"more": {{"tags": {value}}}}}',),
    )

    assert grown.one("SELECT tags::text FROM grown.things_current") == expected


def test_small_table_gets_generated_columns_and_indexes_at_once(grown: Grown) -> None:
    grown.ensure(PLAIN)
    grown.land(PLAIN, {"id": "a", "label": "l"})

    assert grown.ensure(BOTH)

    assert (
        grown.one(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'grown.things'::regclass AND attgenerated = 's'"
        )
        == 2
    )
    assert (
        grown.one("SELECT count(*) FROM pg_indexes WHERE tablename = 'things' AND schemaname = 'grown'") == 2
    )
    assert grown.one("SELECT label FROM grown.things_current") == "l"


@pytest.mark.usefixtures("online")
def test_table_of_an_earlier_version_keeps_its_columns_and_gets_new_ones(grown: Grown) -> None:
    grown.admin.execute(EARLIER.encode())
    grown.land(WITH_LABEL, {"id": "a", "label": "l", "more": {"tags": [1]}})

    grown.ensure(WITH_LABEL)
    grown.ensure(BOTH)
    grown.land(BOTH, {"id": "b", "label": "m", "more": {"tags": [2]}})
    grown.fill(BOTH)

    found = grown.admin.execute("SELECT id, label, tags FROM grown.things_current ORDER BY id").fetchall()
    assert found == [("a", "l", [1]), ("b", "m", [2])]
    assert (
        grown.one(
            "SELECT attgenerated FROM pg_attribute WHERE attrelid = 'grown.things'::regclass AND attname = 'label'"
        )
        == "s"
    )


def test_streams_that_share_a_table_get_the_union_of_their_columns(grown: Grown) -> None:
    grown.ensure(WITH_LABEL)
    grown.ensure(WITH_TAGS)

    assert grown.ensure(WITH_LABEL)
    assert grown.ensure(WITH_TAGS)
    assert grown.ensure(WITH_LABEL, WITH_TAGS)
    assert grown.column_names("things") == ["label", "tags"]


def test_what_is_up_to_date_takes_one_question(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [replace(BOTH, name=f"things {number}") for number in range(10)]
    grown.ensure(*streams)
    asked: list[str] = []

    def counted(connection: Connection, schema: str, names: Sequence[str]) -> Mapping[str, Table]:
        asked.append(schema)
        return look(connection, schema, names)

    monkeypatch.setattr(tables, "look", counted)

    assert grown.ensure(*streams)

    assert asked == ["grown"]


def test_comments_follow_the_description(grown: Grown) -> None:
    grown.ensure(BOTH)

    assert grown.ensure(
        replace(
            BOTH, comment="Other things", columns=(replace(LABEL, comment="It's"), replace(TAGS, comment=""))
        )
    )

    told = "SELECT array_agg(description ORDER BY objsubid) FROM pg_description WHERE objoid = '{}'::regclass"
    found = grown.one(told.format("grown.things"))
    assert isinstance(found, list)
    assert (found[0], found[-2:]) == ("Other things", ["It's", "Its tags"])
    assert grown.one(told.format("grown.things_current")) == ["Other things: live rows"]


def test_grants_and_options_of_a_view_stay(grown: Grown) -> None:
    grown.ensure(WITH_LABEL)
    grown.admin.execute(
        "GRANT SELECT ON grown.things_current TO pg_monitor;"
        "ALTER VIEW grown.things_current SET (security_barrier = true)"
    )
    kept = (
        "SELECT relacl::text || reloptions::text FROM pg_class WHERE oid = 'grown.things_current'::regclass"
    )
    before = grown.one(kept)

    grown.ensure(BOTH)

    assert grown.one(kept) == before
    assert grown.one("SELECT count(tags) FROM grown.things_current") == 0


def test_user_who_may_change_nothing_can_work_where_nothing_is_lacking(grown: Grown, store_url: str) -> None:
    grown.ensure(WITH_LABEL)
    grown.admin.execute(
        "CREATE ROLE only_lands LOGIN PASSWORD 'lands';"
        "GRANT USAGE ON SCHEMA leaderjobs, grown TO only_lands;"
        "GRANT SELECT ON leaderjobs.columns TO only_lands"
    )
    limited = Database(make_conninfo(store_url, user="only_lands", password="lands"), application="test")
    try:
        assert Tables(limited).ensure("grown", [replace(WITH_LABEL, comment="Told differently")])
        with pytest.raises(StoreError, match="owner"):
            Tables(limited).ensure("grown", [BOTH])
    finally:
        limited.close()
        grown.admin.execute("DROP OWNED BY only_lands; DROP ROLE only_lands")


def test_view_that_people_have_changed_is_theirs(grown: Grown) -> None:
    grown.ensure(WITH_LABEL)
    grown.admin.execute(
        "DROP VIEW grown.things_current; CREATE VIEW grown.things_current AS SELECT 1 AS mine"
    )

    assert grown.ensure(BOTH)

    assert grown.one("SELECT mine FROM grown.things_current") == 1
    assert grown.column_names("things") == ["label", "tags"]


@pytest.mark.parametrize("most_bytes", [-1, table_changes.MOST_REWRITTEN_BYTES])
def test_column_that_people_drop_fails_no_page(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(table_changes, "MOST_REWRITTEN_BYTES", -1)
    grown.ensure(PLAIN)
    grown.ensure(BOTH)
    grown.admin.execute("ALTER TABLE grown.things DROP COLUMN label CASCADE")
    monkeypatch.setattr(table_changes, "MOST_REWRITTEN_BYTES", most_bytes)

    grown.ensure(WITH_TAGS)
    grown.land(PLAIN, {"id": "a", "label": "l", "more": {"tags": [1]}})

    assert grown.one("SELECT tags FROM grown.things_current") == [1]
    grown.admin.execute("ALTER TABLE grown.things DROP COLUMN tags CASCADE")
    grown.ensure(BOTH)
    grown.fill(BOTH)
    grown.land(PLAIN, {"id": "a", "label": "m", "more": {"tags": [2]}})
    assert grown.admin.execute("SELECT label, tags FROM grown.things_current").fetchone() == ("m", [2])


@pytest.mark.usefixtures("online")
def test_table_that_was_dropped_is_made_anew(grown: Grown) -> None:
    grown.ensure(PLAIN)
    grown.ensure(BOTH)
    grown.admin.execute("DROP TABLE grown.things CASCADE")

    assert grown.pending(BOTH) == ["grown.things: to be made"]
    assert not grown.fill_some(BOTH)
    assert grown.ensure(BOTH)

    assert grown.pending(BOTH) == []
    assert grown.one("SELECT count(*) FROM leaderjobs.columns") == 0


@pytest.mark.usefixtures("online")
def test_expression_of_a_column_gives_its_value_before_it_is_filled(grown: Grown) -> None:
    grown.ensure(PLAIN)
    grown.land(PLAIN, {"id": "a", "label": "l", "more": {"tags": [1]}})
    grown.ensure(BOTH)

    for _ in range(2):
        expression = grown.one("SELECT leaderjobs.column_expression('grown', 'things', 'label')")
        assert grown.one(f"SELECT id FROM grown.things t WHERE {expression} = 'l'") == "a"
        grown.fill(BOTH)

    assert grown.one("SELECT leaderjobs.column_expression('grown', 'things', 'label')") == "t.label"
