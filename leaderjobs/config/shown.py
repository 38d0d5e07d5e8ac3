"""How a value looks in a message: one line, bounded, and never with a password in it."""

from __future__ import annotations

from datetime import date, datetime, time

from leaderjobs.values import hide_passwords

MOST_SHOWN = 80


def quoted(text: str) -> str:
    """A name as it was written, with what could break or disguise a line escaped, and bounded."""
    return one_line(text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…")


def one_line(text: str) -> str:
    """`text` with everything escaped that is not a visible character or a space."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown(value: object) -> str:
    """A value roughly as TOML would write it; tables and long lists by their kind only."""
    match value:
        case str():
            return '"' + quoted(hide_passwords(value)) + '"'
        case bool():
            return "true" if value else "false"
        case datetime() | date() | time():
            return value.isoformat()
        case int() if abs(value) >= 10**MOST_SHOWN:
            return "a number of many digits"
        case int() | float():
            return str(value)
        case list() if len(value) <= 8 and not any(isinstance(item, list | dict) for item in value):
            return quoted("[" + ", ".join(shown(item) for item in value) + "]")
        case list():
            return "a list"
        case _:
            return "a table"
