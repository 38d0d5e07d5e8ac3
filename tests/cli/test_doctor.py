"""`leaderjobs doctor`, as a user types it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leaderjobs.cli import main
from leaderjobs.coordination import zookeeper_doctor
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.support import free_port

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(tmp_path: Path, database_url: str, zookeeper_server: ZooKeeperServer) -> Doctor:
    """Ask for a cluster on a migrated database, with what is given in the place of what is right."""
    database = Database(database_url, application="test")
    Migrations(database).apply()
    database.close()

    def run(*arguments: str, zookeeper: str = zookeeper_server.address, more: str = "") -> Result:
        path = tmp_path / "leaderjobs.toml"
        path.write_text(
            f"""
            [cluster]
            coordinator = "zookeeper://ann:open-sesame@{zookeeper}/cli-{secrets.token_hex(8)}"
            database = "{database_url}"
            state_directory = "{tmp_path}"
            {more}
            """
        )
        path.chmod(0o600)
        return CliRunner().invoke(main, ["--config", str(path), "doctor", *arguments])

    return run


def test_warnings_alone_leave_with_zero(doctor: Doctor) -> None:
    ran = doctor("--output", "json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["cluster"] == "leaderjobs"
    verdicts = {each["check"]: each["verdict"] for each in told["findings"]}
    assert verdicts["coordinator.reachable"] == verdicts["database.schema"] == "ok"
    assert verdicts["cluster.members"] == "warning"
    assert set(told["findings"][0]) == {"check", "verdict", "message", "remedy"}


def test_a_failure_leaves_with_three_and_says_what_to_do(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zookeeper_doctor, "CONNECT_PATIENCE", timedelta(seconds=0.5))
    ran = doctor(zookeeper=f"127.0.0.1:{free_port()}")
    assert ran.exit_code == 3
    (line,) = [line for line in ran.stdout.splitlines() if line.split()[:1] == ["coordinator.reachable"]]
    assert line.split()[1] == "failed"
    assert "start ZooKeeper, or correct cluster.coordinator" in line
    assert "database.schema" in ran.stdout
    assert "open-sesame" not in ran.output


def test_providers_are_asked_only_when_wanted(doctor: Doctor) -> None:
    plaid = f"""
        [connections.household]
        connector = "plaid"
        client_id = "c-of-plaid"
        secret = "s-of-plaid"
        access_token = "t-of-plaid"
        base_url = "http://127.0.0.1:{free_port()}"
    """
    without = doctor("--output", "json", more=plaid)
    assert without.exit_code == 0
    assert "connections.household" not in {each["check"] for each in json.loads(without.stdout)["findings"]}
    ran = doctor("--connections", "--output", "json", more=plaid)
    assert ran.exit_code == 3
    found = json.loads(ran.stdout)["findings"][-1]
    assert (found["check"], found["verdict"]) == ("connections.household", "failed")
    assert found["message"].startswith("network: ")
    assert "s-of-plaid" not in ran.stdout
