"""Finding the records in an answer, as the bytes that they are; what need not be read is not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec
from msgspec import Raw

EVERY = "*"
"""In a path: every element of a list, or every value of an object."""

_RAW = msgspec.json.Decoder(Raw)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Missing(Exception):
    """The answer has nothing at the path."""


class Misfit(Exception):
    """What the answer has at the path is something else."""


def document(body: bytes) -> Raw:
    """The whole answer; msgspec.DecodeError or UnicodeDecodeError where it is not JSON."""
    str(body, "utf-8")
    return _RAW.decode(body)


def inner(raw: Raw, path: str) -> Raw | None:
    """What a dotted path leads to, with numbers for places in lists; None: nowhere."""
    for name in path.split(".") if path else ():
        first = _first(raw)
        found: Raw | None = None
        if first == b"{":
            found = _OBJECT.decode(raw).get(name)
        elif first == b"[" and name.isascii() and name.isdigit() and len(name) < 7:
            elements = _LIST.decode(raw)
            found = elements[int(name)] if int(name) < len(elements) else None
        if found is None:
            return None
        raw = found
    return raw


def value(raw: Raw, path: str) -> object:
    """The same as a value; whole numbers are int, others Decimal; None for nothing."""
    found = inner(raw, path)
    return None if found is None else _VALUE.decode(found)


def selected(raw: Raw, selector: str) -> list[Raw]:
    """The records at a path that may hold `*`: lists are opened, one object is one record, null is none.

    Missing where the path ends before its first `*`, Misfit for anything that is neither.
    """
    places, opened = [raw], False
    for name in selector.split(".") if selector else ():
        if name == EVERY:
            places, opened = [each for place in places for each in _elements(place)], True
            continue
        found = [inner(place, name) for place in places]
        places = [place for place in found if place is not None]
        if len(places) < len(found):
            raise Misfit if opened else Missing
    return [record for place in places for record in _records(place)]


def with_members(record: Raw, members: Mapping[str, object]) -> Raw:
    """The record with more members in front; what it has of the same name stays its own."""
    if not members:
        return record
    more = _ENCODER.encode(members)[:-1]
    rest = bytes(record)[1:]
    return Raw(more + (rest if rest.lstrip()[:1] == b"}" else b"," + rest))


def body_of(**arrays: Iterable[Raw]) -> bytes:
    """An object with these arrays of records."""
    return _ENCODER.encode({name: list(records) for name, records in arrays.items()})


def _records(place: Raw) -> list[Raw]:
    match _first(place):
        case b"[":
            found = _LIST.decode(place)
        case b"{":
            found = [place]
        case b"n":
            found = []
        case _:
            raise Misfit
    if any(_first(record) != b"{" for record in found):
        raise Misfit
    return found


def _elements(place: Raw) -> Iterable[Raw]:
    match _first(place):
        case b"[":
            return _LIST.decode(place)
        case b"{":
            return _OBJECT.decode(place).values()
        case b"n":
            return ()
        case _:
            raise Misfit


def _first(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:1])
