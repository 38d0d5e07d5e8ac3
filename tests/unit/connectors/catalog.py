"""What the tests of declared streams share: a connection to the catalog, and a table for one of its streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.connectors.rest.settings import RestSettings
from leaderjobs.sandbox.catalog.sandbox import CatalogSandbox
from leaderjobs.testing import Clock, Context, Table

PAGE = 10
SIZED: dict[str, Any] = {"page_size": PAGE, "size_parameter": "limit"}
ITEM: dict[str, Any] = {
    "key": "id",
    "columns": {
        "name": {},
        "price": {"type": "numeric", "comment": "In euros"},
        "available": {"type": "boolean"},
        "updated_at": {"type": "timestamptz", "indexed": True},
        "owner_name": {"path": "owner.name"},
    },
}
STREAMS: dict[str, dict[str, Any]] = {
    "plain": {"path": "/plain", **ITEM},
    "numbered": {
        "path": "/numbered",
        "records": "items",
        "pagination": {"kind": "page_number", "page_size": PAGE, "size_parameter": "per_page",
                       "total_pages": "info.pages", "total": "info.total"},
        **ITEM,
    },
    "offset": {
        "path": "/offset",
        "records": "items",
        "pagination": {"kind": "offset", "total": "total", **SIZED},
        **ITEM,
    },
    "cursor": {
        "path": "/cursor",
        "records": "data.items",
        "pagination": {"kind": "cursor", "parameter": "cursor", "next": "meta.next", **SIZED},
        **ITEM,
    },
    "last": {
        "path": "/last",
        "records": "data",
        "pagination": {"kind": "cursor", "parameter": "after", "last": "id", "has_more": "has_more", **SIZED},
        **ITEM,
    },
    "posted": {
        "path": "/query",
        "method": "POST",
        "body": {"query": {"text": "{{ items }}"}, "variables": {"first": PAGE}},
        "records": "data.items",
        "pagination": {"kind": "cursor", "parameter": "variables.after", "into": "body", "next": "meta.next"},
        **ITEM,
    },
    "linked": {"path": "/linked", "pagination": {"kind": "link_header", **SIZED}, **ITEM},
    "chained": {
        "path": "/chained",
        "records": "results",
        "pagination": {"kind": "next_url", "next": "next", **SIZED},
        **ITEM,
    },
    "relative": {
        "path": "/chained?relative=1",
        "records": "results",
        "pagination": {"kind": "next_url", "next": "next", **SIZED},
        **ITEM,
    },
    "changes": {
        "path": "/changes",
        "records": "data.items",
        "pagination": {"kind": "cursor", "parameter": "cursor", "next": "meta.next", **SIZED},
        "incremental": {"cursor": "updated_at", "parameter": "updated_since",
                        "until_parameter": "updated_before"},
        "deleted": {"member": "deleted_at"},
        **ITEM,
    },
    "sorted": {
        "path": "/changes/numbered",
        "parameters": {"sort": "updated"},
        "records": "items",
        "pagination": {"kind": "page_number", "page_size": PAGE, "size_parameter": "per_page",
                       "has_more": "info.has_more", "total": "info.total"},
        "incremental": {"cursor": "updated_at", "parameter": "updated_since", "sorted": "ascending"},
        "deleted": {"member": "deleted_at"},
        **ITEM,
    },
    "groups": {"path": "/groups", "records": "data", "key": "id", "columns": {"size": {"type": "numeric"}}},
    "members": {
        "path": "/groups/{parent.id}/items",
        "parent": "groups",
        "records": "results",
        "add": {"group": "{parent.id}"},
        "pagination": {"kind": "next_url", "next": "next", **SIZED},
        **ITEM,
        "key": ["group", "id"],
    },
}  # fmt: skip
KINDS = ("plain", "numbered", "offset", "cursor", "last", "posted", "linked", "chained", "relative")
"""Streams without a parent that are listed whole."""


def decoded(kind: Any, values: dict[str, Any]) -> Any:
    """Settings as the configuration makes them, secrets and durations from their texts."""
    return msgspec.convert(values, kind, dec_hook=lambda inner, value: inner.parse(value))


def settings(sandbox: CatalogSandbox, *names: str, **other: Any) -> RestSettings:
    """A connection with some of the streams, all of them unless told."""
    values = {
        "base_url": sandbox.base_url,
        "auth": {"kind": "bearer", "token": sandbox.token},
        "check_path": "/me",
        "timeout": "10s",
        "rate_limit": "1000000/s",
        "streams": {name: STREAMS[name] for name in names or STREAMS},
    }
    found: RestSettings = decoded(RestSettings, values | other)
    return found


def catalog(sandbox: CatalogSandbox, *names: str, clock: Clock | None = None, **other: Any) -> RestConnector:
    """A connector to the sandbox; the caller closes it."""
    return RestConnector("shop", settings(sandbox, *names, **other), Paces(elapsed=clock or Clock()))


@contextmanager
def connected(sandbox: CatalogSandbox, *names: str, **other: Any) -> Iterator[RestConnector]:
    """The same, closed in the end."""
    made = catalog(sandbox, *names, **other)
    try:
        yield made
    finally:
        made.close()


def table(sandbox: CatalogSandbox, name: str, **other: Any) -> Table:
    """An empty table of a stream."""
    streams = RestConnector.streams_of("shop", settings(sandbox, **other))
    return Table(next(stream for stream in streams if stream.name == name))


def synced(sandbox: CatalogSandbox, into: Table, context: Context | None = None, **other: Any) -> Table:
    """The table, once a new process has read to the end from where its marker stands."""
    with connected(sandbox, *([] if other else _needed(into.stream.name)), **other) as made:
        into.sync(made, into.stream.name, context)
    return into


def _needed(name: str) -> list[str]:
    """The stream and its parents: reading all of the settings takes longer than the sync."""
    parent = STREAMS[name].get("parent")
    return [name, *(_needed(parent) if parent else [])]


def truth(sandbox: CatalogSandbox, name: str) -> dict[str, Any]:
    """What its table must hold."""
    return sandbox.rows(name if name in {"groups", "members"} else "items")


def asked(sandbox: CatalogSandbox) -> int:
    return sum(sandbox.requests().values())


def part(sandbox: CatalogSandbox, into: Table, pages: int, ahead: int = 0, **other: Any) -> Table:
    """The table, once a process has died after so many pages, with one more fetched and lost where `ahead`."""
    with connected(sandbox, **other) as made:
        read = made.read(into.stream.name, into.cursor, Context())
        for number, batch in enumerate(islice(read, pages + ahead)):
            if number < pages:
                into.commit(batch)
    return into


def changed(name: str, **values: Any) -> dict[str, Any]:
    """The streams, with one declared otherwise; None leaves a key out."""
    whole = {key: value for key, value in {**STREAMS[name], **values}.items() if value is not None}
    return {"streams": {**STREAMS, name: whole}}
