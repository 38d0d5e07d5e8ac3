"""The help lists everything and imports nothing."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from leaderjobs import __version__
from leaderjobs.cli import COMMANDS, main

HEAVY = ("msgspec", "kazoo", "psycopg", "requests", "rich", "logging", "dataclasses", "leaderjobs.config")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_its_summary(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0
    for name, summary in COMMANDS.items():
        assert any(line.split(None, 1) == [name, summary] for line in result.stdout.splitlines()), name


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from leaderjobs.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stderr == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_a_help_of_its_own(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: leaderjobs {name}")
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help


def test_version_is_the_package_s() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"leaderjobs {__version__}\n"


def test_module_runs_as_the_command_does() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "leaderjobs", "--nonsense"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("leaderjobs: ")
