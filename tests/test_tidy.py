"""The house rules hold in this tree, and each of them would notice if they did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leaderjobs.cli import COMMANDS
from tests import tidy

ROOT = Path(__file__).parents[1]
Rule = Callable[[Path], list[str]]

# A rule, a file that breaks it, and a word of the advice it must give.
BROKEN: list[tuple[Rule, str, str, str]] = [
    (tidy.long_files, "leaderjobs/a.py", "x = 1\n" * 401, "split it by noun"),
    (tidy.long_functions, "tests/a.py", "def f():\n" + "    x = 1\n" * 60, "a.py:1: f has 61 lines"),
    (tidy.statements_in_python, "leaderjobs/store/a.py", 'x = "SELECT 1 FROM t"\n', "a.py:1: SQL in Python"),
    (tidy.statements_in_python, "leaderjobs/a.py", 'x = f"UPDATE {y} SET z = 1"\n', "store/sql"),
    (tidy.quoted_placeholders, "leaderjobs/store/sql/a.sql", "x = interval '%(s)s s'", "make_interval"),
    (tidy.naive_timestamps, "leaderjobs/store/migrations/1.sql", "at TIMESTAMP NOT NULL", "timestamptz"),
    (
        tidy.unused_statements,
        "leaderjobs/store/sql/a.sql",
        "-- name: raise_fence\nSELECT 1",
        "raise_fence is",
    ),
    (tidy.prints, "leaderjobs/engine/a.py", "print(1)\n", "return it to the command"),
    (tidy.banned_calls, "tests/a.py", "import time\ntime.sleep(1)\n", "a.py:2: time.sleep; instead"),
    (tidy.banned_calls, "leaderjobs/a.py", "import time\ntime.monotonic()\n", "clock.elapsed()"),
    (tidy.unfinished, "benchmarks/a.py", "x = 1  # TODO later\n", "a.py:1: # TODO later; do it now"),
    (tidy.unfinished, "leaderjobs/store/sql/a.sql", "SELECT 1 -- FIXME", "open an issue"),
    (
        tidy.empty_folders,
        "leaderjobs/later/__init__.py",
        '"""Later."""\n',
        "leaderjobs/later: an empty package",
    ),
]

RULES = list(dict.fromkeys(rule for rule, *_ in BROKEN))

# A rule, and a file that comes close to breaking it but does not.
HARMLESS: list[tuple[Rule, str, str]] = [
    (tidy.long_files, "leaderjobs/a.py", "x = 1\n" * 400),
    (tidy.long_functions, "leaderjobs/a.py", "def f():\n" + "    x = 1\n" * 59),
    (
        tidy.statements_in_python,
        "leaderjobs/a.py",
        '"""SELECT 1 FROM t."""\nx = "select one from the list"\n',
    ),
    (tidy.statements_in_python, "tests/a.py", 'x = "SELECT 1 FROM t"\n'),
    (
        tidy.quoted_placeholders,
        "leaderjobs/store/sql/a.sql",
        "a = 'x' AND b = %(b)s AND c = 'y' -- don't '%(c)s'",
    ),
    (
        tidy.naive_timestamps,
        "leaderjobs/store/sql/a.sql",
        "at timestamptz, b timestamp with time zone -- timestamp",
    ),
    (tidy.prints, "leaderjobs/cli/a.py", "print(1)\n"),
    (tidy.banned_calls, "tests/a.py", "import time\ntime.monotonic()\n"),
    (tidy.unfinished, "tests/a.py", 'x = "TODO"\n'),
    (tidy.empty_folders, "leaderjobs/now/a.py", "x = 1\n"),
]


@pytest.mark.parametrize("rule", RULES)
def test_house_rule_holds(rule: Rule) -> None:
    assert rule(ROOT) == []


def test_readme_mentions_every_command() -> None:
    assert tidy.unmentioned_commands(ROOT, list(COMMANDS)) == []


@pytest.mark.parametrize(("rule", "path", "text", "advice"), BROKEN)
def test_broken_rule_is_noticed_with_advice(
    tmp_path: Path, rule: Rule, path: str, text: str, advice: str
) -> None:
    _write(tmp_path / path, text)

    complaints = rule(tmp_path)

    assert len(complaints) == 1
    assert advice in complaints[0]
    assert complaints[0].startswith(path.removesuffix("/__init__.py"))


@pytest.mark.parametrize(("rule", "path", "text"), HARMLESS)
def test_harmless_file_is_left_alone(tmp_path: Path, rule: Rule, path: str, text: str) -> None:
    _write(tmp_path / path, text)

    assert rule(tmp_path) == []


def test_statement_that_the_store_names_is_used(tmp_path: Path) -> None:
    _write(tmp_path / "leaderjobs/store/sql/a.sql", "-- name: raise_fence\nSELECT 1")
    _write(tmp_path / "leaderjobs/store/terms.py", 'run(SQL["raise_fence"])\n')

    assert tidy.unused_statements(tmp_path) == []


def test_command_that_the_readme_leaves_out_is_noticed(tmp_path: Path) -> None:
    _write(tmp_path / "README.md", "`leaderjobs run` on every machine, `leaderjobs status`")

    assert tidy.unmentioned_commands(tmp_path, ["run", "stat"]) == [
        "README.md: `leaderjobs stat` is not mentioned; document it beside its neighbours"
    ]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
