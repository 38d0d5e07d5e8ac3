"""The example of a Singer tap: it loads, and its README is true."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.singer.settings import SingerSettings
from leaderjobs.model.batch import Landing
from leaderjobs.testing import Table
from tests.examples.commands import ROOT, complaint_about, ours

EXAMPLE = ROOT / "examples" / "singer"

# What it must be told, and a row of each stream that is selected.
TAP = """#!{python}
import json, sys
found = dict(zip(sys.argv[1::2], sys.argv[2::2]))
config, catalog = (json.load(open(found[name])) for name in ("--config", "--catalog"))
assert config == {config}, config
for entry in catalog["streams"]:
    if entry["metadata"][0]["metadata"]["selected"]:
        name = entry["stream"]
        print(json.dumps({"type": "SCHEMA", "stream": name, "schema": entry["schema"], "key_properties": ["id"]}))
        print(json.dumps({"type": "RECORD", "stream": name, "record": {"id": 1, "of": name}}))
        print(json.dumps({"type": "STATE", "value": {"bookmarks": {name: {}}}}))
"""
CONFIG = {
    "repositories": ["pallets/flask", "pallets/click"],
    "start_date": "2024-01-01T00:00:00Z",
    "auth_token": "hunter2",
}


def test_every_stream_is_pulled_by_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2")
    tap, catalog = tmp_path / "tap-github", tmp_path / "catalog.json"
    tap.write_text(TAP.replace("{python}", sys.executable).replace("{config}", repr(CONFIG)))
    tap.chmod(0o755)
    found = config.load(
        EXAMPLE / "leaderjobs.toml",
        {
            "LEADERJOBS_CONNECTIONS_GITHUB_COMMAND": str(tap),
            "LEADERJOBS_CONNECTIONS_GITHUB_CATALOG": str(catalog),
        },
    )
    connection = found.connections["github"]
    assert isinstance(connection.options, SingerSettings)
    catalog.write_text(
        json.dumps(
            {
                "streams": [
                    {
                        "tap_stream_id": name,
                        "stream": name,
                        "schema": {"properties": {"id": {"type": "integer"}}},
                    }
                    for name in connection.options.streams
                ]
            }
        )
    )
    made = registry.make(connection.connector, connection.name, connection.options, Paces())
    assert found.syncs["github"].streams == connection.options.streams
    assert made.schema == "github_tap"
    for stream in made.streams:
        table = Table(stream)
        table.sync(made, stream.name)
        assert table.rows == {"1": {"id": 1, "of": stream.name}}
        assert (Landing.SWEEP in table.landings) == (stream.name == "releases")
    made.close()


def test_the_commands_of_its_readme_exist() -> None:
    found = list(ours(EXAMPLE / "README.md"))
    assert found
    for arguments in found:
        assert complaint_about(arguments) == ""
