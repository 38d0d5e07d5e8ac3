"""Commands that documents show, checked without being run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from leaderjobs.cli import main

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(document: Path) -> Iterator[list[str]]:
    """The commands of a document's fenced blocks as words; of a transcript only what was typed."""
    for block in _BLOCK.finditer(document.read_text()):
        lines = block[1].splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")]
        for line in typed or lines:
            if words := shlex.split(line, comments=True):
                yield words


def ours(document: Path) -> Iterator[list[str]]:
    """The arguments of leaderjobs in what a document shows, wherever in the line it stands."""
    for words in shown(document):
        names = [Path(word).name for word in words]
        if "leaderjobs" in names:
            yield words[names.index("leaderjobs") + 1 :]


def complaint_about(arguments: list[str]) -> str:
    """What the command line says to these arguments; empty when it knows every one of them.

    With --help behind them, options are parsed first and then nothing is run.
    """
    result = CliRunner().invoke(main, [*arguments, "--help"])
    return "" if result.exit_code == 0 else result.output
