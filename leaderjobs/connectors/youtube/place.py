"""Where in its passes over the channels a stream is.

A *pass* visits every channel once. It is full (everything is listed, and what was not met is gone) or it goes
from the newest down to what an earlier pass has seen. The cursor holds no ids of rows: what is known is told
by time, and which channels there are by a fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from leaderjobs.connectors.youtube.settings import MOST_REFRESH
from leaderjobs.errors import FatalError
from leaderjobs.model.marker import Cursor

OVERLAP = timedelta(days=1)
"""Rows that came up to so long before an earlier pass began are read again: clocks differ, and lists lag."""


@dataclass(frozen=True, slots=True)
class Place:
    """When the last full pass began, when the last of either kind did, and where the one under way is."""

    channels: str = ""
    """Fingerprint of those that the passes visit."""
    walked: datetime | None = None
    seen: datetime | None = None
    began: datetime | None = None
    full: bool = True
    channel: str = ""
    """The one whose list is being read."""
    token: str = ""
    page: int = 0
    """Pages of its list that have been read."""
    total: int = 0
    """How much was in the list, as the last of them said; 0 where YouTube does not say."""

    @classmethod
    def parse(cls, cursor: Cursor | None) -> Place:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return cls()
        try:
            place = cls(
                channels=_text(cursor, "channels"),
                walked=_instant(cursor, "walked"),
                seen=_instant(cursor, "seen"),
                began=_instant(cursor, "began"),
                full=cursor.get("full", True) is True,
                channel=_text(cursor, "channel"),
                token=_text(cursor, "token"),
                page=_count(cursor, "page"),
                total=_count(cursor, "total"),
            )
        except ValueError:
            place = cls()
        if not place.channels or not set(cursor) <= set(cls.__slots__):
            raise FatalError(
                f"the marker holds {sorted(cursor)}, not a place in YouTube's lists; "
                "run the leaderjobs version that wrote it"
            )
        return place

    def cursor(self) -> Cursor:
        """For the marker; what is not set is not there."""
        instants = {"walked": self.walked, "seen": self.seen, "began": self.began}
        kept: dict[str, object] = {name: at.isoformat() for name, at in instants.items() if at is not None}
        if self.began is not None:
            names = ("full", "channel", "token", "page", "total")
            kept |= {name: getattr(self, name) for name in names}
        return {"channels": self.channels, **kept}

    def lost(self, channels: str, now: datetime) -> bool:
        """Whether the pass under way cannot go on: it visits other channels, or began too long ago."""
        return self.began is not None and (self.channels != channels or now - self.began > MOST_REFRESH)

    def given_up(self) -> Place:
        """Between two passes again."""
        return Place(self.channels, self.walked, self.seen)

    def begun(self, channels: str, first: str, now: datetime, every: timedelta | None) -> Place:
        """A new pass, full for other channels than before, and `every` so often; None: each time."""
        due = every is None or self.walked is None or now - self.walked >= every
        full = due or self.seen is None or self.channels != channels
        return Place(channels, self.walked, self.seen, now, full, first)

    def on(self, token: str, total: int) -> Place:
        """At the next page of the same list, of which there is so much."""
        return replace(self, token=token, page=self.page + 1, total=total)

    def at(self, channel: str) -> Place:
        """At the beginning of a list."""
        return replace(self, channel=channel, token="", page=0, total=0)

    def ended(self) -> Place:
        """After the pass."""
        return Place(self.channels, self.began if self.full else self.walked, self.began)

    def knows(self, instants: Iterable[datetime | None]) -> bool:
        """Whether rows of these instants were there when an earlier pass read the list; not without any."""
        known = self.seen - OVERLAP if self.seen is not None else None
        found = list(instants)
        return known is not None and bool(found) and all(at is not None and at < known for at in found)


def fingerprint(channels: Iterable[str]) -> str:
    """Tells one set of channels, in its order, from another."""
    return hashlib.sha256(",".join(channels).encode()).hexdigest()[:12]


def _text(cursor: Cursor, name: str) -> str:
    found = cursor.get(name, "")
    if isinstance(found, str):
        return found
    raise ValueError(name)


def _instant(cursor: Cursor, name: str) -> datetime | None:
    found = _text(cursor, name)
    instant = datetime.fromisoformat(found) if found else None
    if instant is not None and instant.tzinfo is None:
        raise ValueError(name)
    return instant


def _count(cursor: Cursor, name: str) -> int:
    found = cursor.get(name, 0)
    if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
        return found
    raise ValueError(name)
