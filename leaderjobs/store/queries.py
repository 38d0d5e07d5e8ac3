"""Named statements out of `sql/*.sql`: one file per noun, `-- name: X` above each statement."""

from __future__ import annotations

import re
from importlib import resources
from typing import LiteralString

_NAME = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)


class Queries(dict[str, LiteralString]):
    """The statements of one file; asking for a name that is not there is our own mistake."""

    def __missing__(self, name: str) -> LiteralString:
        """LookupError that says which names there are."""
        raise LookupError(f"no statement is called {name!r}; there are: {', '.join(sorted(self))}")


def load(noun: str) -> Queries:
    """Read `sql/<noun>.sql`; ValueError for a name used twice, none at all, or text above the first."""
    text = resources.files("leaderjobs.store").joinpath("sql", f"{noun}.sql").read_text("utf-8")
    return parse(text, f"{noun}.sql")


def parse(text: str, source: str) -> Queries:
    r"""Split `text` at its names; comment lines stay in the file and are not sent.

    >>> parse("-- name: one\n-- why\nSELECT 1;\n", "doc")
    {'one': 'SELECT 1'}
    """
    above, *blocks = _NAME.split(text)
    if _bare(above) or not blocks:
        raise ValueError(f"{source}: every statement needs a line `-- name: X` above it")
    found = Queries()
    for name, block in zip(blocks[::2], blocks[1::2], strict=True):
        if name in found or not _bare(block):
            raise ValueError(f"{source}: {name} is there twice, or empty")
        found[name] = _bare(block)
    return found


def _bare(block: str) -> str:
    lines = (line for line in block.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip().rstrip(";")
