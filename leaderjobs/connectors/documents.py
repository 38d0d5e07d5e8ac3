"""Reading an answer that may hold anything: nothing here raises for what a provider sent.

Numbers keep their digits: whole ones are int, others Decimal, never a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

MOST_TEXT_CHARS = 200
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class NotJson:
    """What `parsed` gives for a body that is not JSON; `null` is JSON."""


NOT_JSON = NotJson()


def parsed(body: bytes) -> object:
    """The JSON document, or NOT_JSON."""
    try:
        str(body, "utf-8")
        document: object = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_JSON
    return document


def table(value: object) -> Mapping[str, object]:
    """`value` where it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[object]:
    """`value` where it is a list; else an empty one."""
    return value if isinstance(value, list) else []


def at(document: object, path: str) -> object:
    """What a dotted path leads to, with numbers for places in lists; `""`: the document; None: nowhere."""
    found = document
    for name in path.split(".") if path else ():
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and len(name) < 7 and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def whole(value: object) -> int | None:
    """`value` where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: object) -> str:
    """`value` where it is text, on one line and cut; else empty."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())[:MOST_TEXT_CHARS]


def scalar(value: object) -> str:
    """A text, number or truth value as text, on one line and cut; else empty."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)[:MOST_TEXT_CHARS]
        case _:
            return text(value)
