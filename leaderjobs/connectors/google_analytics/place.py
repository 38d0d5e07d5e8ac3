"""Where in the days of a report a sync is: the cursor.

A *pass* asks for one day after the other, up to the last day there was when it began. The next sync begins
another: at the first day that was never asked for, or where the look-back begins, whichever is earlier,
because Google goes on counting a day for a while after it is over. A pass that broke off is gone on with as
long as its last day is still the last one there is; afterwards a new one begins, for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from leaderjobs.errors import FatalError
from leaderjobs.model.marker import Cursor

_DAY = timedelta(days=1)
_KEYS = {"definition", "start", "zone", "next", "until", "offset", "rows"}


@dataclass(frozen=True, slots=True)
class Place:
    """A pass and what it has come to."""

    definition: str
    """Tells a report with other fields from this one."""
    start: date
    """The first day of all passes since the definition is what it is."""
    zone: str
    """The property's, in which its days begin."""
    next: date
    """The day that is to be asked for."""
    until: date
    """The last day of the pass; it is over when `next` is a later one."""
    offset: int = 0
    """Rows of `next` that are staged."""
    rows: int = 0
    """Rows that `next` had when its first page came; 0 while no page is staged."""

    @classmethod
    def parse(cls, cursor: Cursor | None) -> Place | None:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return None
        try:
            return cls._parsed(dict(cursor))
        except ValueError:
            raise FatalError(
                f"the marker holds {sorted(cursor)}, not a place in a report's days; "
                "run the leaderjobs version that wrote it"
            ) from None

    @classmethod
    def _parsed(cls, cursor: dict[str, object]) -> Place:
        if not set(cursor) <= _KEYS:
            raise ValueError("another connector's")
        words = [cursor.get(name) for name in ("definition", "start", "zone", "next", "until")]
        counts = [cursor.get(name, 0) for name in ("offset", "rows")]
        match (*words, *counts):
            case (
                str() as definition,
                str() as start,
                str() as zone,
                str() as following,
                str() as until,
                int() as offset,
                int() as rows,
            ) if 0 <= offset <= rows:
                days = [date.fromisoformat(day) for day in (start, following, until)]
                return cls(definition, days[0], zone, days[1], days[2], offset, rows)
        raise ValueError("not of ours")

    def cursor(self) -> Cursor:
        """For the marker; `offset` and `rows` are there only while a day is under way."""
        under_way: Cursor = {"offset": self.offset, "rows": self.rows} if self.offset else {}
        return {
            "definition": self.definition,
            "start": self.start.isoformat(),
            "zone": self.zone,
            "next": self.next.isoformat(),
            "until": self.until.isoformat(),
            **under_way,
        }

    @property
    def over(self) -> bool:
        """Whether the pass has come to its end."""
        return self.next > self.until

    def within(self, zone: str) -> Place:
        """In the time zone that an answer tells; the days of another one count from the next pass on."""
        return replace(self, zone=zone)

    def staged(self, offset: int, rows: int) -> Place:
        """After a page of the day with more to come."""
        return replace(self, offset=offset, rows=rows)

    def complete(self) -> Place:
        """After the day's last page."""
        return replace(self, next=self.next + _DAY, offset=0, rows=0)

    def again(self) -> Place:
        """Back where the day began."""
        return replace(self, offset=0, rows=0)

    def onward(self, start: date, back: date, until: date) -> Place:
        """This pass where it can be gone on with, else the next: not before `start`, at `back` or earlier."""
        if not self.over and self.until == until:
            return self
        return replace(self, next=max(start, min(self.next, back)), until=until, offset=0, rows=0)
