"""The request for one page of a REST stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode

import msgspec
from msgspec import Raw

from leaderjobs.connectors.rest import records
from leaderjobs.connectors.rest.client import Asked
from leaderjobs.connectors.rest.pagination import Pagination, Spot
from leaderjobs.connectors.rest.stream_settings import SINCE, UNTIL, RestStreamSettings
from leaderjobs.connectors.rest.times import Form
from leaderjobs.connectors.rest.times import Value as Since
from leaderjobs.connectors.templates import Template, Value, filled, written
from leaderjobs.errors import FatalError

_PARENT = "parent."
_JSON = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an incremental stream is asked for."""

    since: Since | None
    until: datetime | None
    """Of a span; None: up to now."""
    now: datetime
    """When the listing began, so that {until} is the same on all of its pages."""


def values_of(
    stream: str, declared: RestStreamSettings, bounds: Bounds, chain: tuple[Raw, ...]
) -> dict[str, Value]:
    """What the braces of a stream stand for; `chain` are its parents' records, the nearest one last."""
    found: dict[str, Value] = {}
    for name in declared.names:
        if name.startswith(_PARENT):
            found[name] = _of_parent(stream, name, chain)
    if declared.incremental is not None:
        form = Form(declared.incremental.format)
        if bounds.since is not None:
            found[SINCE] = form.write(bounds.since)
        if declared.incremental.is_timed:
            found[UNTIL] = form.write(bounds.until or bounds.now)
    return found


def request(
    stream: str,
    declared: RestStreamSettings,
    base: str,
    pagination: Pagination,
    spot: Spot,
    values: Mapping[str, Value],
    *,
    until: bool,
) -> Asked:
    """The page at `spot`; `until` says whether the span has an end that was asked for."""
    paging = pagination.fields(spot)
    into_body = declared.pagination.into == "body"
    address = pagination.address(spot)
    if address is None:
        path = base + Template(declared.path).quoted(values)
        if {".", ".."} & set(path.partition("?")[0].split("/")):
            raise FatalError(f'stream {stream}: "." and ".." of a parent\'s record cannot be part of a path')
        query = _query(declared, values, until=until) + ([] if into_body else list(paging.items()))
        text = urlencode([(name, written(value)) for name, value in query])
        address = path + (("&" if "?" in path else "?") + text if text else "")
    headers = {"Accept": "application/json", **declared.headers}
    body = b""
    if declared.method == "POST":
        document = filled(declared.body or {}, values)
        for name, value in paging.items() if into_body else ():
            document = _put(stream, document, name, value)
        body = _JSON.encode(document)
        headers["Content-Type"] = "application/json"
    return Asked(declared.method, address, body, headers, declared.retryable, declared.absent)


def asked_since(declared: RestStreamSettings, since: Since | None) -> Since | None:
    """What to ask for where the marker holds `since`."""
    found = declared.incremental
    if found is None:
        return None
    if since is None:
        return found.initial_value()
    if not isinstance(since, datetime) or not found.look_back:
        return since
    try:
        return since - found.look_back
    except OverflowError:
        return since


def _query(
    declared: RestStreamSettings, values: Mapping[str, Value], *, until: bool
) -> list[tuple[str, Value]]:
    found: list[tuple[str, Value]] = []
    for name, given in declared.parameters.items():
        for each in given if isinstance(given, list) else [given]:
            value = Template(each).value(values) if isinstance(each, str) else each
            found += [(name, value)]
    if declared.incremental is not None:
        if declared.incremental.parameter and SINCE in values:
            found.append((declared.incremental.parameter, values[SINCE]))
        if declared.incremental.until_parameter and until:
            found.append((declared.incremental.until_parameter, values[UNTIL]))
    return found


def _of_parent(stream: str, name: str, chain: tuple[Raw, ...]) -> Value:
    path, height = name, 0
    while path.startswith(_PARENT) and height < len(chain):
        path, height = path.removeprefix(_PARENT), height + 1
    found = records.value(chain[-height], path) if height else None
    if not isinstance(found, str | int | Decimal) or found == "":
        raise FatalError(f"stream {stream}: a record of its parent has no {path} for {{{name}}}")
    return found


def _put(stream: str, document: object, path: str, value: object) -> object:
    """The document with a value at a dotted path."""
    name, _, rest = path.partition(".")
    if not isinstance(document, dict):
        raise FatalError(f"stream {stream}: the body has no table where pagination.parameter leads")
    inner = _put(stream, document.get(name, {}), rest, value) if rest else value
    return {**document, name: inner}
