"""A report of YouTube Analytics, day by day; each day takes the place of what was there of it.

YouTube restates recent days, and ends its answer with the last day for which it has all of the metrics. So
every read asks again for a few days before the last one that it has received. A day up to that one for which
no row comes has none any more.

    a day with more to come  -> marker {last, next: the day after this one}
    the last one of a read   -> marker {last}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.google.days import california_day
from leaderjobs.connectors.youtube.api import REPORTS, YouTubeApi
from leaderjobs.connectors.youtube.settings import ReportSettings
from leaderjobs.connectors.youtube.streams import DAY
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Window
from leaderjobs.model.marker import Cursor

ROWS = 200
"""Of one answer: the most that every kind of report gives."""
SPAN = timedelta(days=30)
"""Asked for at once."""
FIRST_SPAN = timedelta(days=365)
"""Before today: where the first read begins, unless `start_date` says it."""
MOST_ANSWERS = 10_000
"""To one span of days."""
MOST_DAY_ROWS = 200_000
ONE_DAY = timedelta(days=1)
Row = Mapping[str, msgspec.Raw]


class _Header(msgspec.Struct):
    name: str


class _Table(msgspec.Struct, rename="camel"):
    """`rows` is not there when it would be empty."""

    column_headers: list[_Header]
    rows: list[list[msgspec.Raw]] | None = None


@dataclass(frozen=True, slots=True)
class DayPlace:
    """How far a report has come: the `last` day received; the `next` one while a read is under way."""

    last: date | None = None
    next: date | None = None

    @classmethod
    def parse(cls, cursor: Cursor | None) -> DayPlace:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return cls()
        days = {name: _day(text) for name, text in cursor.items()}
        if "last" not in days or not set(days) <= {"last", "next"} or None in days.values():
            raise FatalError(
                f"the marker holds {sorted(cursor)}, not a day of a report; "
                "run the leaderjobs version that wrote it"
            )
        return cls(**days)

    def after(self, day: date, *, more: bool) -> DayPlace:
        """Once a day has landed; `more`: another one follows in this read."""
        last = day if self.last is None else max(self.last, day)
        return DayPlace(last, day + ONE_DAY if more else None)

    def cursor(self) -> Cursor:
        """For the marker."""
        days = {"last": self.last, "next": self.next}
        return {name: day.isoformat() for name, day in days.items() if day is not None}


class Report:
    """One report of one connection."""

    def __init__(
        self, api: YouTubeApi, name: str, report: ReportSettings, look_back: timedelta, start: date | None
    ) -> None:
        """`start` is the first day that is of interest."""
        self._api = api
        self._name = name
        self._report = report
        self._look_back = look_back
        self._start = start

    def read(self, place: DayPlace, context: ReadContext) -> Iterator[Batch]:
        """One batch for each day, in order, up to the last one that YouTube has."""
        today = california_day(clock.now())
        days = self._landing(place, *self._span(place, context.window, today), context)
        found = next(days, None)
        while found is not None:
            # One is held back: a read that dies goes on after it, and looks back only when it has ended.
            following = next(days, None)
            place = place.after(found[0], more=following is not None)
            yield self._batch(*found, place)
            found = following

    def _landing(
        self, place: DayPlace, at: date, end: date, context: ReadContext
    ) -> Iterator[tuple[date, list[Row]]]:
        """Every day up to the last one that YouTube has, with its rows, also where it has none."""
        last = place.last if context.window is None else None
        for day, rows in self._days(at, end, context):
            while at <= day:
                yield at, rows if at == day else []
                at += ONE_DAY
        while last is not None and at <= last:
            yield at, []
            at += ONE_DAY

    def _span(self, place: DayPlace, window: Window | None, today: date) -> tuple[date, date]:
        """The first and the last day to ask for."""
        first = self._start or today - FIRST_SPAN
        if window is None:
            if place.last is not None:
                first = place.next or max(first, place.last - self._look_back)
            return first, today
        if place.last is not None:
            first = place.last + ONE_DAY
        elif window.since is not None:
            first = california_day(window.since)
        if window.until is None:
            return first, today
        return first, min(today, california_day(window.until - datetime.resolution))

    def _days(self, first: date, end: date, context: ReadContext) -> Iterator[tuple[date, list[Row]]]:
        """The days that have rows, with them, in order."""
        while first <= end:
            last = min(first + SPAN - ONE_DAY, end)
            current, held = first, list[Row]()
            for day, row in self._rows(first, last, context):
                if not current <= day <= last:
                    raise FatalError(
                        f"report {self._name}: YouTube sent {day}, not in the order that was asked for"
                    )
                if day != current and held:
                    yield current, held
                    held = []
                current = day
                held.append(row)
                if len(held) > MOST_DAY_ROWS:
                    raise FatalError(
                        f"report {self._name}: {day} has more than {MOST_DAY_ROWS} rows; narrow it"
                    )
            if held:
                yield current, held
            first = last + ONE_DAY

    def _rows(self, first: date, last: date, context: ReadContext) -> Iterator[tuple[date, Row]]:
        """All rows of a span, sorted by day."""
        dimensions = [DAY, *(name for name in self._report.dimensions if name != DAY)]
        query: dict[str, object] = {
            "ids": "channel==MINE",
            "startDate": first.isoformat(),
            "endDate": last.isoformat(),
            "dimensions": ",".join(dimensions),
            "metrics": ",".join(self._report.metrics),
            "sort": ",".join(dimensions),
            "maxResults": ROWS,
        }
        if self._report.filters is not None:
            query["filters"] = self._report.filters
        names = {*dimensions, *self._report.metrics}
        for number in range(MOST_ANSWERS):
            query["startIndex"] = number * ROWS + 1
            answer, _ = self._api.get(REPORTS, query, _Table, context)
            rows = answer.rows or []
            headers = [header.name for header in answer.column_headers]
            yield from self._named(headers, names, rows)
            if len(rows) < ROWS:
                return
        raise FatalError(f"report {self._name} has not ended after {MOST_ANSWERS} answers; narrow it")

    def _named(
        self, headers: Sequence[str], names: set[str], rows: Sequence[list[msgspec.Raw]]
    ) -> Iterator[tuple[date, Row]]:
        if set(headers) != names or any(len(row) != len(headers) for row in rows) or len(rows) > ROWS:
            raise FatalError(
                f"report {self._name}: YouTube answered {headers[:20]}, not the columns asked for"
            )
        for values in rows:
            row = dict(zip(headers, values, strict=True))
            day = _day(msgspec.json.decode(row[DAY]))
            if day is None:
                raise FatalError(f"report {self._name}: YouTube sent a row without a day")
            yield day, row

    def _batch(self, day: date, rows: Sequence[Row], place: DayPlace) -> Batch:
        return Batch(
            self._name,
            msgspec.json.encode({"rows": rows}),
            ("rows",),
            None,
            place.cursor(),
            Landing.REPLACE,
            len(rows),
            scope=(DAY, day.isoformat()),
        )


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
