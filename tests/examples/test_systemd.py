"""The unit: understood by systemd, started with options that exist, in step with its configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from leaderjobs import config
from leaderjobs.values import Duration
from tests.examples.commands import ROOT, complaint_about

FOLDER = ROOT / "examples" / "systemd"
UNIT = FOLDER / "leaderjobs.service"
CONFIG = FOLDER / "leaderjobs.toml"
MOST_EXPOSED = 20
"""Of systemd's 100, which an unprotected service has."""


@pytest.fixture
def service() -> dict[str, list[str]]:
    """The keys of [Service] with all their values."""
    text = UNIT.read_text().split("[Service]\n", 1)[1].split("\n[", 1)[0]
    keys: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            assert re.fullmatch("[A-Z][A-Za-z0-9]+", key), line
            keys[key].append(value)
    return keys


def _analyze(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd's own judgement of the unit, with a program that exists on this machine."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/leaderjobs/bin/leaderjobs", sys.executable))
    return subprocess.run([analyze, *arguments, str(unit)], capture_output=True, text=True, check=False)


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    ran = _analyze(tmp_path, "verify", "--man=no")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_systemd_finds_it_hardly_exposed(tmp_path: Path) -> None:
    ran = _analyze(tmp_path, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    assert ran.returncode == 0, ran.stdout[-200:] + ran.stderr


def test_it_starts_a_worker_with_options_that_exist(service: dict[str, list[str]]) -> None:
    (start,) = service["ExecStart"]
    program, *arguments = start.split()
    assert program == "/opt/leaderjobs/bin/leaderjobs"
    assert "run" in arguments
    assert complaint_about(arguments) == ""


def test_systemd_waits_longer_than_a_worker_drains(service: dict[str, list[str]]) -> None:
    drain = config.load(CONFIG, {}).cluster.drain_timeout
    assert Duration.parse(f"{service['TimeoutStopSec'][0]}s") > drain
    assert service["KillSignal"] == ["SIGTERM"]
    assert service["Restart"] == ["always"]


def test_its_secrets_are_those_that_the_configuration_reads(service: dict[str, list[str]]) -> None:
    read = re.findall(rf"/run/credentials/{UNIT.name}/(\w+)", CONFIG.read_text())
    assert sorted(credential.partition(":")[0] for credential in service["LoadCredential"]) == sorted(read)
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in read if name not in readme] == []


def test_it_keeps_its_replica_where_it_may_write(service: dict[str, list[str]]) -> None:
    settings = dict(text.replace("%S", "/var/lib").split("=", 1) for text in service["Environment"])
    assert config.load(CONFIG, settings).cluster.state_directory == f"/var/lib/{service['StateDirectory'][0]}"
