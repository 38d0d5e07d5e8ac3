"""Where the reading of a stream stands, as the marker keeps it.

    {}                                    before the first sync, and after a whole listing
    {since}                               an incremental stream between two syncs
    {since, walk: {of, began, max, …}}    in the middle of a listing: its next page is known
    {since, over}                         at the end of a span that `enqueue --since` asked for

The place in a listing is its next page. That of a child's listing is also the record of the parent that it
belongs to: the parent's page, and the record's number in it with a print of the record's key, because the
parent's page is asked for again and may have changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from leaderjobs.connectors.rest.pagination import Spot, Token
from leaderjobs.connectors.rest.stream_settings import MOST_PARENTS
from leaderjobs.errors import FatalError
from leaderjobs.model.marker import Cursor

Kept = str | int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """A record of the parent."""

    place: Place
    """The parent's page that holds it."""
    index: int
    print: str


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a stream."""

    spot: Spot = field(default_factory=Spot)
    done: bool = False
    """The listing has no more; a child goes on with the parent's next record."""
    anchor: Anchor | None = None
    """The record that this is the listing of; None: of a stream without a parent, or the first one."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A listing under way."""

    of: str
    """Print of the declaration: a changed one begins anew."""
    began: datetime
    place: Place
    highest: Kept = None
    """Of the incremental value so far."""
    asked: Kept = None
    """What the pages are asked for from on, where that is no longer the marker's `since`."""


@dataclass(frozen=True, slots=True)
class State:
    """A marker's cursor."""

    since: Kept = None
    walk: Walk | None = None
    over: bool = False

    @classmethod
    def parse(cls, cursor: Cursor | None) -> State:
        """FatalError for one that this connector never wrote."""
        if not cursor:
            return cls()
        try:
            _only(cursor, {"since", "walk", "over"})
            walk = cursor.get("walk")
            return cls(
                _kept(cursor.get("since")),
                None if walk is None else _walk(_table(walk)),
                cursor.get("over") is True,
            )
        except (TypeError, ValueError, KeyError):
            raise FatalError(
                f"the marker holds {sorted(cursor)}, not a place in a REST listing; "
                "run the leaderjobs version that wrote it, or reset the stream"
            ) from None

    def cursor(self) -> Cursor:
        """For the marker; what is as at the beginning is left out."""
        found: dict[str, object] = {}
        if self.since is not None:
            found["since"] = self.since
        if self.over:
            found["over"] = True
        if self.walk is not None:
            values = {"max": self.walk.highest, "asked": self.walk.asked}
            found["walk"] = {
                "of": self.walk.of,
                "began": self.walk.began.isoformat(),
                **{name: value for name, value in values.items() if value is not None},
                **_written(self.walk.place),
            }
        return found


def _written(place: Place) -> dict[str, object]:
    spot, found = place.spot, dict[str, object]()
    for name, value, empty in (
        ("page", spot.page, None),
        ("pages", spot.pages, 0),
        ("seen", spot.seen, 0),
        ("print", spot.print, ""),
        ("done", place.done, False),
    ):
        if value != empty:
            found[name] = value
    if place.anchor is not None:
        of = {"index": place.anchor.index, "key": place.anchor.print}
        found["parent"] = {**of, **_written(place.anchor.place)}
    return found


def _walk(found: dict[str, object]) -> Walk:
    own = {name: value for name, value in found.items() if name not in {"of", "began", "max", "asked"}}
    began = datetime.fromisoformat(_text(found["began"]))
    if began.tzinfo is None:
        raise ValueError
    highest, asked = _kept(found.get("max")), _kept(found.get("asked"))
    return Walk(_text(found["of"]), began, _place(own, 0), highest, asked)


def _place(found: dict[str, object], depth: int) -> Place:
    _only(found, {"page", "pages", "seen", "print", "done", "parent"})
    if depth > MOST_PARENTS + 1:
        raise ValueError
    above, anchor = found.get("parent"), None
    if above is not None:
        parent = _table(above)
        own = {name: value for name, value in parent.items() if name not in {"index", "key"}}
        anchor = Anchor(_place(own, depth + 1), _count(parent["index"]), _text(parent["key"]))
    spot = Spot(
        _kept(found.get("page")),
        _count(found.get("pages", 0)),
        _count(found.get("seen", 0)),
        _text(found.get("print", "")),
    )
    return Place(spot, found.get("done") is True, anchor)


def _only(found: Cursor, allowed: set[str]) -> None:
    if not set(found) <= allowed:
        raise ValueError


def _table(found: object) -> dict[str, object]:
    if not isinstance(found, dict):
        raise TypeError
    return found


def _kept(found: object) -> Token:
    if isinstance(found, bool) or not isinstance(found, str | int | None):
        raise TypeError
    return found


def _count(found: object) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise TypeError
    return found


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError
    return found
