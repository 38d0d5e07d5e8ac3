"""What the benchmark of loading makes of its values, its options and its peers' environments."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import load, peers
from benchmarks.load import Measured
from benchmarks.load_material import Material
from benchmarks.peers import Package

PEER = Package("loader", "1.0", "[fast]")


def wanted(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["load", *arguments])
    names: list[str] = load._wanted().peers
    return names


def test_figure_beside_a_peer_has_our_rates_and_its_name_at_the_end() -> None:
    found = Measured()
    for value in (30.0, 10.0, 20.0):
        found.add("upsert_first", value)
        found.add_peer("upsert_first", "COPY", 40.0)
        found.add_peer("upsert_first_dlt", "dlt 1.0", 5.0)

    beside_copy = found.rates("upsert_first").document()
    beside_dlt = found.rates("upsert_first", "upsert_first_dlt").document()

    assert (beside_copy["name"], beside_copy["peer"], beside_copy["ratio"]) == ("upsert_first", "COPY", 0.5)
    assert (beside_dlt["name"], beside_dlt["peer"], beside_dlt["ratio"]) == ("upsert_first_dlt", "dlt 1.0", 4)


def test_figure_without_peers_stands_alone() -> None:
    found = Measured()
    found.add("staged", 10.0)

    assert found.rates("staged").document()["peer"] is None


def test_memory_of_many_rows_stands_beside_that_of_few() -> None:
    found = Measured()
    found.add("sync_peak_memory_100k", 50.0, "MiB")
    found.add("sync_peak_memory_1m", 60.0, "MiB")

    document = found.memory("sync_peak_memory_1m", "sync_peak_memory_100k").document()

    assert (document["peer"], document["ratio"]) == ("sync_peak_memory_100k", 1.2)


@pytest.mark.parametrize(
    ("rows", "name"), [(1_000_000, "1m"), (100_000, "100k"), (1_500_000, "1500k"), (2500, "2500")]
)
def test_memory_is_named_after_its_rows(rows: int, name: str) -> None:
    assert load._memory(rows) == f"sync_peak_memory_{name}"


def test_peers_are_all_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted(monkeypatch) == ["copy", "dlt", "singer"]
    assert wanted(monkeypatch, "--peers", "dlt,copy") == ["dlt", "copy"]
    assert wanted(monkeypatch, "--peers", "") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "copy,airbyte"], "--peers airbyte: allowed: copy, dlt, singer"),
        (["--rows", "10", "--big-rows", "10"], "--big-rows 10: allowed: more than --rows"),
    ],
)
def test_wrong_option_says_what_is_allowed(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        wanted(monkeypatch, *arguments)

    assert message in capsys.readouterr().err


def test_environment_is_made_once_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []

    def run(*command: str) -> None:
        installed.append(command[-1])
        (tmp_path / "loader").mkdir(exist_ok=True)

    monkeypatch.setattr(peers, "CACHE", tmp_path)
    monkeypatch.setattr(peers, "_run", run)

    assert PEER.environment() == PEER.environment() == tmp_path / "loader" / "bin"
    assert installed == [str(tmp_path / "loader"), "loader[fast]==1.0"]

    Package("loader", "2.0").environment()

    assert installed[2:] == [str(tmp_path / "loader"), "loader==2.0"]


def test_environment_that_was_interrupted_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loader" / "bin").mkdir(parents=True)
    installed: list[str] = []
    monkeypatch.setattr(peers, "CACHE", tmp_path)
    monkeypatch.setattr(peers, "_run", lambda *command: installed.append(command[-1]))

    PEER.environment()

    assert installed[-1] == "loader[fast]==1.0"


def test_records_are_the_pages_rows_byte_for_byte(tmp_path: Path) -> None:
    row = b'{"transaction_id":"a","amount":90071992547409.93}'
    page = b'{"added":[' + row + b'],"next_cursor":"x","has_more":false}'
    path = tmp_path / "records"

    Material([page, page]).write_records(path)

    schema, *records = path.read_bytes().splitlines()
    told = json.loads(schema)
    assert (told["type"], told["key_properties"]) == ("SCHEMA", ["transaction_id"])
    assert records == [b'{"type":"RECORD","stream":"transactions","record":' + row + b"}"] * 2
