"""Texts with `{name}` in them, filled with an operation's arguments or the values of a stream's request.

>>> Template("{order}-{n}").text({"order": "a/b", "n": 7})
'a/b-7'
>>> Template("/orders/{order}").quoted({"order": "a/b"})
'/orders/a%2Fb'
>>> Template("{n}").value({"n": 7})
7
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote

Value = str | int | Decimal | bool
_PARTS = re.compile(
    r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,63}|parent(?:\.[^{}.\s]{1,64}){1,8})\}|([^{}]+)|(.)", re.DOTALL
)


def written(value: object) -> str:
    """A value inside a text."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


class Template:
    """One such text; `{{` and `}}` stand for braces."""

    def __init__(self, source: str) -> None:
        """ValueError for a brace that belongs to no name."""
        self._parts: list[tuple[str, bool]] = []
        for found in _PARTS.finditer(source):
            name, plain, stray = found.groups()
            if stray:
                raise ValueError(
                    f"{source!r} has a brace that belongs to no name; write {{{{ or }}}} for one"
                )
            self._parts.append((name, True) if name else (plain or found[0][0], False))

    @property
    def names(self) -> frozenset[str]:
        """The arguments in it."""
        return frozenset(part for part, named in self._parts if named)

    def text(self, values: Mapping[str, Value]) -> str:
        """The whole as text."""
        return "".join(written(values[part]) if named else part for part, named in self._parts)

    def quoted(self, values: Mapping[str, Value]) -> str:
        """For a path or a query: what is filled in is percent-encoded, and cannot reach beyond its place."""
        return "".join(
            quote(written(values[part]), safe="") if named else part for part, named in self._parts
        )

    def value(self, values: Mapping[str, Value]) -> Value:
        """The argument itself where the text is nothing else, with its type; else as `text`."""
        match self._parts:
            case [(name, True)]:
                return values[name]
            case _:
                return self.text(values)


def names_in(document: object) -> frozenset[str]:
    """The arguments in every text of a JSON document; ValueError as Template, and for what is no JSON."""
    match document:
        case str():
            return Template(document).names
        case bool() | int() | None:
            return frozenset()
        case dict():
            return frozenset().union(*map(names_in, document.values()))
        case list():
            return frozenset().union(*map(names_in, document))
        case _:
            raise ValueError(
                f"{document!r} is neither a text, a whole number, true or false; give it as an argument"
            )


def filled(document: object, values: Mapping[str, Value]) -> object:
    """The document with every text filled in."""
    match document:
        case str():
            return Template(document).value(values)
        case dict():
            return {name: filled(inner, values) for name, inner in document.items()}
        case list():
            return [filled(inner, values) for inner in document]
        case _:
            return document
