"""How far a pull of one stream has come: what stands in its marker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import msgspec
from msgspec.structs import replace

from leaderjobs.connectors.stripe.rows import Page
from leaderjobs.errors import FatalError
from leaderjobs.model.marker import Cursor

SETTLING = 600
"""Seconds after which an object shows in a list for sure; what was younger is read once more."""


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a list has been read upward.

    The anchor (`id`, made `at`) is the newest object that had settled when it was read, so that everything
    below it has been read. Past it the walk comes further (`up`); ten minutes after it first did (`turn`) it
    begins at the anchor again, because what showed late lies between.
    """

    since: int = 0
    """Everything that was made before this second has been read."""
    id: str = ""
    at: int = 0
    up: str = ""
    up_at: int = 0
    turn: int = 0

    @property
    def second(self) -> int:
        """The latest second of which it is known that everything before it has been read."""
        return max(self.since, self.at)

    def past(self, page: Page) -> Tail:
        """After a page that lay next to where the walk was."""
        if not page.rows:
            return self
        newest, tail = page.rows[0], self
        settled = next((row for row in page.rows if row.created <= page.now - SETTLING), None)
        if settled is not None and not self.up:
            tail = replace(self, id=settled.id, at=settled.created, since=max(self.since, settled.created))
        if tail.id == newest.id:
            return tail
        return replace(tail, up=newest.id, up_at=newest.created, turn=self.turn or page.now)

    def due(self, now: int) -> Tail:
        """Back at the anchor, once what was read past it first has settled."""
        return replace(self, up="", up_at=0, turn=0) if self.up and now - self.turn >= SETTLING else self

    def without_anchor(self) -> Tail:
        """The anchor is not there any more; when it was made still tells."""
        return Tail(since=self.second)


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stream's place, or that of a window of it."""

    phase: Literal["backfill", "tail", "window", "done"]
    began: int = 0
    """The server's time when the list that is being walked down was first asked for; 0: not yet."""
    part: int = 0
    after: str = ""
    """The oldest object that has been read of this part, made `at`."""
    at: int = 0
    page: int = 0
    objects: Tail = Tail()
    events: Tail = Tail()
    gap: tuple[int, int] | None = None
    """The last time that events were lost: when they had been read last, and when that was noticed."""

    @classmethod
    def parse(cls, cursor: Cursor | None, *, window: bool = False) -> Place:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return cls("window" if window else "backfill")
        try:
            place = msgspec.convert(dict(cursor), cls)
        except msgspec.ValidationError:
            place = None
        if place is None or (place.phase in {"window", "done"}) is not window:
            raise FatalError(
                f"the marker holds {sorted(cursor)}, not a place in Stripe's lists; "
                "run the leaderjobs version that wrote it"
            )
        return place

    def cursor(self) -> Cursor:
        """For the marker."""
        return cast("Mapping[str, object]", msgspec.to_builtins(self))

    def begun(self, now: int) -> Place:
        """After the first answer of a list: whatever has come since then is left to the tails."""
        if self.began:
            return self
        settled = Tail(since=now - SETTLING)
        return replace(self, began=now, objects=settled, events=settled)

    def below(self, page: Page, parts: int, then: Literal["tail", "done"]) -> Place:
        """After a page of a list that is walked down; `then` comes after its last part."""
        place = replace(self, page=self.page + 1)
        if self.began:
            top = next((row for row in page.rows if row.created <= self.began - SETTLING), None)
            if top is not None and top.created > self.objects.at:
                place = replace(place, objects=replace(self.objects, id=top.id, at=top.created))
        if page.more:
            last = page.rows[-1]
            return replace(place, after=last.id, at=last.created)
        if self.part + 1 < parts:
            return replace(place, part=self.part + 1, after="", at=0)
        return replace(place, phase=then, began=0, part=0, after="", at=0, page=0)
