"""From what a person or a program gives an operation to values that are equal where the wishes are.

On a command line everything is text; a program may hand over JSON. A Decimal is no JSON value, so a decimal
argument is kept as text, in its one shortest form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import TypeAlias

from leaderjobs.errors import UsageError

MOST_TEXT_CHARS = 1000
MOST_DIGITS = 18
Reader: TypeAlias = Callable[[object], object]
"""Gives the normalised value; ValueError says what is allowed."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")


def read(
    operation: str,
    given: Mapping[str, object],
    readers: Mapping[str, Reader],
    required: Collection[str],
) -> dict[str, object]:
    """The arguments by name, in the order of `readers`; UsageError with what is allowed."""
    unknown = next((name for name in given if name not in readers), None)
    if unknown is not None:
        raise UsageError(f"{operation} has no argument {unknown!r}; allowed: {', '.join(readers) or 'none'}")
    missing = [name for name in required if name not in given]
    if missing:
        raise UsageError(f"{operation}: {', '.join(missing)} is missing; give {missing[0]}=…")
    values: dict[str, object] = {}
    for name, reader in readers.items():
        if name in given:
            try:
                values[name] = reader(given[name])
            except ValueError as error:
                raise UsageError(f"{operation}: {name} = {_shown(given[name])}: allowed: {error}") from None
    return values


def matching(pattern: re.Pattern[str], allowed: str) -> Reader:
    """A text that the whole pattern fits."""

    def reader(value: object) -> object:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise ValueError(allowed)

    return reader


def choice(*words: str) -> Reader:
    """One of these."""

    def reader(value: object) -> object:
        if value in words:
            return value
        raise ValueError(", ".join(words))

    return reader


def within(least: int, most: int) -> Reader:
    """A whole number of this range."""

    def reader(value: object) -> object:
        found = _whole(value)
        if found is not None and least <= found <= most:
            return found
        raise ValueError(f"a whole number from {least} to {most}")

    return reader


def text(value: object) -> object:
    """Any text but an empty one; bytes of a command line that are no UTF-8 are none."""
    if isinstance(value, str) and 0 < len(value) <= MOST_TEXT_CHARS and not _UNWRITABLE.search(value):
        return value
    raise ValueError(f"a text of 1 to {MOST_TEXT_CHARS} characters")


def integer(value: object) -> object:
    """A whole number."""
    found = _whole(value)
    if found is None:
        raise ValueError(f"a whole number of up to {MOST_DIGITS} digits")
    return found


def decimal(value: object) -> object:
    """A decimal number, as text: `10.50` and `10.5` are one wish."""
    given = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(given, str) and _DECIMAL.fullmatch(given):
        found = format(Decimal(given), "f")
        found = found.rstrip("0").rstrip(".") if "." in found else found
        return "0" if found == "-0" else found
    raise ValueError("a decimal number such as 10.50, with up to 18 digits on either side, as text")


def boolean(value: object) -> object:
    """A truth value."""
    match value:
        case bool():
            return value
        case "true" | "false":
            return value == "true"
        case _:
            raise ValueError("true, false")


def _whole(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**MOST_DIGITS else None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
