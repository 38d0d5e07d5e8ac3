"""Whether requests, and a sandbox's answers, are those of a provider's official description.

The descriptions in `specs` are extracts of a form of our own: operations by method and path, and types whose
members are written as `name` or `name*` (required) with a word for what they may be:

    string  string:1..40  integer  integer:1..100  whole  number  boolean  object  any  =one|other  [word]  Name

A `?` at the end allows null, `word/word` one of the two. `Name` is another of the types; `whole` is an integer,
or one as text. A query's values are text, so its numbers are too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

from leaderjobs.sandbox.exchange import Request

SPECS = Path(__file__).parent / "specs"
FORM = "application/x-www-form-urlencoded"
_BRACKETS = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class Operation:
    """What may be sent to one method and path; None: nothing."""

    method: str
    path: re.Pattern[str]
    query: str | None = None
    body: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Description:
    """An extract of an official description."""

    operations: tuple[Operation, ...]
    types: Mapping[str, Mapping[str, str]]
    every: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that every operation takes."""
    headers: tuple[str, ...] = ()
    """What every request must have."""

    @classmethod
    def of(cls, *names: str) -> Self:
        """One of several; they share neither paths nor types."""
        known = [cls.load(name) for name in names]
        return cls(
            tuple(operation for each in known for operation in each.operations),
            {name: members for each in known for name, members in each.types.items()},
            {name: word for each in known for name, word in each.every.items()},
            tuple(header for each in known for header in each.headers),
        )

    @classmethod
    @functools.cache
    def load(cls, name: str) -> Self:
        document = json.loads((SPECS / f"{name}.json").read_text())
        assert {"source", "version", "licence"} <= set(document["about"])
        operations = tuple(
            Operation(method=(parts := place.split(" "))[0], path=_template(parts[1]), **what)
            for place, what in document["operations"].items()
        )
        headers = tuple(document.get("headers", ()))
        return cls(operations, document["types"], document.get("every", {}), headers)

    def complaints(self, request: Request) -> list[str]:
        """What is wrong with a request, a sentence each; no values that may be secrets."""
        where = f"{request.method} {request.path}"
        operation = self._of(request.method, request.path)
        if operation is None:
            return [f"{where}: no such operation"]
        found = [f"{where}: header {name}: missing" for name in self.headers if name not in request.headers]
        found += [f"{where}: {text}" for text in self._query(operation, request.query)]
        return found + [f"{where}: {text}" for text in self._body(operation, request)]

    def faults_of_answer(self, method: str, path: str, body: bytes) -> list[str]:
        """What is wrong with a successful answer."""
        operation = self._of(method, path)
        if operation is None or operation.answer is None:
            return []
        document = json.loads(body, parse_float=Decimal)
        return [f"{method} {path} answered {text}" for text in self.misfits(document, operation.answer)]

    def has(self, method: str, path: str, members: tuple[str, ...]) -> bool:
        """Whether an answer may have what these names lead to; what an `object` holds is not known."""
        operation = self._of(method, path)
        word = (operation and operation.answer) or ""
        for name in members:
            word = word.removesuffix("?").strip("[]")
            if word == "object":
                return True
            known = {each.removesuffix("*"): inner for each, inner in self.types.get(word, {}).items()}
            if name not in known:
                return False
            word = known[name]
        return True

    def misfits(self, value: object, word: str, at: str = "", *, text: bool = False) -> Iterator[str]:
        """Where a value is not what the word says; with `text` its scalars come as text."""
        kind, nullable = word.removesuffix("?"), word.endswith("?")
        if kind == "any" or (value is None and nullable):
            return
        if "/" in kind:
            either = [list(self.misfits(value, one, at, text=text)) for one in kind.split("/")]
            yield from min(either, key=len)
            return
        if kind.startswith("["):
            yield from self._items(value, kind[1:-1], at, text=text)
        elif kind in self.types:
            yield from self._members(value, self.types[kind], at, text=text)
        elif kind == "object":
            if not isinstance(value, dict):
                yield f"{at}: not an object"
        elif not _fits(value, kind, text=text):
            yield f"{at}: not {word}"

    def _of(self, method: str, path: str) -> Operation | None:
        fitting = (known for known in self.operations if known.method == method)
        return next((known for known in fitting if known.path.fullmatch(path)), None)

    def _query(self, operation: Operation, query: str) -> Iterator[str]:
        allowed = {**self.every, **(self.types[operation.query] if operation.query else {})}
        yield from self._members(nested(query), allowed, "query", text=True)

    def _body(self, operation: Operation, request: Request) -> Iterator[str]:
        kind = request.headers.get_content_type() if request.body else ""
        if operation.body is None:
            if request.body:
                yield "body: there must be none"
        elif kind == FORM:
            yield from self.misfits(nested(request.body.decode()), operation.body, "body", text=True)
        elif kind == "application/json":
            yield from self.misfits(json.loads(request.body, parse_float=Decimal), operation.body, "body")
        elif request.body or any(name.endswith("*") for name in self.types[operation.body]):
            yield f"body: {kind or 'none'}; JSON or a form is expected"

    def _items(self, value: object, word: str, at: str, *, text: bool) -> Iterator[str]:
        if text and not isinstance(value, list | dict):
            value = [value]  # A repeated parameter that is there once.
        if isinstance(value, dict) and text:
            value = list(value.values())  # `types[0]=…`
        if not isinstance(value, list):
            yield f"{at}: not an array"
            return
        for item in value:
            yield from self.misfits(item, word, f"{at}[]", text=text)

    def _members(self, value: object, words: Mapping[str, str], at: str, *, text: bool) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{at}: not an object"
            return
        allowed = {name.removesuffix("*"): word for name, word in words.items()}
        for name in words:
            if name.endswith("*") and name[:-1] not in value:
                yield f"{at}.{name[:-1]}: missing"
        for name, member in value.items():
            if name not in allowed:
                yield f"{at}.{name}: unknown"
            else:
                yield from self.misfits(member, allowed[name], f"{at}.{name}", text=text)


def nested(query: str) -> dict[str, Any]:
    """`a=1&b[c]=2&d[]=3&d[]=4&e=5&e=6` as an object; what is there several times is a list."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        head, *inner = [name.partition("[")[0], *_BRACKETS.findall(name)]
        place = found
        for step in inner:
            if step:
                place, head = place.setdefault(head, {}), step
        if head in place:
            known = place[head]
            place[head] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            place[head] = [value] if inner and not inner[-1] else value
    return found


def _template(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\+(\w+)\\\}", r".+?", re.sub(r"\\\{(\w+)\\\}", r"[^/]+", re.escape(path))))


def _fits(value: object, kind: str, *, text: bool) -> bool:
    if kind.startswith("="):
        return str(value) in kind[1:].split("|")
    name, _, bounds = kind.partition(":")
    if name == "string":
        return isinstance(value, str) and _within(len(value), bounds)
    if text:
        return isinstance(value, str) and _fits_as_text(value, name, bounds)
    match name:
        case "whole":
            return type(value) is int or (isinstance(value, str) and _fits_as_text(value, "integer", bounds))
        case "integer":
            return type(value) is int and _within(value, bounds)
        case "number":
            return type(value) in {int, Decimal}
        case "boolean":
            return isinstance(value, bool)
        case _:
            raise ValueError(f"{kind}: no word of this form")


def _fits_as_text(value: str, name: str, bounds: str) -> bool:
    match name:
        case "integer" | "whole":
            return re.fullmatch(r"-?\d{1,20}", value) is not None and _within(int(value), bounds)
        case "number":
            return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
        case "boolean":
            return value in {"true", "false"}
        case _:
            raise ValueError(f"{name}: no word of this form")


def _within(value: int, bounds: str) -> bool:
    least, _, most = bounds.partition("..")
    return (not least or value >= int(least)) and (not most or value <= int(most))
