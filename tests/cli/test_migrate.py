"""`leaderjobs migrate`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leaderjobs.cli import main


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
        database = "{database_url}"
        """
    )
    path.chmod(0o600)
    return path


def migrate(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), "migrate", *arguments])


def test_the_schema_is_made_once(config: Path) -> None:
    first = migrate(config)
    assert (first.exit_code, "applied 0001_initial" in first.stdout) == (0, True)
    assert migrate(config).stdout == "nothing to do: the schema is up to date\n"


def test_a_dry_run_prints_the_sql_and_changes_nothing(config: Path) -> None:
    dry = migrate(config, "--dry-run")
    assert dry.exit_code == 0
    assert "CREATE TABLE leaderjobs.jobs" in dry.stdout
    assert "applied" in migrate(config).stdout


def test_a_database_that_is_away_is_one_line_without_the_password(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        '[cluster]\ncoordinator = "zookeeper://h/x"\ndatabase = "postgresql://u:pa55word@127.0.0.1:1/x"\n'
    )
    path.chmod(0o600)
    ran = migrate(path)
    assert ran.exit_code == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "pa55word" not in ran.stderr
