"""The settings that a type declares, in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import msgspec

from leaderjobs.config.decode import fields_of, named_structs_of, struct_of
from leaderjobs.config.shown import shown
from leaderjobs.config.words import allowed_for


class Described(NamedTuple):
    """One setting; its key is dotted where it stands in a table inside, whose name may be the user's."""

    key: str
    allowed: str
    default: str
    """Empty where there is none, `required` where it must be given."""


def described(kind: type[msgspec.Struct], inside: str = "") -> Iterator[Described]:
    """Every setting, those of the tables inside included, in their order."""
    defaults = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for field in fields_of(kind):
        key = f"{inside}{field.key}"
        nested, named = struct_of(field.type), named_structs_of(field.type)
        if nested is not None:
            yield from described(nested, f"{key}.")
        elif named is not None:
            yield from described(named, f"{key}.NAME.")
        else:
            default = "required" if field.required else _text(defaults[field.key].default)
            yield Described(key, allowed_for(field.type), default)


def _text(default: object) -> str:
    match default:
        case None | msgspec.NODEFAULT:
            return ""
        case timedelta():
            return f"{default.total_seconds():g}s"
        case _:
            return shown(default) if isinstance(default, (str, int, list, tuple)) else str(default)
