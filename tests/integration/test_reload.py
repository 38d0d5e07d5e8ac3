"""A running member takes over what is changed in its file, without a restart, and keeps the old where it is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from leaderjobs import app
from leaderjobs.config import load
from leaderjobs.config.watch import Reloading
from leaderjobs.model.event import Event, EventKind
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.support import eventually

pytestmark = pytest.mark.alone

WITHIN = 1.0
"""Seconds after the change."""
_TEXT = """
[cluster]
name = "acme"
coordinator = "{zookeeper}"
database = "{database}"
session_timeout = "10s"
state_directory = "{state}"
[connections.household]
connector = "plaid"
client_id = "c"
secret = "s"
access_token = "t"
[syncs.household]
connection = "household"
"""
_MORE = """
[connections.billing]
connector = "stripe"
api_key = "k"
[syncs.invoices]
connection = "billing"
streams = ["invoices"]
[schedules.hourly]
sync = "invoices"
cron = "@hourly"
"""


@dataclass
class Member:
    """A member on a thread, its file, and a look at the database."""

    file: Path
    text: str
    events: list[Event]
    reloading: Reloading
    admin: psycopg.Connection[tuple[object, ...]]

    def write(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.replace(self.file)

    def saw(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]

    def notes(self) -> tuple[str, ...]:
        """What other members, and `status`, see of this one's troubles."""
        with app.observer(self.reloading.current()) as session:
            return session.members()[0].replica.notes

    def names(self, table: str) -> list[object]:
        return [
            row[0] for row in self.admin.execute(f"SELECT name FROM leaderjobs.{table} ORDER BY 1".encode())
        ]

    def table(self, name: str) -> bool:
        [found] = self.admin.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchall()
        return bool(found[0])


@pytest.fixture
def member(tmp_path: Path, zookeeper_url: str, database_url: str) -> Iterator[Member]:
    with closing(Database(database_url, application="test")) as database:
        Migrations(database).apply()
    file = tmp_path / "leaderjobs.toml"
    text = _TEXT.format(zookeeper=zookeeper_url, database=database_url, state=tmp_path)
    file.write_text(text)
    file.chmod(0o600)
    events: list[Event] = []
    reloading = Reloading(load(file, {}), events.append, {})
    with (
        closing(psycopg.connect(database_url, autocommit=True)) as admin,
        app.worker(reloading, "a", events.append) as worker,
    ):
        thread = threading.Thread(target=worker.run)
        thread.start()
        made = Member(file, text, events, reloading, admin)
        try:
            eventually(lambda: made.names("syncs") == ["household"], 20, "the syncs of the term that began")
            yield made
        finally:
            worker.stop(now=True)
            thread.join(20)
            assert not thread.is_alive()


def test_what_is_added_and_removed_counts_within_a_second(member: Member) -> None:
    member.write(member.text + _MORE)

    eventually(lambda: member.names("syncs") == ["household", "invoices"], WITHIN, "the new sync")
    eventually(lambda: member.names("schedules") == ["hourly"], WITHIN, "the new schedule")
    eventually(lambda: member.table("stripe.invoices"), 10, "the new connection's tables")
    assert len(member.saw(EventKind.CONFIG_RELOADED)) == 1

    member.write(member.text)

    eventually(lambda: member.names("syncs") == ["household"], WITHIN, "the sync to be gone")
    eventually(lambda: member.names("schedules") == [], WITHIN, "the schedule to be gone")
    assert not member.saw(EventKind.SERVICE_FAILED)


def test_a_wrong_file_changes_nothing_and_is_told(member: Member) -> None:
    member.write(member.text + _MORE.replace('"@hourly"', '"61 * * * *"'))

    [refused] = eventually(lambda: member.saw(EventKind.CONFIG_REFUSED), WITHIN, "the refusal")
    assert 'schedules.hourly.cron = "61 * * * *": allowed' in str(refused.facts["error"])
    assert member.names("syncs") == ["household"]
    eventually(lambda: member.notes() == (refused.facts["error"],), 5, "the others to be told")

    member.write(member.text + _MORE)
    eventually(lambda: member.names("syncs") == ["household", "invoices"], WITHIN, "the mended file")
    eventually(lambda: member.notes() == (), 5, "the others to be told")
