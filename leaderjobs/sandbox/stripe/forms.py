"""Stripe's parameters: form-encoded, nested by brackets, each read by name and the rest refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from leaderjobs.sandbox.stripe.errors import unfit

MOST_FIELDS = 1000
MOST_DEPTH = 5
MOST_METADATA = 50
MOST_TEXT = 5000
MOST_AMOUNT = 99_999_999
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
Tree = dict[str, Any]
T = TypeVar("T")
Word = TypeVar("Word", bound=str)


def fields(query: str, body: bytes) -> list[tuple[str, str]]:
    """Every name and value of a request; Stripe's refusal of what is no form."""
    try:
        text = body.decode()
        return [
            pair
            for part in (query, text)
            for pair in parse_qsl(part, keep_blank_values=True, max_num_fields=MOST_FIELDS)
        ]
    except ValueError:
        raise unfit("Invalid request: the body is not form-encoded UTF-8.", None, None) from None


def canonical(query: str, body: bytes) -> str:
    """The parameters in an order of their own, for comparison."""
    return json.dumps(sorted(parse_qsl(f"{query}&{body.decode(errors='replace')}", keep_blank_values=True)))


def nested(pairs: Iterable[tuple[str, str]]) -> Tree:
    """`a[b]=1`, `c[]=2` and `c[0]=2` as a tree; a list is a table whose names are numbers."""
    tree: Tree = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise unfit(f"Invalid parameter name: {name}", "parameter_unknown", name)
        path = [match[1], *_BRACKETS.findall(match[2])]
        if len(path) > MOST_DEPTH:
            raise unfit(f"Too deeply nested: {name}", "parameter_unknown", name)
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part or str(len(node)), {})
            if not isinstance(node, dict):
                raise unfit(f"Invalid object: {name}", None, path[0])
        node[path[-1] or str(len(node))] = value
    return tree


class Params:
    """A request's parameters; whoever has read all it knows calls `done`, which refuses what is left."""

    def __init__(self, tree: Mapping[str, Any], within: str = "") -> None:
        """`within` is the name of the table that this is, if it is one."""
        self._tree = tree
        self._within = within
        self._read: set[str] = set()
        self._groups: list[Params] = []

    def peek(self, *names: str) -> str | None:
        """The first of these that is given as a text; not as something read."""
        given = (self._tree.get(name) for name in names)
        return next((value for value in given if isinstance(value, str)), None)

    def text(self, name: str) -> str | None:
        """A text that is not empty."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise unfit(f"Invalid string: {json.dumps(value)}", None, self._name(name))
        if not value:
            raise unfit(
                f"You passed an empty string for '{self._name(name)}'. We assume empty values are an attempt "
                f"to unset a parameter; however '{self._name(name)}' cannot be unset.",
                "parameter_invalid_empty",
                self._name(name),
            )
        if len(value) > MOST_TEXT:
            raise unfit(f"Invalid string: longer than {MOST_TEXT}", None, self._name(name))
        return value

    def required(self, name: str) -> str:
        """A text that must be there."""
        return self.present(self.text(name), name)

    def present(self, value: T | None, name: str) -> T:
        """The value; Stripe's refusal when there is none."""
        if value is None:
            raise unfit(f"Missing required param: {self._name(name)}.", "parameter_missing", self._name(name))
        return value

    def integer(self, name: str, least: int = 0, most: int = MOST_AMOUNT) -> int | None:
        """An integer; never a float, as these are money."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise unfit(f"Invalid integer: {value}", "parameter_invalid_integer", self._name(name))
        if int(value) < least:
            text = f"This value must be greater than or equal to {least}."
            raise unfit(f"Invalid integer: {text}", "parameter_invalid_integer", self._name(name))
        if int(value) > most:
            text = f"This value must be less than or equal to {most}."
            raise unfit(f"Invalid integer: {text}", "parameter_invalid_integer", self._name(name))
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """`true` or `false`."""
        value = self.text(name)
        if value not in {None, "true", "false"}:
            raise unfit(f"Invalid boolean: {value}", None, self._name(name))
        return default if value is None else value == "true"

    def choice(self, name: str, allowed: tuple[Word, ...]) -> Word | None:
        """One of these."""
        value = self.text(name)
        found = next((word for word in allowed if word == value), None)
        if value is not None and found is None:
            raise unfit(f"Invalid {name}: must be one of {', '.join(allowed)}", None, self._name(name))
        return found

    def metadata(self) -> dict[str, str]:
        """The client's own names and values; an empty value stands for none."""
        table = self._take("metadata")
        if table is None or table == "":
            return {}
        if not isinstance(table, dict) or len(table) > MOST_METADATA:
            raise unfit(f"Invalid metadata: allowed: {MOST_METADATA} names", None, "metadata")
        for name, value in table.items():
            if not isinstance(value, str) or len(name) > 40 or len(value) > 500:
                raise unfit("Metadata names have up to 40, values up to 500 characters.", None, "metadata")
        return {name: value for name, value in table.items() if value}

    def texts(self, name: str, most: int = 20) -> tuple[str, ...]:
        """A list of texts."""
        table = self._take(name)
        if table is None:
            return ()
        if not isinstance(table, dict) or len(table) > most:
            raise unfit(f"Invalid array: up to {most} texts", None, self._name(name))
        values = tuple(table.values())
        if not all(isinstance(value, str) and value for value in values):
            raise unfit("Invalid array: texts only", None, self._name(name))
        return values

    def group(self, name: str) -> Params:
        """A table of parameters; empty when it is not given."""
        table = self._take(name)
        if table is not None and not isinstance(table, dict):
            raise unfit("Invalid object", None, self._name(name))
        group = Params(table or {}, self._name(name))
        self._groups.append(group)
        return group

    def skip(self, *names: str) -> None:
        """Take what Stripe takes and what makes no difference here."""
        self._read.update(names)

    def done(self) -> None:
        """Refuse what nobody has asked for."""
        for name in self._tree:
            if name not in self._read:
                known = self._name(name)
                raise unfit(f"Received unknown parameter: {known}", "parameter_unknown", known)
        for group in self._groups:
            group.done()

    def _take(self, name: str) -> object:
        self._read.add(name)
        return self._tree.get(name)

    def _name(self, name: str) -> str:
        return f"{self._within}[{name}]" if self._within else name
