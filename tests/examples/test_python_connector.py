"""The connector that a user would write: found by its class and by its package's entry point, and tested."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.examples.commands import ROOT, complaint_about, ours

EXAMPLE = ROOT / "examples" / "python_connector"
BY_CLASS = "parcels.connector:ParcelsConnector"

PULL = """
import os, sys
from pathlib import Path
from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.testing import Context

found = config.load(Path(sys.argv[1]), dict(os.environ)).connections["carrier"]
made = registry.make(found.connector, found.name, found.options, Paces())
made.check()
for batch in made.read(made.streams[0].name, None, Context()):
    print(made.schema, batch.body.decode())
made.close()
"""


def stand_in() -> Any:
    """The example's own, which is no package that could be imported by its name."""
    spec = importlib.util.spec_from_file_location("parcels_stand_in", EXAMPLE / "tests" / "stand_in.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def installed(folder: Path) -> Path:
    """What pip would leave of the example's pyproject.toml for importlib.metadata to find."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def run(words: list[str], path: list[Path], **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, for a connector's module and the list of installed ones are kept for ever."""
    environment = os.environ | variables | {
        "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *words], cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["class", "entry_point"])
def test_it_is_found_and_pulls_every_row(way: str, tmp_path: Path) -> None:
    path = [EXAMPLE, ROOT] if way == "class" else [EXAMPLE, ROOT, installed(tmp_path)]
    module = stand_in()
    with module.Carrier(parcels=25) as carrier:
        variables = {
            "LEADERJOBS_CONNECTIONS_CARRIER_BASE_URL": carrier.url,
            "LEADERJOBS_CONNECTIONS_CARRIER_PAGE_SIZE": "10",
            "CARRIER_TOKEN": module.TOKEN,
        }
        if way == "class":
            variables["LEADERJOBS_CONNECTIONS_CARRIER_CONNECTOR"] = BY_CLASS
        ran = run(["-c", PULL, str(EXAMPLE / "leaderjobs.toml")], path, **variables)
        assert ran.returncode == 0, ran.stderr
        pages = [line.split(" ", 1) for line in ran.stdout.splitlines()]
        rows = {
            row["id"]: row for _, body in pages for row in json.loads(body, parse_float=Decimal)["parcels"]
        }
        assert [schema for schema, _ in pages] == ["parcels"] * 3
        assert rows == carrier.rows()


def test_where_its_package_is_not_installed_the_name_is_refused_with_what_is_allowed() -> None:
    ran = run(["-c", PULL, str(EXAMPLE / "leaderjobs.toml")], [EXAMPLE, ROOT], CARRIER_TOKEN="x")
    assert ran.returncode == 1
    assert 'connections.carrier.connector = "parcels": allowed: ' in ran.stderr
    assert 'or "module:Class"' in ran.stderr


def test_the_command_line_shows_what_it_has(tmp_path: Path) -> None:
    ran = run(["-m", "leaderjobs", "connectors", "show", "parcels"], [EXAMPLE, ROOT, installed(tmp_path)])
    assert ran.returncode == 0, ran.stderr
    assert "parcels" in ran.stdout
    assert "page_size" in ran.stdout


def test_its_own_test_passes() -> None:
    """The suite of leaderjobs.testing, as its author would run it."""
    ran = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], [ROOT])
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def test_the_commands_of_its_readme_exist() -> None:
    found = list(ours(EXAMPLE / "README.md"))
    assert found
    for arguments in found:
        assert complaint_about(arguments) == ""
