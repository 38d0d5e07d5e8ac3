"""`leaderjobs dev` as its user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from leaderjobs.embedded import dev


@pytest.fixture(scope="module")
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's data directory of this module's own."""
    home = tmp_path_factory.mktemp("data home")
    yield home
    dev.stop(home / "leaderjobs" / "embedded")


def leaderjobs(data_home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leaderjobs", *arguments],
        env={**os.environ, "XDG_DATA_HOME": str(data_home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_start_status_and_stop_agree(data_home: Path) -> None:
    before = leaderjobs(data_home, "dev", "status")
    assert (before.returncode, before.stderr) == (3, "")
    assert before.stdout == "not running: ZooKeeper and Postgres; start with: leaderjobs dev start\n"
    none = leaderjobs(data_home, "dev", "status", "--output", "json")
    assert (none.returncode, json.loads(none.stdout)) == (3, {"running": False})

    started = leaderjobs(data_home, "dev", "start")
    assert (started.returncode, started.stderr) == (0, "")
    table = leaderjobs(data_home, "dev", "status")
    assert (table.returncode, table.stdout) == (0, started.stdout)

    shown = leaderjobs(data_home, "dev", "status", "--output", "json")
    document = json.loads(shown.stdout)
    password = Path(document["password_file"]).read_text()
    assert document["running"] is True
    assert password not in shown.stdout + started.stdout
    with psycopg.connect(document["database"], password=password) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("leaderjobs",)
    assert document["coordinator"] in started.stdout

    stopped = leaderjobs(data_home, "dev", "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped; the data stay\n")
    again = leaderjobs(data_home, "dev", "stop")
    assert (again.returncode, again.stdout) == (0, "not running\n")


def test_a_start_that_cannot_work_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "leaderjobs").touch()
    failed = leaderjobs(tmp_path, "dev", "start")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1
    assert "set XDG_DATA_HOME to another place" in failed.stderr
