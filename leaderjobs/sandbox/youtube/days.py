"""The days of YouTube Analytics at the sandbox: rows by country that come late and are restated.

Metrics are JSON numbers, written down to the digit. A report by day alone adds up what the countries have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TypeAlias

import msgspec

DIMENSIONS = {"day": "STRING", "country": "STRING"}
METRICS = {"views": "INTEGER", "estimatedMinutesWatched": "INTEGER", "estimatedRevenue": "FLOAT"}
COUNTRIES = ("AT", "DE", "JP", "US")
_HUGE = 2**53 + 1


@dataclass(frozen=True, slots=True)
class Cell:
    """What one day and country has."""

    views: int
    minutes: int
    cents: int

    def __add__(self, other: Cell) -> Cell:
        return Cell(self.views + other.views, self.minutes + other.minutes, self.cents + other.cents)

    def digits(self) -> Mapping[str, bytes]:
        """Each metric as the JSON number it is."""
        revenue = f"{self.cents // 100}.{self.cents % 100:02}"
        return {
            "views": b"%d" % self.views,
            "estimatedMinutesWatched": b"%d" % self.minutes,
            "estimatedRevenue": revenue.encode(),
        }


Row: TypeAlias = list[msgspec.Raw]


class Days:
    """All days that have happened, and the last one that is shown."""

    def __init__(self, seed: int, first: date, through: date) -> None:
        """Every country has a row on each day from `first` to `through`, all shown."""
        self._random = random.Random(f"{seed}/days")
        self._cells: dict[tuple[date, str], Cell] = {}
        self.through = first - timedelta(days=1)
        self.go_on(through)

    def go_on(self, through: date) -> None:
        """The days up to this one are complete, and shown from now on."""
        while self.through < through:
            self.through += timedelta(days=1)
            for country in COUNTRIES:
                views = _HUGE if country == "JP" else self._random.randrange(1000)
                self._cells[self.through, country] = Cell(views, views * 3, self._random.randrange(100_000))

    def restate(self, day: date, country: str) -> None:
        """A row of the past changes."""
        cell = self._cells[day, country]
        self._cells[day, country] = replace(cell, views=cell.views + 1)

    def drop(self, day: date, *countries: str) -> None:
        """Rows of the past disappear; without a country all of the day."""
        for country in countries or COUNTRIES:
            self._cells.pop((day, country), None)

    def table(
        self, dimensions: Sequence[str], metrics: Sequence[str], first: date, last: date, country: str = ""
    ) -> list[Row]:
        """The rows of a report, sorted by its dimensions."""
        sums: dict[tuple[str, ...], Cell] = {}
        for (day, place), cell in self._shown(first, last, country):
            values = {"day": day.isoformat(), "country": place}
            key = tuple(values[name] for name in dimensions)
            sums[key] = sums[key] + cell if key in sums else cell
        return [
            [
                *(msgspec.Raw(msgspec.json.encode(value)) for value in key),
                *(msgspec.Raw(cell.digits()[name]) for name in metrics),
            ]
            for key, cell in sorted(sums.items())
        ]

    def _shown(self, first: date, last: date, country: str) -> Iterator[tuple[tuple[date, str], Cell]]:
        for (day, place), cell in self._cells.items():
            if first <= day <= min(last, self.through) and country in {"", place}:
                yield (day, place), cell
