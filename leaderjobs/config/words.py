"""What an annotated type allows, in the words of an error message."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Protocol

import msgspec
from msgspec import inspect

from leaderjobs.config.settings import Between
from leaderjobs.config.shown import shown


class Parsed(Protocol):
    """A type of `leaderjobs.values`: it reads its own text and says what is allowed."""

    @classmethod
    def parse(cls, value: object) -> object:
        """The value; ValueError with `allowed: …`."""


def allowed_for(kind: object) -> str:
    """What a value of this type may be."""
    inner, extras = unwrapped(kind)
    for extra in extras:
        if isinstance(extra, msgspec.Meta) and extra.description:
            return extra.description
        if isinstance(extra, Between):
            return extra.text
    if isinstance(inner, type) and hasattr(inner, "parse"):
        try:
            typing.cast("type[Parsed]", inner).parse(None)
        except ValueError as error:
            return str(error).removeprefix("allowed: ")
    return _words(inspect.type_info(typing.cast("type[object]", kind)))


def unwrapped(kind: object) -> tuple[object, tuple[object, ...]]:
    """The type inside `Annotated` and `… | None`, and all annotations met on the way."""
    extras: tuple[object, ...] = ()
    while True:
        if typing.get_origin(kind) is Annotated:
            kind, *more = typing.get_args(kind)
            extras = (*extras, *more)
        elif typing.get_origin(kind) in {typing.Union, types.UnionType}:
            parts = [part for part in typing.get_args(kind) if part is not types.NoneType]
            if len(parts) != 1:
                return kind, extras
            kind = parts[0]
        else:
            return kind, extras


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner):
            return _words(inner)
        case inspect.UnionType(types=parts):
            words = [_words(part) for part in parts if not isinstance(part, inspect.NoneType)]
            return " or ".join(words)
        case inspect.LiteralType(values=values):
            return ", ".join(shown(value) for value in values)
        case inspect.EnumType(cls=cls):
            return ", ".join(shown(member.value) for member in cls)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            least, item = "a non-empty list" if info.min_length else "a list", _words(info.item_type)
            chosen = isinstance(info.item_type, inspect.EnumType | inspect.LiteralType)
            return f"{least} of {item}" if chosen else f"{least} of {item.removeprefix('a ')}s"
        case inspect.DictType() | inspect.StructType():
            return "a table"
        case _:
            return _simple(info)


def _simple(info: inspect.Type) -> str:
    match info:
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"a whole number from {low} to {high}"
        case inspect.IntType(ge=int(low)):
            return f"a whole number from {low}"
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.BoolType():
            return "true or false"
        case _:
            return "a string"
