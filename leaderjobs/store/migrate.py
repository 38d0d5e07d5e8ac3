"""The schema `leaderjobs`, brought forward by numbered files; there is no way back.

`migrations/NNNN_name.sql` begins with `-- breaking: yes|no`: whether a program that does not know it may
still work with the result. A released file is never changed. All pending files are applied in one
transaction under an advisory lock, so racing processes are safe and a failure leaves nothing behind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

from psycopg import sql

from leaderjobs.errors import SchemaMismatch
from leaderjobs.store import queries
from leaderjobs.store.pool import Connection, Database

_SQL = queries.load("migrate")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_HEADER = re.compile(r"-- breaking: (yes|no)\n")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `breaking` when a program that does not know it must not go on."""

    number: int
    name: str
    breaking: bool
    text: LiteralString


class Migrations:
    """The schema of one database."""

    def __init__(self, database: Database) -> None:
        """Reads the files of this program; the database is asked later."""
        self._database = database
        self._known = known()

    def apply(self) -> list[Migration]:
        """Apply what is pending, all of it or nothing; what was applied. SchemaMismatch as in `check`."""
        with self._database.session() as connection, connection.transaction():
            connection.execute(_SQL["bound"])
            connection.execute(_SQL["lock"])
            applied = _applied(connection)
            self._refuse_newer(applied)
            pending = [each for each in self._known if each.number not in applied]
            if pending and not _exists(connection):
                connection.execute(_SQL["prepare_schema"])
                connection.execute(_SQL["prepare_versions"])
            for each in pending:
                connection.execute(each.text)
                connection.execute(_record(each))
        return pending

    def pending(self) -> list[Migration]:
        """What `apply` would apply now, in order."""
        with self._database.session() as connection:
            applied = _applied(connection)
        return [each for each in self._known if each.number not in applied]

    def sql(self) -> str:
        """The text that `apply` would run now; empty when nothing is pending."""
        parts: list[str] = []
        pending = self.pending()
        if pending and pending[0].number == 1:
            parts += [f"{_SQL['prepare_schema']};", f"{_SQL['prepare_versions']};"]
        for each in pending:
            parts.append(f"-- {each.number:04}_{each.name}\n{each.text.strip()}")
            parts.append(f"{_record(each).as_string()};")
        return "\n\n".join(["BEGIN;", *parts, "COMMIT;"]) + "\n" if parts else ""

    def check(self) -> None:
        """SchemaMismatch when the schema is older than this program, or newer and breaking."""
        with self._database.session() as connection:
            applied = _applied(connection)
        self._refuse_newer(applied)
        stored, needed = max(applied, default=0), self._known[-1].number
        if any(each.number not in applied for each in self._known):
            raise SchemaMismatch(
                f"the database's schema is at {stored}, this leaderjobs needs {needed}; "
                "run: leaderjobs migrate"
            )

    def _refuse_newer(self, applied: dict[int, bool]) -> None:
        needed = self._known[-1].number
        if any(breaking for number, breaking in applied.items() if number > needed):
            raise SchemaMismatch(
                f"the database's schema is at {max(applied)} and cannot serve this leaderjobs, "
                f"which knows {needed}; run a newer leaderjobs"
            )


def known() -> list[Migration]:
    """The files of this program, in order; ValueError for a gap, an odd name or a missing header."""
    found: list[Migration] = []
    for file in sorted(
        resources.files("leaderjobs.store").joinpath("migrations").iterdir(), key=lambda f: f.name
    ):
        name, text = _FILE.fullmatch(file.name), file.read_text("utf-8")
        header = _HEADER.match(text)
        if name is None or header is None or int(name[1]) != len(found) + 1:
            raise ValueError(
                f"migration {file.name}: expected {len(found) + 1:04}_NAME.sql and '-- breaking: yes|no'"
            )
        found.append(Migration(int(name[1]), name[2], header[1] == "yes", text))
    return found


def _record(migration: Migration) -> sql.Composed:
    return sql.SQL(_SQL["record"]).format(
        number=sql.Literal(migration.number),
        name=sql.Literal(migration.name),
        breaking=sql.Literal(migration.breaking),
    )


def _exists(connection: Connection) -> bool:
    row = connection.execute(_SQL["exists"]).fetchone()
    return bool(row and row["found"])


def _applied(connection: Connection) -> dict[int, bool]:
    """Numbers and whether they break older programs; empty where the schema is not there."""
    if not _exists(connection):
        return {}
    return {row["number"]: row["breaking"] for row in connection.execute(_SQL["versions"])}
