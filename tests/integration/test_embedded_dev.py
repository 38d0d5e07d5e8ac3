"""The pair that every command shares."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kazoo.client import KazooClient

from leaderjobs.embedded import dev
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.errors import EmbeddedError
from tests.support import eventually

START = """
import json, sys
from pathlib import Path
from leaderjobs.embedded import dev
pair = dev.start(Path(sys.argv[1]))
print(json.dumps([pair.coordinator_url, pair.database_url, pair.zookeeper_pid, pair.postgres_pid]))
"""
WARM_SECONDS = 3.0


@pytest.fixture(scope="module")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair that has run before, so that a test does not pay for the first start."""
    home = tmp_path_factory.mktemp("dev") / "a pair"
    dev.start(home)
    dev.stop(home)
    return home


@pytest.fixture
def home(kept_home: Path) -> Iterator[Path]:
    """The directory of a pair that does not run now, and will not afterwards."""
    dev.stop(kept_home)
    yield kept_home
    dev.stop(kept_home)


def test_two_commands_started_together_share_one_pair(tmp_path: Path) -> None:
    """On a fresh directory, where both would like to make the data."""
    command = [sys.executable, "-c", START, str(tmp_path / "new")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        first, second = (json.loads(process.communicate(timeout=60)[0]) for process in both)
        assert first == second
        pair = dev.status(tmp_path / "new")
        assert pair is not None
        assert [pair.zookeeper_pid, pair.postgres_pid] == first[2:]
    finally:
        dev.stop(tmp_path / "new")


def test_data_and_addresses_survive_a_stop(home: Path) -> None:
    before = dev.start(home)
    with psycopg.connect(before.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    write(before.coordinator_url, "/kept")
    assert dev.stop(home)
    assert dev.status(home) is None
    after = dev.start(home)
    assert (after.coordinator_url, after.database_url) == (before.coordinator_url, before.database_url)
    with psycopg.connect(after.database_url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    client = KazooClient(after.coordinator_url.split("/")[2], timeout=5)
    client.start(timeout=5)
    assert client.exists("/kept") is not None
    client.stop()
    client.close()


def test_starting_again_changes_nothing(home: Path) -> None:
    assert dev.start(home) == dev.start(home) == dev.status(home)


def test_stopping_what_does_not_run_is_no_error(home: Path, tmp_path: Path) -> None:
    assert not dev.stop(home)
    assert not dev.stop(tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("killed", ["zookeeper", "postgres"])
def test_a_killed_server_is_started_again_and_the_other_left_alone(home: Path, killed: str) -> None:
    before = dev.start(home)
    os.kill(before.zookeeper_pid if killed == "zookeeper" else before.postgres_pid, signal.SIGKILL)
    eventually(lambda: dev.status(home) is None, what="its end")
    assert [name.lower() for name in dev.missing(home)] == [killed]
    after = dev.start(home)
    assert after.coordinator_url == before.coordinator_url
    assert after.database_url == before.database_url
    assert (after.zookeeper_pid == before.zookeeper_pid) == (killed != "zookeeper")
    assert (after.postgres_pid == before.postgres_pid) == (killed != "postgres")
    write(after.coordinator_url, f"/after-{killed}")


@pytest.mark.parametrize("milliseconds", [150, 350])
def test_a_start_that_was_killed_half_way_is_repaired(home: Path, milliseconds: int) -> None:
    with subprocess.Popen([sys.executable, "-c", START, str(home)], stdout=subprocess.PIPE) as command:
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(milliseconds / 1000)
        command.kill()
    pair = dev.start(home)
    write(pair.coordinator_url, f"/after-{milliseconds}")
    with psycopg.connect(pair.database_url) as connection:
        connection.execute("SELECT 1")
    assert dev.stop(home)


def test_a_start_that_fails_leaves_neither_running(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZOOKEEPER_HOME", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"ZOOKEEPER_HOME"):
        dev.start(home)
    assert dev.missing(home) == ("ZooKeeper", "Postgres")


def test_a_warm_start_to_the_first_write_is_quick(home: Path) -> None:
    begin = time.monotonic()
    pair = dev.start(home)
    write(pair.coordinator_url, "/first")
    with psycopg.connect(pair.database_url) as connection:
        connection.execute("CREATE TEMPORARY TABLE first ()")
    assert time.monotonic() - begin < WARM_SECONDS


def test_the_url_fit_to_be_printed_has_no_password(home: Path) -> None:
    pair = dev.start(home)
    password = pair.password_file.read_text()
    assert pair.database_url.replace(f":{password}", "") == pair.shown_database_url
    assert password not in repr(pair)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"file/pair cannot be used: .*XDG_DATA_HOME"):
        dev.start(tmp_path / "file" / "pair")


def test_a_server_of_the_pair_is_found_under_its_directory(home: Path) -> None:
    assert dev.start(home).zookeeper_pid == ZooKeeperServer(home / "zookeeper").pid


def write(coordinator_url: str, path: str) -> None:
    client = KazooClient(coordinator_url.split("/")[2], timeout=5)
    client.start(timeout=5)
    client.ensure_path(path)
    client.stop()
    client.close()
