"""Reading a stream of Stripe's: down its list once, then upward, and by what the events say.

Stripe lists newest first and has no `updated`. So a pull has three parts, each committed page by page:

- *backfill*: the list, downward with `starting_after`, from where it stood when it began;
- *events*: upward with `ending_before`; what an event is about lands as the event shows it, or is deleted;
- *objects*: the list again, upward from an anchor, for what is new and for kinds without events.

An upward page lies next to its anchor, so a reader that dies has left no gap behind. An object may show in
a list late: so what was not yet ten minutes old when it was read is read once more when it is. An anchor
that is gone (a customer was deleted, an event is 30 days old) is replaced by its time.

Stripe keeps events for 30 days. When more than 29 have passed since they were last read, updates and
deletions may be lost: that is logged, noted in the marker (`gap`), and the whole list is read again; where
objects can be deleted, what it does not hold any more becomes deleted.

**Order keys** are seconds of Stripe's clock. An event's is its `created`. A list's page shows its objects as
they are, so it holds the outcome of every event before it, and an older event must not undo it: its key is
the `Date` of the answer, less a minute, because a list may be read from a copy that lags behind. An event of
that minute lands over the page although the page may have been newer; the events after it mend that, as all
of them are still to be read. A change without an event, made within a minute of an event, shows only with
the next event or page. Events of one second about one object land in the order of Stripe's list, so the
later wins; read once more they land in the same order again, and between two pages the earlier of them may
stand until the next page is committed. Deletions have no successor but their own event.
A walk's last page has the key of its first: what became newer since then is spared by the sweep.

Events show an object in the API version that the *account* had then, not in the connector's pinned one: with
an older account version, a row that came by an event may lack members that the list's has, and hold others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

from msgspec.structs import replace

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Pace
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.stripe.errors import failure, missing
from leaderjobs.connectors.stripe.pull_place import SETTLING, Place, Tail
from leaderjobs.connectors.stripe.pull_source import EVENTS_PATH, Query, Source
from leaderjobs.connectors.stripe.rows import Page, changes, page_of, server_time
from leaderjobs.errors import FatalError, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Window
from leaderjobs.model.marker import Cursor

DAY = 24 * 3600
EVENTS_KEPT = 30 * DAY
MOST_EVENT_GAP = 29 * DAY
STALE = 60
"""Seconds by which a list's page may be older than its answer says."""
REFRESH = 3600
"""Seconds after which it is noted that there have been no events."""
MOST_PAGES = 1_000_000
"""Of one list in one read."""
MOST_GAPS = 2
"""Found in one read; a read does not take a month."""


class _Gap(Exception):
    """Events were lost."""

    def __init__(self, read: int, now: int) -> None:
        super().__init__(read, now)
        self.read, self.now = read, now


@dataclass(frozen=True, slots=True)
class _List:
    """What is asked for, whichever page of it."""

    path: str
    query: Query


class Pull:
    """One read of one stream."""

    def __init__(
        self,
        source: Source,
        get: Callable[[str], Answer],
        pace: Pace,
        context: ReadContext,
        page_size: int,
    ) -> None:
        """`get` sends once and gives the answer, whatever its status."""
        self._source = source
        self._get = get
        self._pace = pace
        self._context = context
        self._limit = ("limit", str(page_size))
        self._place = Place("backfill")
        self._now = 0
        self._objects = _List(source.path, source.params)
        self._events = _List(EVENTS_PATH, source.events)

    def read(self, cursor: Cursor | None) -> Iterator[Batch]:
        """As `Connector.read`."""
        window = self._context.window
        self._place = Place.parse(cursor, window=window is not None)
        if window is not None:
            yield from self._down("window", "done", _within(window))
            return
        for _ in range(MOST_GAPS):
            try:
                yield from self._on()
            except _Gap as gap:
                self._context.log(_lost(self._source.stream.name, gap))
                self._place = Place("backfill", gap=(gap.read, gap.now))
            else:
                return
            if self._source.sweeps:
                # What an earlier walk has met must not count for the next.
                yield self._batch(b"{}", (), None, 0, Landing.RESTART)
        raise TransientError(f"stripe {self._source.stream.name}: events were lost while it was read again")

    def _on(self) -> Iterator[Batch]:
        """From where the marker stands to the end."""
        yield from self._down("backfill", "tail", {})
        if self._source.events:
            yield from self._changed()
        yield from self._made()

    def _down(
        self,
        phase: Literal["backfill", "window"],
        then: Literal["tail", "done"],
        created: dict[str, int],
    ) -> Iterator[Batch]:
        """The list, newest first, to its end."""
        parts = self._source.parts
        while self._place.phase == phase:
            place = self._place
            if place.part >= len(parts) or place.page >= MOST_PAGES:
                raise FatalError(
                    f"{self._source.path} has not ended after {place.page} pages; raise page_size"
                )
            page = self._below(place, created)
            walks = phase == "backfill" and self._source.sweeps
            place = place if phase == "window" else place.begun(page.now)
            self._place = place.below(page, len(parts), then)
            if walks and self._place.phase == then:
                yield self._listed(page, Landing.SWEEP, place.began)
            else:
                yield self._listed(page, Landing.WALK if walks else Landing.UPSERT, page.now)

    def _below(self, place: Place, created: dict[str, int]) -> Page:
        """The page below where the walk down has come."""
        asked = dataclasses.replace(
            self._objects, query=(*self._objects.query, *self._source.parts[place.part])
        )
        after = (("starting_after", place.after),) if place.after else ()
        page = self._ask(asked, *_created(created), *after)
        if page is None:
            # What we had come to is gone: on from its second, some of which is read again.
            bounds = {name: bound for name, bound in created.items() if name != "lt"}
            page = self._must(asked, *_created({**bounds, "lte": place.at}))
        if page.more and page.rows[-1].id == place.after:
            raise _stuck(asked.path, place.after)
        return page

    def _changed(self) -> Iterator[Batch]:
        """What the events say."""
        stored = self._place.events
        for page, tail in self._up(self._events, stored):
            if page.rows or _moved(stored, tail, refresh=True):
                self._place, stored = replace(self._place, events=tail), tail
                body, rows = changes(self._source, page)
                yield self._batch(body, ("changed",), "gone", rows, Landing.UPSERT, ordered=True)

    def _made(self) -> Iterator[Batch]:
        """What the list holds above the anchor."""
        stored = self._place.objects
        for page, tail in self._up(self._objects, stored):
            if page.rows or _moved(stored, tail, refresh=self._source.forgets):
                self._place, stored = replace(self._place, objects=tail), tail
                yield self._listed(page, Landing.UPSERT, page.now)

    def _up(self, asked: _List, tail: Tail) -> Iterator[tuple[Page, Tail]]:
        """Pages from the tail upward, each with the tail after it."""
        tail = tail.due(max(self._now, int(clock.now().timestamp())))
        resumed, began = bool(tail.up), 0
        for _ in range(MOST_PAGES):
            page, tail = self._above(asked, tail)
            if not began and tail != (due := tail.due(page.now)):
                resumed = False
                page, tail = self._above(asked, due)
            began = began or page.now
            tail = tail.past(page)
            if not page.more and not resumed:
                tail = replace(tail, since=max(tail.since, began - SETTLING))
            yield page, tail
            if not page.more:
                return
        raise FatalError(f"{asked.path} has not ended after {MOST_PAGES} pages; raise page_size")

    def _above(self, asked: _List, tail: Tail) -> tuple[Page, Tail]:
        """The page above where the walk up has come; without the anchor where that is gone."""
        start = tail.up or tail.id
        if start:
            page = self._ask(asked, ("ending_before", start))
            if page is not None:
                if page.more and page.rows[0].id == start:
                    raise _stuck(asked.path, start)
                return page, tail
            if tail.up:
                return self._from(asked, tail.up_at), tail
            tail = tail.without_anchor()
        return self._from(asked, tail.second), tail

    def _from(self, asked: _List, second: int) -> Page:
        """The oldest page of what was made in or after a second, without anything to hold on to."""
        since = _created({"gte": second})
        page = self._must(asked, *since)
        if not page.more:
            return page
        older = self._must(asked, *_created({"lt": second}), limit=("limit", "1"))
        above = self._ask(asked, ("ending_before", older.rows[0].id)) if older.rows else None
        if above is not None:
            return above
        for _ in range(MOST_PAGES):
            last = page.rows[-1].id
            below = self._ask(asked, *since, ("starting_after", last))
            if below is None:
                raise TransientError(f"{asked.path}: {last} was deleted meanwhile", code="resource_missing")
            if not below.rows:
                break
            page = below
            if not page.more:
                break
            if page.rows[-1].id == last:
                raise _stuck(asked.path, last)
        return dataclasses.replace(page, more=True)

    def _must(self, asked: _List, *params: tuple[str, str], limit: tuple[str, str] | None = None) -> Page:
        page = self._ask(asked, *params, limit=limit)
        if page is None:
            raise FatalError(f"Stripe says that {asked.path} lacks an object that was not asked for")
        return page

    def _ask(
        self, asked: _List, *params: tuple[str, str], limit: tuple[str, str] | None = None
    ) -> Page | None:
        """A page; None where the object that it was to lie next to is gone."""
        query = urlencode([*asked.query, limit or self._limit, *params])
        beside = any(name in {"starting_after", "ending_before"} for name, _ in params)

        def send() -> Page | None:
            answer = self._get(f"{asked.path}?{query}")
            if 200 <= answer.status < 300:
                page = page_of(asked.path, answer)
            elif beside and missing(answer):
                page = None
            else:
                raise failure(asked.path, answer, stream=self._source.stream.name)
            self._now = server_time(answer)
            self._watch(self._now)
            return page

        return until_answered(send, self._pace, self._context)

    def _watch(self, now: int) -> None:
        """Whether what was last read of the events is too long ago."""
        place, source = self._place, self._source
        if place.phase == "window" or (place.phase == "backfill" and not place.began):
            return
        read = place.events.second if source.events else place.objects.second if source.forgets else now
        if now - read > MOST_EVENT_GAP:
            raise _Gap(read, now)

    def _listed(self, page: Page, landing: Landing, now: int) -> Batch:
        return self._batch(page.body, ("data",), None, len(page.rows), landing, order=now - STALE)

    def _batch(
        self,
        body: bytes,
        upserts: tuple[str, ...],
        deletes: str | None,
        rows: int,
        landing: Landing,
        *,
        order: int | None = None,
        ordered: bool = False,
    ) -> Batch:
        cursor, name = self._place.cursor(), self._source.stream.name
        return Batch(name, body, upserts, deletes, cursor, landing, rows, order=order, ordered=ordered)


def _moved(before: Tail, after: Tail, *, refresh: bool) -> bool:
    """Whether a page without rows is worth a step of the marker."""
    if (before.id, before.up) != (after.id, after.up):
        return True
    return refresh and after.second - before.second >= REFRESH


def _within(window: Window) -> dict[str, int]:
    """A window's bounds; Stripe's `created` is a whole second."""
    bounds = {"gte": window.since, "lt": window.until}
    return {name: _second(instant) for name, instant in bounds.items() if instant is not None}


def _second(instant: datetime) -> int:
    whole = int(instant.timestamp())
    return whole + (instant.microsecond > 0)


def _created(bounds: dict[str, int]) -> Query:
    return tuple((f"created[{name}]", str(second)) for name, second in bounds.items())


def _stuck(path: str, row_id: str) -> FatalError:
    return FatalError(f"Stripe says that {path} goes on, but after {row_id} comes {row_id} again")


def _lost(stream: str, gap: _Gap) -> str:
    read, days = datetime.fromtimestamp(gap.read, UTC), (gap.now - gap.read) // DAY
    return (
        f"stripe {stream}: events were last read on {read:%Y-%m-%d %H:%M} UTC, {days} days ago, and Stripe "
        f"keeps them for {EVENTS_KEPT // DAY}: updates and deletions may be lost; all of it is read again"
    )
