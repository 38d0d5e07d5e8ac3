"""What the settings of `connector = "rest"` have in common: names, paths and templates in texts."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

import msgspec

from leaderjobs.connectors.templates import names_in

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""The name of a header."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/{}?-]*")
DOTTED = re.compile(r"[^.\s]+(\.[^.\s]+)*")
OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "expect", "host", "transfer-encoding"}
)
"""Headers that are ours to write."""
PATH_ALLOWED = 'a path from base_url on, such as "/orders/{order}"'


def field_default(field: msgspec.structs.FieldInfo) -> object:
    """What a field is when it is left out."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def check_filled(key: str, document: object, known: Collection[str]) -> frozenset[str]:
    """The names in it, if all are known."""
    try:
        names = names_in(document)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if not names <= set(known):
        raise ValueError(f"{key}: allowed: in braces: {', '.join(sorted(known)) or 'nothing'}")
    return names


def check_headers(names: Collection[str]) -> None:
    """ValueError for one that is no header's name, or ours."""
    for name in names:
        if TOKEN.fullmatch(name) is None or name.lower() in OURS:
            raise ValueError(
                "headers: allowed: names of headers, such as Authorization, but not: "
                + ", ".join(sorted(OURS))
            )


def check_only(found: msgspec.Struct, kind: str, allowed: Collection[str]) -> None:
    """ValueError for a field that was given and means nothing with this kind."""
    for field in _fields_of(type(found)):
        given = getattr(found, field.name) != field_default(field)
        if given and field.name not in allowed and field.name != "kind":
            raise ValueError(f"{field.name}: allowed: not with kind = {kind!r}".replace("'", '"'))


@functools.cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Reading the annotations anew takes a millisecond."""
    return msgspec.structs.fields(kind)
