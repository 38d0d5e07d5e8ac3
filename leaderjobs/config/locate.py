"""On which line a key of a TOML file stands; the standard reader keeps no positions.

The scanner assumes text that `tomllib` has accepted, so it need not check, only skip correctly. What
it does not find (or a nesting too deep for it) falls back to the nearest enclosing table's line.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Generator, Iterator
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY_PART = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^\']|\'(?!\'\'))*\'{3,5}'
    r'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Lines:
    """Line numbers, counted from 1, of the keys of one document."""

    def __init__(self, text: str) -> None:
        """Scan `text` once; its lines end in LF alone, as the TOML reader makes them."""
        self._text = text
        self._newlines = [at for at, char in enumerate(text) if char == "\n"]
        self._found: dict[Path, int] = {}
        try:
            for path, at in self._statements():
                self._found.setdefault(path, bisect.bisect_left(self._newlines, at) + 1)
        except (IndexError, RecursionError, AttributeError):
            # Not the reader's grammar, or nested beyond the stack: what was found so far still serves.
            return

    def of(self, path: Path) -> int | None:
        """The line of `path` or of its nearest table that has one; None when none has."""
        for length in range(len(path), 0, -1):
            line = self._found.get(path[:length])
            if line is not None:
                return line
        return None

    def _statements(self) -> Iterator[tuple[Path, int]]:
        table: Path = ()
        at = self._skip(_BLANK, 0)
        while at < len(self._text):
            start = at
            if self._text[at] == "[":
                double = self._text.startswith("[[", at)
                table, at = self._key(at + 1 + double)
                yield from _prefixes((), table, start)
                at = self._skip(_SPACE, at) + 1 + double
            else:
                key, at = self._key(at)
                yield from _prefixes(table, key, start)
                at = yield from self._value(table + key, at + 1)
            at = self._skip(_BLANK, at)

    def _value(self, path: Path, at: int) -> Generator[tuple[Path, int], None, int]:
        """Yield the keys inside the value at `at`; returns where the value ends."""
        at = self._skip(_SPACE, at)
        match self._text[at]:
            case "[":
                at = self._skip(_BLANK, at + 1)
                while self._text[at] != "]":
                    at = yield from self._value(path, at)
                    at = self._after_comma(at)
                return at + 1
            case "{":
                at = self._skip(_BLANK, at + 1)
                while self._text[at] != "}":
                    start = at
                    key, at = self._key(at)
                    yield from _prefixes(path, key, start)
                    at = yield from self._value(path + key, at + 1)
                    at = self._after_comma(at)
                return at + 1
            case '"' | "'":
                return self._skip(_STRING, at)
            case _:
                return self._skip(_SCALAR, at)

    def _after_comma(self, at: int) -> int:
        at = self._skip(_BLANK, at)
        return self._skip(_BLANK, at + 1) if self._text[at] == "," else at

    def _key(self, at: int) -> tuple[Path, int]:
        """Read a dotted key; returns it and the place of what follows it."""
        parts: list[str] = []
        while True:
            at = self._skip(_SPACE, at)
            end = self._skip(_KEY_PART, at)
            part = self._text[at:end]
            parts.append(tomllib.loads(f"key = {part}")["key"] if part[0] in "\"'" else part)
            at = self._skip(_SPACE, end)
            if self._text[at] != ".":
                return tuple(parts), at
            at += 1

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        return found.end() if found else at


def _prefixes(table: Path, key: Path, at: int) -> Iterator[tuple[Path, int]]:
    for length in range(1, len(key) + 1):
        yield table + key[:length], at
