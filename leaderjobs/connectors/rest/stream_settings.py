"""What a stream of `connector = "rest"` takes in the configuration: `[connections.NAME.streams.STREAM]`.

A stream says what is asked for, where in an answer its records are, what tells one from all others, and how
the next page is found. With `incremental` a sync asks only for what is newer than what it has; without, a
sync reads the whole listing, and what the listing no longer holds is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from leaderjobs.connectors.rest.times import PATTERN_ALLOWED, Form, is_form
from leaderjobs.connectors.rest.words import (
    DOTTED,
    PATH,
    check_filled,
    check_headers,
    check_only,
)
from leaderjobs.connectors.templates import names_in
from leaderjobs.model.stream import ColumnType
from leaderjobs.values import Duration

SINCE, UNTIL = "since", "until"
MOST_PARENTS = 3
"""Streams above a stream, and theirs."""
MOST_PAGE_SIZE = 100_000

_SQL_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_SELECTOR = re.compile(r"[^.\s]+(\.[^.\s]+)*|")
_PARAMETER = re.compile(r"[^\s=&#]{1,100}")
_OWN_COLUMNS = frozenset({"cluster", "connection", "id", "doc", "ord", "deleted_at", "synced_at"})


class RestPagination(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `pagination` of a stream: how the next page is asked for, and when there is none."""

    kind: Literal["none", "page_number", "offset", "cursor", "link_header", "next_url"] = "none"
    parameter: str = ""
    """What carries the page's number, offset or cursor: of the query, or a dotted path in the body."""
    into: Literal["query", "body"] = "query"
    first: int | None = None
    """The first page's number; 1 unless given."""
    next: str = ""
    """Where in an answer the next page's cursor or URL is."""
    header: str = ""
    """The answer's header with the next page's cursor."""
    last: str = ""
    """Where in the page's last record the value is that is the next page's cursor."""
    page_size: int | None = None
    size_parameter: str = ""
    """What carries `page_size`."""
    has_more: str = ""
    """Where in an answer it says whether there is another page: true or false."""
    total: str = ""
    """Where in an answer the number of all records is."""
    total_pages: str = ""
    short_page_ends: bool = False
    """Whether a page with less than `page_size` records is the last one."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        check_only(self, self.kind, _FIELDS[self.kind])
        for key, path in (("next", self.next), ("last", self.last), ("has_more", self.has_more),
                          ("total", self.total), ("total_pages", self.total_pages)):  # fmt: skip
            if path and DOTTED.fullmatch(path) is None:
                raise ValueError(f'{key}: allowed: a dotted path into the answer, such as "meta.{key}"')
        for key, name in (("parameter", self.parameter), ("size_parameter", self.size_parameter)):
            if name and _PARAMETER.fullmatch(name) is None:
                raise ValueError(f'{key}: allowed: the name of a parameter, such as "page"')
        self._check_kind()
        self._check_size()

    def _check_kind(self) -> None:
        if self.kind == "next_url" and not self.next:
            raise ValueError("next is missing; it says where in an answer the next page's URL is")
        if self.kind == "cursor":
            if not self.parameter:
                raise ValueError("parameter is missing; it says what carries the cursor")
            if sum(map(bool, (self.next, self.header, self.last))) != 1:
                raise ValueError(
                    "one of next, header and last is needed; it says where the cursor comes from"
                )
        if self.first is not None and not 0 <= self.first <= 1:
            raise ValueError("first: allowed: 0, 1")
        if self.into == "body" and self.parameter and DOTTED.fullmatch(self.parameter) is None:
            raise ValueError('parameter: allowed: a dotted path into the body, such as "variables.after"')

    def _check_size(self) -> None:
        if self.page_size is not None and not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")
        if self.size_parameter and self.page_size is None:
            raise ValueError("size_parameter: allowed: only with page_size")
        if self.short_page_ends and self.page_size is None:
            raise ValueError("short_page_ends: allowed: only with page_size")
        if self.short_page_ends and (self.has_more or self.total or self.total_pages):
            raise ValueError("short_page_ends: allowed: without has_more, total and total_pages, which tell")


_SIZE = frozenset({"page_size", "size_parameter", "total", "into"})
_FIELDS: Mapping[str, frozenset[str]] = {
    "none": frozenset({"total"}),
    "page_number": _SIZE | {"parameter", "first", "has_more", "total_pages", "short_page_ends"},
    "offset": _SIZE | {"parameter", "has_more", "short_page_ends"},
    "cursor": _SIZE | {"parameter", "next", "header", "last", "has_more", "short_page_ends"},
    "link_header": _SIZE,
    "next_url": _SIZE | {"next", "has_more"},
}


class RestIncremental(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `incremental` of a stream: how to ask only for what is newer."""

    cursor: str
    """Where in a record the value is that the API compares."""
    parameter: str = ""
    """Of the query; a template may hold {since} instead."""
    until_parameter: str = ""
    """Of the query: the end of a span, for `enqueue --until`."""
    format: str = "datetime"
    """How the parameter is written."""
    row_format: str = ""
    """How records have it, where that differs."""
    initial: str | int | None = None
    """What the first sync asks for; left out, everything."""
    look_back: Duration = Duration(0)
    """How much earlier than what we have is asked for, for records that appear late."""
    sorted: Literal["ascending"] | None = None
    """Whether the API lists by this value, lowest first: then the next page is asked for from there on."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if DOTTED.fullmatch(self.cursor) is None:
            raise ValueError('cursor: allowed: a dotted path into a record, such as "updated_at"')
        for key, name in (("parameter", self.parameter), ("until_parameter", self.until_parameter)):
            if name and _PARAMETER.fullmatch(name) is None:
                raise ValueError(f'{key}: allowed: the name of a parameter, such as "updated_since"')
        for key, form in (("format", self.format), ("row_format", self.row_format)):
            if form and not is_form(form):
                raise ValueError(f"{key}: allowed: {PATTERN_ALLOWED}")
        self._check_times()

    def _check_times(self) -> None:
        if not self.is_timed and self.look_back:
            raise ValueError('look_back: allowed: not with format = "text"')
        if not self.is_timed and self.until_parameter:
            raise ValueError('until_parameter: allowed: not with format = "text"')
        if self.is_timed != Form(self.row_format or self.format).timed:
            raise ValueError('row_format: allowed: "text" with format = "text" only')
        if self.initial is not None:
            try:
                Form(self.format).read(self.initial)
            except ValueError as error:
                raise ValueError(f"initial: allowed: {error}") from None

    @property
    def is_timed(self) -> bool:
        """Whether the values are instants, so that they can be counted back from."""
        return Form(self.format).timed

    def initial_value(self) -> str | int | datetime | None:
        """What `initial` means."""
        return None if self.initial is None else Form(self.format).read(self.initial)


class RestDeleted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `deleted` of a stream: which records say that they are gone."""

    member: str
    """Dotted path in a record."""
    values: tuple[str, ...] = ()
    """As text; left out: anything but null, false and nothing at all, as in `deleted_at`."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if DOTTED.fullmatch(self.member) is None:
            raise ValueError('member: allowed: a dotted path into a record, such as "deleted_at"')


class RestColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of `columns`: a value that people query."""

    path: str = ""
    """Dotted, in a record; left out, the column's name."""
    type: ColumnType = ColumnType.TEXT
    comment: str = ""
    indexed: bool = False

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if self.path and DOTTED.fullmatch(self.path) is None:
            raise ValueError('path: allowed: a dotted path into a record, such as "user.login"')


class RestStreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stream; texts of path, parameters and body may hold {since}, {until} and {parent.MEMBER}."""

    path: str
    method: Literal["GET", "POST"] = "GET"
    """POST for an API that is asked by a body, and acts on nothing."""
    parameters: dict[str, Any] = {}
    """Of the query; a list repeats its name."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    """Of this stream's requests, such as Accept."""
    records: str = ""
    """Where in an answer the records are; `*` stands for every element; empty: the answer itself."""
    missing: Literal["fail", "empty"] = "fail"
    """What an answer without `records` is; some APIs leave out what is empty."""
    key: str | tuple[str, ...]
    """The member, or members, at the top of a record that tell it from all others."""
    add: dict[str, str] = {}
    """Members put into every record, such as the parent's id."""
    pagination: RestPagination = RestPagination()
    incremental: RestIncremental | None = None
    deleted: RestDeleted | None = None
    parent: str = ""
    """The stream for each of whose records this one is listed."""
    parents: tuple[dict[str, Any], ...] = ()
    """The same with records that are told here, and not by the API."""
    full: bool | None = None
    """Whether a sync lists everything there is, so that what is not listed is gone."""
    columns: dict[str, RestColumn] = {}
    comment: str = ""
    retryable: tuple[int, ...] = ()
    """Statuses besides 408, 425, 429 and 5xx that pass by themselves."""
    absent: tuple[int, ...] = ()
    """Statuses that say that there are no records, such as 404."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if PATH.fullmatch(self.path) is None:
            raise ValueError('path: allowed: a path from base_url on, such as "/orgs/{parent.id}/members"')
        check_headers(self.headers)
        if self.body is not None and self.method != "POST":
            raise ValueError('body: allowed: only with method = "POST"')
        if _SELECTOR.fullmatch(self.records) is None:
            raise ValueError('records: allowed: a dotted path into the answer, such as "data.items"')
        self._check_statuses()
        self._check_members()
        self._check_templates()
        self._check_incremental()
        if self.pagination.into == "body" and self.body is None and self.method != "POST":
            raise ValueError('pagination: into = "body" needs method = "POST"')

    @property
    def keys(self) -> tuple[str, ...]:
        """`key` as what it is."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def nested(self) -> bool:
        """Whether it is listed once for each of some records."""
        return bool(self.parent or self.parents)

    @property
    def lists_all(self) -> bool:
        """Whether what a sync does not list is gone."""
        return self.incremental is None if self.full is None else self.full

    @property
    def names(self) -> frozenset[str]:
        """Everything in braces."""
        return names_in([self.path, _listed(self.parameters), self.body, dict(self.add)])

    def _check_statuses(self) -> None:
        if any(not 400 <= status < 500 or status in {401, 429} for status in self.retryable):
            raise ValueError("retryable: allowed: statuses from 400 to 499, but not 401 and 429")
        if any(not 400 <= status < 500 or status in {401, 429} for status in self.absent):
            raise ValueError("absent: allowed: statuses from 400 to 499, but not 401 and 429")

    def _check_members(self) -> None:
        if not self.keys or not all(self.keys) or len(set(self.keys)) != len(self.keys):
            raise ValueError('key: allowed: the name of a member, such as "id", or a list of different ones')
        for name in self.columns:
            if _SQL_NAME.fullmatch(name) is None or name in _OWN_COLUMNS:
                raise ValueError(
                    "columns: allowed: names of up to 50 small letters, digits and underscores, but not "
                    + ", ".join(sorted(_OWN_COLUMNS))
                )
        if any(not name or "\0" in name for name in self.add):
            raise ValueError("add: allowed: names of members and their texts")

    def _check_templates(self) -> None:
        known = [SINCE, UNTIL] if self.incremental is not None and self.incremental.is_timed else []
        known += [SINCE] if self.incremental is not None else []
        texts: list[tuple[str, object]] = [
            ("path", self.path),
            ("parameters", _listed(self.parameters)),
            ("body", self.body),
            ("add", dict(self.add)),
        ]
        for key, document in texts:
            try:
                of_parents = [name for name in names_in(document) if name.startswith("parent.")]
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
            if of_parents and not self.nested:
                raise ValueError(f"{key}: {{{of_parents[0]}}} needs parent, the name of a stream, or parents")
            check_filled(key, document, {*([] if key == "add" else known), *of_parents})
        if self.parent and not any(name.startswith("parent.") for name in self.names):
            raise ValueError("parent: allowed: with {parent.MEMBER} in path, parameters or body")
        if self.parents:
            self._check_parents()

    def _check_parents(self) -> None:
        if self.parent:
            raise ValueError("parents: allowed: not beside parent")
        wanted = {name.removeprefix("parent.") for name in self.names if name.startswith("parent.")}
        each = [set(record) for record in self.parents]
        values = [value for record in self.parents for value in record.values()]
        if not wanted or any(wanted - names for names in each) or "" in values:
            raise ValueError("parents: allowed: tables that all have each {parent.MEMBER} that is used")
        if not all(isinstance(value, str | int) for value in values):
            raise ValueError("parents: allowed: tables of texts, whole numbers, true or false")

    def _check_incremental(self) -> None:
        found = self.incremental
        if found is None:
            return
        named = self.names
        if not found.parameter and SINCE not in named:
            raise ValueError("incremental: parameter is missing, or {since} in path, parameters or body")
        if SINCE in named and found.initial is None:
            raise ValueError("incremental: initial is missing; the first sync has nothing else for {since}")
        if self.full:
            raise ValueError("full: allowed: not with incremental, which lists only what is newer")
        if self.nested and not found.is_timed:
            raise ValueError('incremental: format = "text" is not allowed with a parent; use a time')
        if self.nested and found.sorted:
            raise ValueError("incremental: sorted is not allowed with a parent: each one begins anew")


def check_streams(streams: Mapping[str, RestStreamSettings]) -> None:
    """ValueError for names that cannot be tables, and for parents that are not there."""
    for name, stream in streams.items():
        if _SQL_NAME.fullmatch(name) is None:
            raise ValueError(
                f"streams.{name}: bad name; allowed: up to 50 small letters, digits and underscores"
            )
        if stream.parent and stream.parent not in streams:
            raise ValueError(
                f"streams.{name}: parent {stream.parent!r} is no stream; allowed: {_others(streams, name)}"
            )
        above = stream
        for _ in range(MOST_PARENTS):
            if not above.parent:
                break
            above = streams.get(above.parent, stream)
        if above.parent:
            raise ValueError(
                f"streams.{name}: more than {MOST_PARENTS} parents above it, or itself among them"
            )


def _others(streams: Mapping[str, RestStreamSettings], name: str) -> str:
    return ", ".join(other for other in streams if other != name) or "none; there is no other"


def _listed(parameters: Mapping[str, object]) -> object:
    """For the names in them; ValueError for a value that no query can carry."""
    for name, value in parameters.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int) for each in values):
            raise ValueError(
                f"parameters: {name}: allowed: a text, a whole number, true or false, or a list of them"
            )
    return dict(parameters)
