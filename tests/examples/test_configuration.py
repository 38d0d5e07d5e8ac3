"""docs/configuration.md says what the sections about the queue take: keys, defaults, what is allowed, variables."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from leaderjobs import config
from leaderjobs.config.environment import variable_of
from leaderjobs.config.rules import HOOK_KEYS, LIMIT_KEYS
from leaderjobs.config.schedules import SCHEDULE_KEYS, ScheduleSettings
from leaderjobs.config.settings import HookSettings, LimitSettings, RetentionSettings
from leaderjobs.errors import ConfigError
from tests.examples.commands import ROOT

TEXT = (ROOT / "docs/configuration.md").read_text()
BASE = """
[connections.NAME]
connector = "stripe"
api_key = "k"
[syncs.NAME]
connection = "NAME"
"""


class Section(NamedTuple):
    """Where a section is described, and a good one of it."""

    title: str
    keys: tuple[str, ...]
    defaults: object
    given: dict[str, str]


SECTIONS = {
    "schedules.NAME": Section(
        "Schedules",
        SCHEDULE_KEYS,
        ScheduleSettings("NAME", "@daily"),
        {"sync": '"NAME"', "cron": '"@daily"'},
    ),
    "limits.connections.NAME": Section("Limits", LIMIT_KEYS, LimitSettings(), {"jobs": "1"}),
    "hooks.NAME": Section("Hooks", HOOK_KEYS, HookSettings("NAME"), {"url": '"https://a"'}),
    "retention": Section(
        "Retention", ("completed", "cancelled", "discarded"), RetentionSettings(), {"completed": '"1d"'}
    ),
}
EVERY_KEY = [(section, key) for section, found in SECTIONS.items() for key in found.keys]


def rows(section: str) -> dict[str, list[str]]:
    """The cells of a section's table by key."""
    after = TEXT.split(f"\n## {SECTIONS[section].title}\n", 1)[1].split("\n## ", 1)[0]
    table = re.search(r"^\|.*?(?=^$|\Z)", after, re.DOTALL | re.MULTILINE)
    assert table
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]
    return {key.strip("`"): cells for key, *cells in lines}


def load(tmp_path: Path, section: str, **values: str) -> config.Settings:
    file = tmp_path / "leaderjobs.toml"
    lines = "".join(f"{key} = {value}\n" for key, value in (SECTIONS[section].given | values).items())
    file.write_text(f"{BASE}[{section}]\n{lines}")
    file.chmod(0o600)
    return config.load(file, {})


def written(value: object) -> str:
    """A default as the file would have it."""
    match value:
        case timedelta():
            days, rest = divmod(value, timedelta(days=1))
            return f'"{days}d"' if days and not rest else f'"{value.total_seconds():g}s"'
        case bool():
            return str(value).lower()
        case StrEnum() | str():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(written(each) for each in value) + "]"
        case _:
            return str(value)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_with_its_variable(tmp_path: Path, section: str) -> None:
    load(tmp_path, section)

    assert sorted(rows(section)) == sorted(SECTIONS[section].keys)
    for key, cells in rows(section).items():
        assert cells[2] == f"`{variable_of((*section.split('.'), key))}`"


@pytest.mark.parametrize(("section", "key"), EVERY_KEY)
def test_what_is_allowed_is_told_in_the_programs_own_words(tmp_path: Path, section: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, section, **{key: "0"})

    assert rows(section)[key][1] == str(refused.value).partition(": allowed: ")[2]


@pytest.mark.parametrize(("section", "key"), EVERY_KEY)
def test_the_default_is_told(section: str, key: str) -> None:
    default, documented = getattr(SECTIONS[section].defaults, key), rows(section)[key][0]
    if key == "cron":
        assert documented == "required"
    elif not default and not isinstance(default, bool | timedelta):
        assert documented.startswith("none")
    else:
        assert documented == f"`{written(default)}`"


def test_what_is_shown_loads(tmp_path: Path) -> None:
    [block] = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    file = tmp_path / "leaderjobs.toml"
    file.write_text(block)
    settings = config.load(file, {})

    assert (list(settings.schedules), list(settings.hooks)) == (["household-hourly"], ["chat"])
