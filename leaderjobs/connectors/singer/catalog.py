"""The catalog of a tap: what it says of a stream, and how one stream is selected in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from leaderjobs.connectors.singer.settings import SingerSelection, SingerSettings
from leaderjobs.errors import FatalError

MOST_CATALOG_BYTES = 64 * 1024 * 1024
FULL_TABLE = "FULL_TABLE"
MOST_NAMED = 20
"""Streams that an error lists."""

Metadata = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """One stream, selected."""

    body: bytes
    """The catalog for the tap."""
    names: frozenset[str]
    """What its messages may call the stream."""
    method: str
    """How the tap will replicate it, as far as the catalog tells."""


class _Entry(msgspec.Struct):
    """What is needed of a catalog's entry; that it can be decoded proves that it can be edited."""

    tap_stream_id: str
    stream: str = ""
    schema: dict[str, Any] = {}
    metadata: list[dict[str, Any]] = []


class _Catalog(msgspec.Struct):
    streams: list[_Entry]


def from_file(path: str) -> bytes:
    """The catalog that the configuration names; FatalError where there is none."""
    try:
        with Path(path).open("rb") as file:
            body = file.read(MOST_CATALOG_BYTES + 1)
    except OSError as error:
        raise FatalError(f"the catalog {path} cannot be read: {error.strerror}") from None
    return checked(body, f"the catalog {path}")


def checked(body: bytes, what: str) -> bytes:
    """`body` where it is a catalog; FatalError otherwise."""
    if len(body) > MOST_CATALOG_BYTES:
        raise FatalError(
            f"{what} has more than {MOST_CATALOG_BYTES} bytes; name a smaller one with `catalog`"
        )
    try:
        msgspec.json.decode(body, type=_Catalog)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FatalError(f'{what} is no Singer catalog: {{"streams": [{{"tap_stream_id": …}}]}}') from None
    return body


def missing(body: bytes, settings: SingerSettings) -> tuple[list[str], list[str]]:
    """The configured streams that the catalog does not have, and those that it has."""
    there = [_id(entry) for entry in _entries(msgspec.json.decode(body))]
    called = {name for entry in _entries(msgspec.json.decode(body)) for name in _names(entry)}
    return [name for name in (*settings.streams, *settings.also_select) if name not in called], there


def check_streams(body: bytes, settings: SingerSettings) -> None:
    """FatalError where the tap does not have a stream that the configuration names."""
    lacking, there = missing(body, settings)
    if lacking:
        listed = ", ".join(there[:MOST_NAMED]) + (", …" if len(there) > MOST_NAMED else "")
        raise FatalError(f"{settings.tap} has no stream {lacking[0]}; it has: {listed or 'none'}")


def choose(body: bytes, stream: str, settings: SingerSettings) -> Chosen:
    """The catalog with `stream`, what it needs besides, and nothing else selected.

    Everything else is said to be not selected, and not left out: some taps select what no catalog mentions.
    """
    check_streams(body, settings)
    catalog = msgspec.json.decode(body)
    entries = _entries(catalog)
    ours = _find(entries, stream)
    needed = [_find(entries, name) for name in settings.also_select]
    for entry in entries:
        _set_root(entry, selected=entry is ours or any(entry is other for other in needed))
    for entry in needed:
        _select_fields(entry, ())
    selection = settings.select.get(stream, SingerSelection())
    _select_fields(ours, selection.fields)
    _override(ours, selection)
    return Chosen(msgspec.json.encode(catalog), frozenset(_names(ours)), _method(ours))


def _entries(catalog: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = catalog["streams"]
    return found


def _id(entry: Mapping[str, Any]) -> str:
    return str(entry["tap_stream_id"])


def _names(entry: Mapping[str, Any]) -> set[str]:
    return {_id(entry), *(str(entry[name]) for name in ("stream", "stream_alias") if entry.get(name))}


def _find(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """By its id, which is unique; else by the name that its messages bear."""
    by_id = [entry for entry in entries if _id(entry) == name]
    return (by_id or [entry for entry in entries if name in _names(entry)])[0]


def _metadata(entry: dict[str, Any], *breadcrumb: str) -> Metadata:
    """The metadata at a place, made where there are none."""
    for found in entry.setdefault("metadata", []):
        if tuple(found.get("breadcrumb") or ()) == breadcrumb:
            inner: Metadata = found.setdefault("metadata", {})
            return inner
    made: Metadata = {}
    entry["metadata"].append({"breadcrumb": list(breadcrumb), "metadata": made})
    return made


def _set_root(entry: dict[str, Any], *, selected: bool) -> None:
    if not entry.get("metadata") or "selected" in entry.get("schema", {}):
        # How it was said before there were metadata; some taps still look only there.
        entry.setdefault("schema", {})["selected"] = selected
    root = _metadata(entry)
    root.setdefault("inclusion", "available")
    root["selected"] = selected


def _select_fields(entry: dict[str, Any], fields: tuple[str, ...]) -> None:
    """All members, or those named; what a catalog says of a member by hand stands where none are named."""
    for name in entry.get("schema", {}).get("properties") or {}:
        found = _metadata(entry, "properties", name)
        inclusion = found.setdefault("inclusion", "available")
        if inclusion == "automatic":
            found["selected"] = True
        elif inclusion == "unsupported":
            found["selected"] = False
        elif fields:
            found["selected"] = name in fields
        else:
            found.setdefault("selected", found.get("selected-by-default", True))


def _override(entry: dict[str, Any], selection: SingerSelection) -> None:
    root = _metadata(entry)
    for name, value in (
        ("replication-method", selection.replication_method),
        ("replication-key", selection.replication_key),
    ):
        if value is not None:
            root[name] = value
            entry[name.replace("-", "_")] = value


def _method(entry: dict[str, Any]) -> str:
    root = _metadata(entry)
    found = root.get("replication-method") or root.get("forced-replication-method")
    return str(found or entry.get("replication_method") or "")
