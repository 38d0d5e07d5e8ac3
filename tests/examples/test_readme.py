"""The README says what the program does: its commands, keys, defaults, problems and documents are looked up."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest

from leaderjobs import config
from leaderjobs.cli import main
from leaderjobs.config.decode import fields_of
from leaderjobs.config.environment import variable_of
from leaderjobs.config.load import SYNC_KEYS
from leaderjobs.config.settings import ClusterSettings
from leaderjobs.connectors import registry
from leaderjobs.errors import ConfigError
from leaderjobs.model.job import JobState
from leaderjobs.model.report import StatusReport
from leaderjobs.values import Rate
from tests.examples.commands import ROOT, complaint_about, ours, shown

README = ROOT / "README.md"
CONNECTORS = ROOT / "docs/connectors.md"
TEXT = README.read_text()
CONNECTORS_TEXT = CONNECTORS.read_text()
DOCUMENTS = [
    README,
    *(ROOT / f"docs/{name}.md" for name in ("connectors", "doctor", "jobs", "schedules")),
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted(ROOT.glob("compose/README.md")),
]
CONNECTIONS = {
    "plaid": {"connector": '"plaid"', "client_id": '"a"', "secret": '"b"', "access_token": '"c"'},
    "stripe": {"connector": '"stripe"', "api_key": '"k"'},
    "youtube": {"connector": '"youtube"', "api_key": '"k"', "channels": '["@name"]'},
    "google_analytics": {
        "connector": '"google_analytics"',
        "service_account": '"a"',
        "property": '"1"',
        "start_date": '"2026-01-31"',
        "reports": '{ traffic = { metrics = ["sessions"] } }',
    },
    "singer": {"connector": '"singer"', "command": '"/opt/tap"', "streams": '["orders"]'},
    "rest": {"connector": '"rest"', "base_url": '"https://api.example.com"'},
}
"""A connection of each connector, each with a table of its own."""
MINIMAL = {"cluster": {}, "connections.NAME": CONNECTIONS["plaid"], "syncs.NAME": {"connection": '"NAME"'}}
TABLES = ["cluster", "syncs.NAME", *CONNECTIONS]
BAD = {
    **dict.fromkeys(("timeout", "refresh_every"), '"0s"'),
    "look_back": '"366d"',
    "quota_reserve": "-1",
    "channels": '["x"]',
    "rest.schema": '"public"',
    **dict.fromkeys(
        ("coordinator", "database", "connector", "connection", "account", "check_path", "token_uri"), '"x"'
    ),
    **dict.fromkeys(("base_url", "analytics_base_url"), '"x"'),
}
"""Values that get the most telling refusal; 0 does for every other key."""


class Row(typing.NamedTuple):
    """A line of the configuration reference."""

    key: str
    default: str
    allowed: str
    variable: str


def rows(section: str) -> list[Row]:
    """The table that follows the line which begins with a section's name."""
    if section in CONNECTIONS:
        after = CONNECTORS_TEXT.split(f'\n`[connections.NAME]` with `connector = "{section}"`', 1)[1]
    else:
        after = TEXT.split(f"\n`[{section}]`", 1)[1]
    lines = re.search(r"^\|.*?(?=^$)", after, re.DOTALL | re.MULTILINE)
    assert lines
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]
    return [
        Row(key.strip("`"), default, allowed, variable.strip("`"))
        for key, default, allowed, variable in cells
    ]


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its whole name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def written(value: object) -> str:
    """A default as the file would have it."""
    match value:
        case timedelta():
            days, rest = divmod(value, timedelta(days=1))
            return f'"{days}d"' if days and not rest else f'"{value.total_seconds():g}s"'
        case Rate(count=count, per=per):
            return f'"{count}/{ {1: "s", 60: "min", 3600: "h"}[int(per.total_seconds())] }"'
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case _:
            return str(value)


def load(tmp_path: Path, section: str = "cluster", **values: str) -> config.Settings:
    """The minimal configuration with values put into one of its sections."""
    if section in CONNECTIONS:
        sections = {"connections.NAME": CONNECTIONS[section] | values}
    else:
        sections = MINIMAL | {section: MINIMAL[section] | values}
    file = tmp_path / "leaderjobs.toml"
    file.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
            for name, table in sections.items()
        )
    )
    file.chmod(0o600)
    return config.load(file, {})


def keys(section: str) -> list[str]:
    """The keys that a section really has."""
    if section == "cluster":
        return [field.key for field in fields_of(ClusterSettings)]
    if section == "syncs.NAME":
        return list(SYNC_KEYS)
    return ["connector", *(field.key for field in fields_of(registry.settings_type(section)))]


@pytest.mark.parametrize("section", TABLES)
def test_reference_has_every_key_with_its_variable(section: str) -> None:
    table = rows(section)

    assert sorted(row.key for row in table) == sorted(keys(section))
    path = ("connections", "NAME") if section in CONNECTIONS else tuple(section.split("."))
    assert [row.variable for row in table] == [variable_of((*path, row.key)) for row in table]


def test_every_connector_has_a_table() -> None:
    assert set(CONNECTIONS) == set(registry.names())


@pytest.mark.parametrize("connector", CONNECTIONS)
def test_every_key_of_a_table_inside_a_connection_is_described(connector: str) -> None:
    after = CONNECTORS_TEXT.split(f'\n`[connections.NAME]` with `connector = "{connector}"`', 1)[1]
    section = after.split("\n## ", 1)[0]
    inside = {each.key.rsplit(".", 1)[-1] for each in config.described(registry.settings_type(connector))}
    code = " ".join(re.findall(r"`[^`]+`", section))
    assert {key for key in inside if not re.search(rf"\b{key}\b", code)} == set()


def test_every_key_of_a_declared_operation_is_described() -> None:
    after = CONNECTORS_TEXT.split("\n`[operations.CONNECTION.NAME]`", 1)[1].split("\n## ", 1)[0]
    declared = fields_of(registry.operation_type())
    assert {field.key for field in declared if f"`{field.key}`" not in after} == set()


@pytest.mark.parametrize(("section", "key"), [(section, key) for section in TABLES for key in keys(section)])
def test_reference_tells_what_is_allowed_in_the_programs_own_words(
    tmp_path: Path, section: str, key: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, section, **{key: BAD.get(f"{section}.{key}", BAD.get(key, "0"))})

    allowed = str(refused.value).rpartition(": allowed: ")[2]
    documented = next(row.allowed for row in rows(section) if row.key == key)
    if key == "connection":  # the message goes on with the names that are there
        allowed, documented = allowed.partition(":")[0], documented.partition(":")[0]
    assert documented == allowed


@pytest.mark.parametrize("section", TABLES)
def test_reference_tells_the_defaults(tmp_path: Path, section: str) -> None:
    settings = load(tmp_path, section)
    holder: object = settings.connections["NAME"].options
    if section == "cluster":
        holder = settings.cluster
    elif section == "syncs.NAME":
        holder = settings.syncs["NAME"]
    required = {"connector", "connection"} | {
        field.key for field in fields_of(type(holder)) if field.required and field.key != "name"
    }
    given = CONNECTIONS.get(section, {})
    for key, default, *_ in rows(section):
        if key in required:
            assert default == "required"
        elif key in given:
            assert default != "required"
        elif key == "streams" and section == "syncs.NAME":
            assert default == "all of the connector's"
        elif getattr(holder, key) is None:
            assert default.startswith("none")
        else:
            assert default == f"`{written(getattr(holder, key))}`"


def test_every_configuration_that_is_shown_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", TEXT + CONNECTORS_TEXT, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        file = tmp_path / "leaderjobs.toml"
        file.write_text(block)
        assert config.load(file, {}).connections


def test_every_command_is_mentioned_with_every_option() -> None:
    table = TEXT.split("\n## Commands\n", 1)[1].split("\n### ", 1)[0]
    for name, command in leaves(main):
        assert f"leaderjobs {name}" in table, name
        for option in command.params:
            if isinstance(option, click.Option):
                long = next(text for text in option.opts if text.startswith("--"))
                assert long in table, f"{name} {long}"
    for option in main.params:
        assert any(text in table for text in option.opts), option.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_is_understood(document: Path) -> None:
    complaints = {" ".join(words): complaint_about(words) for words in ours(document)}
    assert complaints
    assert not {words: complaint for words, complaint in complaints.items() if complaint}


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert "no such option" in complaint_about(["run", "--identity", "a"]).lower()
    assert "no such command" in complaint_about(["migrates"]).lower()


def test_every_target_that_is_shown_can_be_made() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {words[1] for words in shown(README) if words[0] == "make"}
    assert made
    assert made <= targets


def test_every_path_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:tests|leaderjobs|examples|compose)/[\w./-]+)`|\]\(([\w./-]+)\)", TEXT)
    missing = [path for pair in named for path in pair if path and not (ROOT / path).exists()]
    assert not missing


def test_status_document_is_described_whole() -> None:
    section = TEXT.split("### What `status --output json` contains", 1)[1].split("\n## ", 1)[0]
    names = set(_names(StatusReport)) | {state.value for state in JobState}
    source = (ROOT / "leaderjobs/engine/status_problems.py").read_text()
    codes = set(re.findall(r"Problem\(\s*\"(\w+)\"", source))
    assert codes
    names |= codes
    assert {name for name in names if f"`{name}`" not in section} == set()


def _names(kind: type) -> Iterator[str]:
    """The field names of a report, those of the reports inside it included."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield field.name
        for inner in (hints[field.name], *typing.get_args(hints[field.name])):
            if dataclasses.is_dataclass(inner):
                yield from _names(typing.cast("type", inner))
