"""`application/x-www-form-urlencoded` with objects in it, as Stripe and many others read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlencode

CONTENT_TYPE = "application/x-www-form-urlencoded"


def encoded(fields: Mapping[str, object]) -> bytes:
    """The same bytes for the same fields in the same order.

    >>> encoded({"metadata": {"order": "7"}, "lines": [{"paid": True}], "none": None})
    b'metadata%5Border%5D=7&lines%5B0%5D%5Bpaid%5D=true'
    """
    return urlencode([pair for name, value in fields.items() for pair in _pairs(name, value)]).encode()


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case Mapping():
            for key, inner in value.items():
                yield from _pairs(f"{name}[{key}]", inner)
        case str():
            yield name, value
        case bool():
            yield name, "true" if value else "false"
        case Sequence():
            for place, inner in enumerate(value):
                yield from _pairs(f"{name}[{place}]", inner)
        case Decimal():
            yield name, format(value, "f")
        case _:
            yield name, str(value)
