"""`leaderjobs init` writes a file that loads, says everything, and is nobody else's."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from leaderjobs.cli import main
from leaderjobs.cli.init import TEMPLATE
from leaderjobs.config import load
from leaderjobs.config.decode import fields_of
from leaderjobs.config.settings import ClusterSettings
from leaderjobs.connectors import registry

UNCOMMENTED = re.sub(r"(?m)^#(?! )", "", TEMPLATE)


def test_written_file_loads_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "leaderjobs.toml"

    result = CliRunner().invoke(main, ["init", str(target)])

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"wrote {target}")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert load(target, {}).connections == {}


def test_example_loads_once_it_is_taken_up(tmp_path: Path) -> None:
    target = tmp_path / "leaderjobs.toml"
    target.write_text(UNCOMMENTED)
    target.chmod(0o600)

    settings = load(target, {})

    assert settings.warnings == ()
    assert settings.syncs["household"].streams == ("accounts", "transactions")


def test_every_setting_is_in_the_file() -> None:
    tree = tomllib.loads(UNCOMMENTED)

    assert set(tree["cluster"]) == {field.key for field in fields_of(ClusterSettings)}
    options = {field.key for field in fields_of(registry.settings_type("plaid"))}
    assert set(tree["connections"]["household"]) == {"connector"} | options
    assert set(tree["syncs"]["household"]) == {"connection", "streams", "max_attempts"}


def test_defaults_in_the_file_are_the_defaults(tmp_path: Path) -> None:
    """A comment that shows a default must not drift from it."""
    (tmp_path / "a.toml").write_text(
        re.sub(r"(?m)^(coordinator|database|state_directory) =.*$", "", UNCOMMENTED)
    )

    assert load(tmp_path / "a.toml", {}).cluster == ClusterSettings()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "leaderjobs.toml"
    match kind:
        case "file":
            target.write_text("mine")
        case "folder":
            target.mkdir()
        case _:
            target.symlink_to(tmp_path / "elsewhere")

    result = CliRunner().invoke(main, ["init", str(target)])

    assert result.exit_code == 1
    assert result.stderr == f"leaderjobs: {target} is already there; remove it, or name another file\n"
    assert not (tmp_path / "elsewhere").exists()
    assert kind != "file" or target.read_text() == "mine"


def test_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "no" / "a.toml")])

    assert result.exit_code == 1
    assert result.stderr.endswith("a.toml cannot be written: No such file or directory\n")


def test_the_file_named_by_the_global_option_is_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "b.toml"), "init"])

    assert result.exit_code == 0
    assert (tmp_path / "b.toml").exists()
