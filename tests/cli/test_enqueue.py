"""`leaderjobs enqueue`, as a user types it, against a real Postgres and nobody who works."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from leaderjobs.cli import main
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """Two syncs on a migrated database."""
    database = Database(database_url, application="test")
    Migrations(database).apply()
    database.close()
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        name = "acme"
        coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
        database = "{database_url}"
        [connections.household]
        connector = "plaid"
        client_id = "c"
        secret = "s"
        access_token = "t"
        [syncs.household]
        connection = "household"
        [syncs.balances]
        connection = "household"
        streams = ["accounts"]
        max_attempts = 3
        """
    )
    path.chmod(0o600)
    return path


def enqueue(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), "enqueue", *arguments])


def enqueued(config: Path, *arguments: str) -> dict[str, Any]:
    ran = enqueue(config, *arguments, "--output", "json")
    assert ran.exit_code == 0, ran.output
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_a_sync_is_enqueued_by_name_without_zookeeper(config: Path) -> None:
    told = enqueued(config, "household")
    assert told["created"] is True
    job = told["job"]
    assert (job["target"], job["connection"], job["state"]) == ("household", "household", "available")
    assert job["streams"] == ["accounts", "transactions"]


def test_a_sync_keeps_its_own_streams_and_attempts(config: Path) -> None:
    job = enqueued(config, "balances", "--priority", "0")["job"]
    assert (job["streams"], job["max_attempts"], job["priority"]) == (["accounts"], 3, 0)


def test_a_key_is_taken_until_its_job_has_ended(config: Path) -> None:
    first = enqueued(config, "household", "--key", "nightly")
    second = enqueued(config, "household", "--key", "nightly")
    assert (second["created"], second["job"]["id"]) == (False, first["job"]["id"])
    assert "is already there with this key" in enqueue(config, "household", "--key", "nightly").stdout
    assert enqueued(config, "household", "--key", "other")["created"] is True


def test_what_becomes_of_a_key_that_is_taken_can_be_chosen(config: Path) -> None:
    first = enqueued(config, "household", "--key", "nightly")["job"]
    assert (first["priority"], first["time_limit"]) == (5, None)

    refused = enqueue(config, "household", "--key", "nightly", "--on-conflict", "error")
    assert refused.exit_code == 1
    assert f"job {first['id']} (household) has the key 'nightly' and is available" in str(refused.stderr)
    replacing = ("household", "--key", "nightly", "--on-conflict", "replace", "--priority", "0")
    told = enqueued(config, *replacing, "--time-limit", "90s")
    assert (told["created"], told["job"]["id"], told["job"]["priority"]) == (False, first["id"], 0)
    assert told["job"]["time_limit"] == "PT90S"
    assert f"job {first['id']} (household) is replaced: available" in enqueue(config, *replacing).stdout


def test_a_job_can_wait_for_its_time(config: Path) -> None:
    job = enqueued(config, "household", "--at", "2036-01-01T08:00:00+01:00")["job"]
    assert job["state"] == "scheduled"
    assert datetime.fromisoformat(job["scheduled_at"]) == datetime(2036, 1, 1, 7, tzinfo=UTC)
    later = enqueued(config, "household", "--in", "90m")["job"]
    wait = datetime.fromisoformat(later["scheduled_at"]) - datetime.fromisoformat(later["created_at"])
    assert wait == timedelta(minutes=90)


def test_waiting_ends_when_the_time_is_up_and_the_job_goes_on(config: Path) -> None:
    ran = enqueue(config, "household", "--wait", "--timeout", "300ms")
    assert ran.exit_code == 1
    assert "is still available after" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nobody",), "no sync is called 'nobody'; known: balances, household"),
        (("household", "--at", "tomorrow"), "'tomorrow': allowed: an instant with its zone"),
        (("household", "--at", "2026-01-01T08:00:00"), "an instant with its zone"),
        (("household", "--in", "5"), "'5': allowed: a number and a unit"),
        (("household", "--in", "1s", "--at", "2036-01-01T08:00:00Z"), "exclude each other"),
        (("household", "--priority", "10"), "10"),
        (("household", "--key", ""), "1 to 200 printable characters"),
        (("household", "--time-limit", "0s"), "--time-limit = 0:00:00: allowed: 1 second to 30 days"),
        (("household", "--on-conflict", "ignore"), "'error', 'skip', 'replace'"),
        (("household", "--key", "x" * 201), "1 to 200 printable characters"),
        (("household", "--key", "a\x07b"), "printable"),
        ((), "TARGET"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_2(
    config: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    ran = enqueue(config, *arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert complaint in ran.stderr


def test_a_database_without_a_schema_names_the_command_that_makes_it(config: Path, database_url: str) -> None:
    database = Database(database_url, application="test")
    with database.session() as connection:
        connection.execute("DROP SCHEMA leaderjobs CASCADE")
    database.close()
    ran = enqueue(config, "household")
    assert ran.exit_code == 1
    assert "leaderjobs migrate" in ran.stderr
