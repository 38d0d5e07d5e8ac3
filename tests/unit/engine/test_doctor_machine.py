from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from leaderjobs.engine.doctor_machine import Machine
from leaderjobs.model.finding import Finding
from leaderjobs.values import Secret


def look(machine: Machine, check: str) -> list[Finding]:
    (found,) = [each for each in machine.checks() if each.name == f"machine.{check}"]
    return list(found.look())


def verdicts(findings: Sequence[Finding]) -> list[str]:
    return [each.verdict.value for each in findings]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "leaderjobs.toml"
    path.write_text("")
    path.chmod(0o600)
    return path


def test_every_secret_is_read_and_only_its_setting_is_named(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("sesame")
    held.chmod(0o604)
    machine = Machine(
        None,
        {
            "cluster.database": Secret(literal="sesame"),
            "connections.a.secret": Secret(env="LEADERJOBS_TEST_NOT_SET"),
            "connections.b.secret": Secret(file=tmp_path / "missing"),
            "connections.c.secret": Secret(file=held),
        },
    )
    found = look(machine, "secrets")
    assert verdicts(found) == ["failed", "failed", "warning"]
    assert found[0].message.startswith(
        "connections.a.secret: environment variable LEADERJOBS_TEST_NOT_SET is not set"
    )
    assert found[1].message.startswith("connections.b.secret: secret file")
    assert found[2].remedy == f"chmod o= {held}"
    assert "sesame" not in str(found)


@pytest.mark.parametrize(
    ("mode", "literal", "verdict", "remedy"),
    [
        (0o600, "sesame", "ok", ""),
        (0o644, "sesame", "warning", "chmod 600"),
        (0o640, "sesame", "warning", "chmod 600"),
        (0o644, "postgresql://ann:sesame@db/acme", "warning", "chmod 600"),
        (0o644, "postgresql://db/acme", "ok", ""),
        (0o644, "", "ok", ""),
        (0o622, "", "warning", "chmod go-w"),
    ],
)
def test_a_file_that_others_may_read_or_change(
    config: Path, mode: int, literal: str, verdict: str, remedy: str
) -> None:
    config.chmod(mode)
    secret = Secret(literal=literal) if literal else Secret(env="HOME")
    (found,) = look(Machine(config, {"cluster.database": secret}), "config_file")
    assert found.verdict.value == verdict
    assert found.remedy == (f"{remedy} {config}" if remedy else "")
    assert "sesame" not in str(found)


def test_without_a_file_there_is_nothing_to_read() -> None:
    assert verdicts(look(Machine(None), "config_file")) == ["skipped"]


def test_the_state_directory_must_be_writable_or_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert verdicts(look(Machine(None, state_directory=tmp_path), "state_directory")) == ["ok"]
    assert (
        "can be made"
        in look(Machine(None, state_directory=tmp_path / "a" / "b"), "state_directory")[0].message
    )
    # Whoever runs the tests may be allowed to write everywhere but here.
    (found,) = look(Machine(None, state_directory=Path("/proc/self")), "state_directory")
    assert found.verdict.value == "failed"
    assert "cluster.state_directory" in found.remedy


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 * 1024**3, "ok"), (500 * 1024**2, "warning"), (1024**2, "failed")]
)
def test_the_disk_must_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    machine = Machine(None, state_directory=tmp_path, embedded_directory=tmp_path / "not" / "there")
    assert verdicts(look(machine, "disk")) == [verdict, verdict]


def test_commands_of_hooks_must_be_programs(tmp_path: Path) -> None:
    plain = tmp_path / "tell"
    plain.write_text("#!/bin/sh\n")
    assert shutil.which("sh")
    assert verdicts(look(Machine(None, commands={"mail": "sh"}), "hooks")) == ["ok"]
    (found,) = look(Machine(None, commands={"mail": "sh", "page": str(plain)}), "hooks")
    assert (found.verdict.value, found.message) == (
        "failed",
        f"hooks.page.command: {plain} is no program that can be run",
    )
