"""The schema: applied once whoever races, and served only by programs that know it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from leaderjobs.errors import SchemaMismatch
from leaderjobs.store.jobs import Jobs
from leaderjobs.store.migrate import Migrations, known
from leaderjobs.store.pool import Database
from tests.support import free_port

RACERS = 8
DUMP = Path(__file__).with_name("schema.sql")
NEWEST = known()[-1].number
_MIGRATE = """
import sys
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
database = Database(sys.argv[1], application="racer")
sys.stdin.readline()
print(len(Migrations(database).apply()))
database.close()
"""
# Of what every supported Postgres tells in the same words: columns, constraints, indexes, functions, options.
_DUMP = """
SELECT format('column %s.%s %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
              coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''),
              CASE WHEN a.attstorage <> t.typstorage THEN ' storage ' || a.attstorage::text ELSE '' END)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'leaderjobs'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('constraint %s %s', k.conrelid::regclass, pg_get_constraintdef(k.oid))
FROM pg_constraint k
WHERE k.connamespace = 'leaderjobs'::regnamespace AND k.contype <> 'n'
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'leaderjobs'
UNION ALL
SELECT format('function %s(%s) returns %s %s', p.proname, pg_get_function_arguments(p.oid),
              pg_get_function_result(p.oid), p.provolatile)
FROM pg_proc p WHERE p.pronamespace = 'leaderjobs'::regnamespace
UNION ALL
SELECT format('options %s %s', c.relname, o.option)
FROM pg_class c, unnest(c.reloptions) AS o (option) WHERE c.relnamespace = 'leaderjobs'::regnamespace
"""


@pytest.fixture
def fresh(database_url: str) -> Iterator[Database]:
    made = Database(database_url, application="test")
    yield made
    made.close()


def test_racing_processes_apply_every_migration_once(database_url: str, fresh: Database) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    counts = sorted(int(racer.communicate(timeout=60)[0]) for racer in racers)

    assert counts == [0] * (RACERS - 1) + [NEWEST]
    Migrations(fresh).check()


def test_missing_schema_is_told_with_both_numbers(fresh: Database) -> None:
    migrations = Migrations(fresh)
    assert migrations.pending() == known()

    with pytest.raises(SchemaMismatch, match=rf"is at 0, .* needs {NEWEST}; run: leaderjobs migrate"):
        migrations.check()
    with pytest.raises(SchemaMismatch, match="run: leaderjobs migrate"):
        Jobs(fresh, "acme").counts()


def test_second_apply_does_nothing(fresh: Database) -> None:
    migrations = Migrations(fresh)

    assert [each.number for each in migrations.apply()] == list(range(1, NEWEST + 1))
    assert migrations.apply() == []
    assert migrations.pending() == []
    assert migrations.sql() == ""


@pytest.mark.parametrize("breaking", [True, False])
def test_newer_schema_is_refused_only_when_it_breaks(fresh: Database, breaking: object) -> None:
    migrations = Migrations(fresh)
    migrations.apply()
    row = (90, "future", breaking)
    with fresh.session() as connection:
        connection.execute(
            "INSERT INTO leaderjobs.schema_versions (number, name, breaking) VALUES (%s, %s, %s)", row
        )

    if not breaking:
        migrations.check()
        assert migrations.apply() == []
        return
    with pytest.raises(SchemaMismatch, match=rf"is at 90 .* knows {NEWEST}; run a newer leaderjobs"):
        migrations.check()
    with pytest.raises(SchemaMismatch, match="is at 90"):
        migrations.apply()


def test_failing_migration_leaves_nothing_behind(fresh: Database, database_url: str) -> None:
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute("CREATE SCHEMA leaderjobs CREATE TABLE leaderjobs.stages (it integer)")

        with pytest.raises(Exception, match="already exists"):
            Migrations(fresh).apply()

        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'leaderjobs'::regnamespace"
        assert connection.execute(tables).fetchone() == (1,)


def test_printed_sql_makes_the_same_schema(fresh: Database, database_url: str) -> None:
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute(Migrations(fresh).sql())

    Migrations(fresh).check()
    assert _dump(database_url) == DUMP.read_text()


def test_schema_is_the_one_that_was_reviewed(fresh: Database, database_url: str) -> None:
    """The dump is committed so that a change of the schema is read as a change."""
    Migrations(fresh).apply()

    assert _dump(database_url) == DUMP.read_text()


def test_user_without_the_right_to_create_may_check_and_find_nothing_to_do(
    fresh: Database, database_url: str
) -> None:
    Migrations(fresh).apply()
    user = f"reader_{free_port()}"
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'reads'")
        connection.execute(f"GRANT USAGE ON SCHEMA leaderjobs TO {user}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA leaderjobs TO {user}")
        limited = Database(make_conninfo(database_url, user=user, password="reads"), application="test")
        try:
            Migrations(limited).check()
            assert Migrations(limited).apply() == []
        finally:
            limited.close()
            connection.execute(f"DROP OWNED BY {user}")
            connection.execute(f"DROP ROLE {user}")


def _dump(url: str) -> str:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        return "".join(sorted(f"{row[0]}\n" for row in connection.execute(_DUMP)))
