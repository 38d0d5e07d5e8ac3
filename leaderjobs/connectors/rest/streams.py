"""Reading a stream that the configuration declares.

A stream without `incremental` is walked from its first page to its last, and what the walk has not met is
gone (WALK … SWEEP). One with it is asked for what is newer than the marker's `since`, and its pages land as
they come. `since` moves when the listing is over, and never beyond the instant at which the listing began: a
row that changes meanwhile on a page that we have passed may be lower than one on a page still to come. Where
the API sorts by the value, the next page is asked for from the value that the last one reached, so that rows
which change, and move to the end, cannot push others past us.

A child is listed once for each record of its parent, whose pages are asked for as they are needed. When the
place that a marker holds is no longer there (the API refuses the cursor, the parent's record is gone, the
declaration has changed), the listing begins anew, and the walk forgets what it has met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from msgspec import Raw

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.rest.client import Asked, RestClient, Told
from leaderjobs.connectors.rest.pagination import Page, Pagination, Spot
from leaderjobs.connectors.rest.place import Anchor, Place, State, Walk
from leaderjobs.connectors.rest.request import Bounds, asked_since, request, values_of
from leaderjobs.connectors.rest.rows import NOTHING, Rows, print_of
from leaderjobs.connectors.rest.stream_settings import UNTIL, RestStreamSettings
from leaderjobs.connectors.rest.times import Form, Value, kept
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Column, CursorKind, Stream

STALE = frozenset({"http_400", "http_404", "http_410", "http_422"})
"""Codes of what an API answers to a cursor that it no longer knows."""
Chain = tuple[Raw, ...]
"""The records of the parents that a listing belongs to, the nearest one last."""


class _Lost(Exception):
    """The place that the marker holds is not there any more."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A page, where it is, and where to go on."""

    told: Told
    page: Page
    at: Place
    after: Place
    chain: Chain
    total: int | None


class StreamReader:
    """One stream, for one `read`."""

    def __init__(
        self,
        name: str,
        streams: Mapping[str, RestStreamSettings],
        client: RestClient,
        most_pages: int,
        context: ReadContext,
    ) -> None:
        """`streams` are all of the connection: a parent is one of them."""
        self._name = name
        self._declared = streams[name]
        self._streams = streams
        self._client = client
        self._most_pages = most_pages
        self._context = context
        self._window = context.window
        self._rows = Rows(name, self._declared)
        self._print = _print_of(name, streams)

    def read(self, cursor: Cursor | None) -> Iterator[Batch]:
        """As the contract of a connector says."""
        state = State.parse(cursor)
        if state.over:
            return
        if self._window is not None and self._window.until is not None and not self._ends():
            self._context.log(f"{self._name} has no until_parameter: what is newer is read too")
        if state.walk is not None and state.walk.of != self._print:
            state = self._restarted(state, otherwise=True)
            yield self._restart(state, "the stream is declared otherwise")
        try:
            yield from self._listed(state)
        except _Lost:
            state = self._restarted(state, otherwise=False)
            yield self._restart(state, "its place in the listing is gone")
            yield from self._listed(state)

    def _listed(self, state: State) -> Iterator[Batch]:
        """From where the state stands to the end; _Lost, before anything else, where that is nowhere."""
        declared, began = self._declared, state.walk.began if state.walk else clock.now()
        walk: Walk | None = state.walk or Walk(self._print, began, Place())
        highest: Value | None = None
        while walk is not None:
            highest, asked, here = self._value(walk.highest), self._asked(state, walk), walk
            walk = None
            for found in self._pages(self._name, here.place, began, asked):
                values = self._rows.values(found.page.rows)
                highest = self._rows.highest(values, highest)
                if found.after.done and not declared.nested:
                    ended = self._ended(state, highest, began)
                    if found.page.rows or declared.lists_all or ended != state:
                        yield self._batch(found, ended, last=True)
                    break
                here = replace(here, place=found.after, highest=None if highest is None else kept(highest))
                walk = self._stepped(here, values, asked)
                yield self._batch(found, replace(state, walk=walk or here), last=False)
                if walk is not None:
                    break
        if declared.nested:
            # Which record of the parent is the last one is known only when there is no other.
            yield self._batch(None, self._ended(state, highest, began), last=True)

    def _stepped(self, walk: Walk, values: list[Value], asked: Value | None) -> Walk | None:
        """The walk from the highest value of a page on, where the API sorts by it.

        So it does not matter that rows move between pages. From the one before the highest: where an API
        leaves out what is equal to what it is asked for, the next page could have more rows of the highest.
        None where the page has only one value, or none that is new.
        """
        incremental = self._declared.incremental
        if incremental is None or incremental.sorted is None:
            return None
        highest, form = self._rows.highest(values), Form(incremental.format)
        reached = self._rows.highest(value for value in values if value != highest)
        if isinstance(reached, datetime):
            reached = min(reached, walk.began)
        if reached is None or (asked is not None and self._rows.higher(reached, asked) == asked):
            return None
        if asked is not None and form.write(reached) == form.write(asked):
            return None
        return replace(walk, place=Place(Spot(pages=walk.place.spot.pages)), asked=kept(reached))

    def _pages(self, name: str, start: Place, began: datetime, since: Value | None) -> Iterator[_Found]:
        """Every page of a stream, of all its parents' records, from a place on."""
        declared = self._streams[name]
        if not declared.nested:
            yield from self._listing(name, start, (), Bounds(since, self._until(name), began))
            return
        resumed: Place | None = start if start.anchor is not None else None
        parents = (
            _told(declared.parents, start.anchor)
            if declared.parents
            else self._parents(declared.parent, start.anchor, began)
        )
        for anchor, chain in parents:
            place = replace(resumed or Place(), anchor=anchor)
            resumed = None
            if not place.done:
                yield from self._listing(name, place, chain, Bounds(since, self._until(name), began))

    def _parents(self, name: str, anchor: Anchor | None, began: datetime) -> Iterator[tuple[Anchor, Chain]]:
        """The records of a parent, from one on."""
        rows = Rows(name, self._streams[name])
        since = asked_since(self._streams[name], None)
        for found in self._pages(name, Place() if anchor is None else anchor.place, began, since):
            prints = [rows.print(row) for row in found.page.rows]
            first = 0 if anchor is None else _located(prints, anchor)
            anchor = None
            for index, row in enumerate(found.page.rows[first:], start=first):
                if not rows.is_gone(row):
                    yield Anchor(found.at, index, prints[index]), (*found.chain, row)
        if anchor is not None:
            raise _Lost

    def _listing(self, name: str, start: Place, chain: Chain, bounds: Bounds) -> Iterator[_Found]:
        """The pages of one listing, from a spot on."""
        declared = self._streams[name]
        pagination, rows = Pagination(declared.pagination, name, self._client.words), Rows(name, declared)
        values = values_of(name, declared, bounds, chain)
        spot: Spot | None = start.spot
        while spot is not None:
            if spot.pages >= self._most_pages:
                raise FatalError(
                    f"stream {name}: a listing has not ended after {self._most_pages} pages; raise most_pages"
                )
            until = bounds.until is not None
            asked = request(name, declared, self._client.base, pagination, spot, values, until=until)
            try:
                told = self._client.ask(asked, self._context)
            except FatalError as error:
                if spot is start.spot and spot.page is not None and pagination.opaque and error.code in STALE:
                    raise _Lost from None
                raise
            page = Page(told.document, rows.of(told, values), told.headers, told.url)
            following = pagination.following(spot, page, print_of(b"\n".join(map(bytes, page.rows))))
            at, after = replace(start, spot=spot), replace(start, spot=following or Spot())
            done = replace(after, done=following is None)
            yield _Found(told, page, at, done, chain, pagination.total(page))
            spot = following

    def _batch(self, found: _Found | None, state: State, *, last: bool) -> Batch:
        landed = NOTHING if found is None else self._rows.landed(found.told, found.page.rows)
        landing = Landing.UPSERT
        if self._declared.lists_all:
            landing = Landing.SWEEP if last else Landing.WALK
        return Batch(
            self._name,
            landed.body,
            (landed.upserts,),
            landed.deletes,
            state.cursor(),
            landing,
            landed.rows,
            total=found.total if found is not None and self._counts() else None,
        )

    def _restart(self, state: State, why: str) -> Batch:
        self._context.log(f"{self._name}: {why}; beginning anew")
        return Batch(self._name, b"{}", (), None, state.cursor(), Landing.RESTART, 0)

    def _restarted(self, state: State, *, otherwise: bool) -> State:
        """Back to the beginning of the listing, or to what a sorted one is asked for from on."""
        walk = state.walk
        if walk is None or walk.asked is None or otherwise:
            return State(state.since)
        return replace(state, walk=replace(walk, place=Place(Spot(pages=walk.place.spot.pages))))

    def _ended(self, state: State, highest: Value | None, began: datetime) -> State:
        """After a whole listing."""
        if self._window is not None:
            return State(over=True)
        since = self._value(state.since)
        if isinstance(highest, datetime):
            highest = min(highest, began)
        if since is not None and highest is not None:
            highest = self._rows.higher(since, highest)
        found = since if highest is None else highest
        return State(None if found is None else kept(found))

    def _asked(self, state: State, walk: Walk) -> Value | None:
        """What to ask for."""
        if walk.asked is not None:
            return self._value(walk.asked)
        if self._window is not None:
            return self._window.since or asked_since(self._declared, None)
        return asked_since(self._declared, self._value(state.since))

    def _until(self, name: str) -> datetime | None:
        return self._window.until if self._window is not None and name == self._name else None

    def _counts(self) -> bool:
        """Whether the API's total is that of the whole read."""
        incremental = self._declared.incremental
        return not self._declared.nested and (incremental is None or incremental.sorted is None)

    def _ends(self) -> bool:
        """Whether the API can be asked to stop at an instant."""
        incremental = self._declared.incremental
        return UNTIL in self._declared.names or (
            incremental is not None and incremental.until_parameter != ""
        )

    def _value(self, found: str | int | None) -> Value | None:
        """What a marker keeps of a value, as it is compared."""
        incremental = self._declared.incremental
        if found is None or incremental is None or not incremental.is_timed:
            return found
        try:
            return Form("datetime").read(found)
        except ValueError:
            raise FatalError(
                f"stream {self._name}: the marker holds no instant; run the configuration that wrote it, "
                "or reset the stream"
            ) from None


def _told(parents: Sequence[Mapping[str, object]], anchor: Anchor | None) -> Iterator[tuple[Anchor, Chain]]:
    """The records of a parent that the configuration tells, from one on."""
    rows = [msgspec.json.encode(record) for record in parents]
    prints = [print_of(row) for row in rows]
    first = 0 if anchor is None else _located(prints, anchor)
    for at, row in enumerate(rows[first:], start=first):
        yield Anchor(Place(), at, prints[at]), (Raw(row),)


def _located(prints: list[str], anchor: Anchor) -> int:
    """Where the record is now."""
    if anchor.index < len(prints) and prints[anchor.index] == anchor.print:
        return anchor.index
    if anchor.print in prints:
        return prints.index(anchor.print)
    raise _Lost


def _print_of(name: str, streams: Mapping[str, RestStreamSettings]) -> str:
    """Of all that says what is asked for, and where."""
    text = b""
    while name:
        found = streams[name]
        text += msgspec.json.encode(
            [found.path, found.parents, found.method, found.parameters, found.body, found.records,
             found.pagination,
             found.incremental and [found.incremental.parameter, found.incremental.format]]
        )  # fmt: skip
        name = found.parent
    return print_of(text)


def described(name: str, declared: RestStreamSettings) -> Stream:
    """What the declaration is to everybody else."""
    incremental = declared.incremental
    if declared.lists_all:
        kind = CursorKind.FULL
    elif incremental is not None and declared.deleted is not None:
        kind = CursorKind.CHANGES
    else:
        kind = CursorKind.NEWER
    return Stream(
        name=name,
        key=declared.keys,
        comment=declared.comment or f"{declared.method} {declared.path}",
        columns=tuple(
            Column(column, each.type, tuple((each.path or column).split(".")), each.comment, each.indexed)
            for column, each in declared.columns.items()
        ),
        cursor=kind,
        cost=_cost(declared),
        windowed=incremental is not None and incremental.is_timed,
    )


def first_request(streams: Mapping[str, RestStreamSettings], client: RestClient) -> Asked | None:
    """The first page of the first stream that needs no parent."""
    for name, declared in streams.items():
        if not declared.nested:
            bounds = Bounds(asked_since(declared, None), None, clock.now())
            pagination = Pagination(declared.pagination, name, client.words)
            values = values_of(name, declared, bounds, ())
            return request(name, declared, client.base, pagination, Spot(), values, until=False)
    return None


def _cost(declared: RestStreamSettings) -> str:
    paged = declared.pagination.kind != "none"
    size = declared.pagination.page_size
    each = f"page of {size}" if size else "page"
    what = f"one request per {each}" if paged else "one request"
    if declared.parents:
        return f"{what} for each of {len(declared.parents)} parents"
    if declared.parent:
        return f"{what} for each of {declared.parent}, and the pages of {declared.parent}"
    return what
