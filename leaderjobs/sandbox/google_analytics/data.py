"""What one Analytics property has counted: facts of days, which change for a while after the day is over."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

DIMENSIONS = ("pagePath", "country", "deviceCategory", "sessionSource", "customEvent:plan", "itemName")
METRICS = {
    "sessions": "TYPE_INTEGER",
    "activeUsers": "TYPE_INTEGER",
    "eventCount": "TYPE_INTEGER",
    "totalRevenue": "TYPE_CURRENCY",
    "itemsViewed": "TYPE_INTEGER",
}
INCOMPATIBLE = ("itemName", "sessions")
"""A dimension and a metric that no report may have both."""
RESTATED_DAYS = 3
"""How long a day that is over may change."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fact:
    """What was counted on a day for one combination of all dimensions."""

    values: Mapping[str, str]
    numbers: Mapping[str, int | Decimal]


@dataclass(frozen=True, slots=True)
class Quality:
    """What Google says of a day's figures."""

    sampled: bool = False
    thresholded: bool = False
    other_row: bool = False


class PropertyData:
    """The facts of one property; the seed decides all of them. The sandbox's lock guards it."""

    def __init__(self, seed: int, first: date, rows_per_day: int, today: Callable[[], date]) -> None:
        """There is nothing from before `first`; days are made when they are first looked at."""
        self._seed = seed
        self._first = first
        self._rows_per_day = rows_per_day
        self._today = today
        self._days: dict[date, list[Fact]] = {}
        self._made = Counter[date]()
        self._random = random.Random(f"{seed}/changes")
        self.revisions = Counter[date]()
        """How often each day has changed."""
        self.quality: dict[date, Quality] = {}

    def facts(self, day: date) -> list[Fact]:
        """Those of one day; none of one that has not begun."""
        if not self._first <= day <= self._today():
            return []
        if day not in self._days:
            self._days[day] = [self._fact(day) for _ in range(self._rows_per_day)]
        return self._days[day]

    def add(self, count: int, day: date | None = None) -> None:
        """New combinations, of `day` or of any that may still change."""
        for _ in range(count):
            on = day or self._random.choice(self.restated())
            self.facts(on).append(self._fact(on))
            self.revisions[on] += 1

    def modify(self, count: int) -> None:
        """Other figures for up to so many combinations of days that may still change."""
        for day, place in self._drawn(count):
            fact = self._days[day][place]
            more = {name: number + self._random.randint(1, 9) for name, number in fact.numbers.items()}
            self._days[day][place] = replace(fact, numbers=more)
            self.revisions[day] += 1

    def remove(self, count: int, day: date | None = None) -> None:
        """Up to so many combinations, of `day` or of any that may still change, are no longer counted."""
        for on, place in sorted(self._drawn(count, day), reverse=True):
            del self._days[on][place]
            self.revisions[on] += 1

    def restated(self) -> list[date]:
        """The days that may still change, today included."""
        today = self._today()
        days = [today - _DAY * back for back in range(RESTATED_DAYS + 1)]
        return [day for day in days if day >= self._first]

    def days(self) -> list[date]:
        """All that have begun."""
        return [self._first + _DAY * n for n in range((self._today() - self._first).days + 1)]

    def report(
        self,
        days: Iterable[date],
        dimensions: tuple[str, ...],
        metrics: tuple[str, ...],
        *,
        empty: bool = False,
    ) -> list[tuple[tuple[str, ...], tuple[int | Decimal, ...]]]:
        """Values and sums by combination, in the order of the values; `empty`: also where all sums are 0."""
        sums: dict[tuple[str, ...], list[int | Decimal]] = {}
        for day in days:
            stamp = {"date": day.strftime("%Y%m%d")}
            for fact in self.facts(day):
                key = tuple((stamp | dict(fact.values))[name] for name in dimensions)
                found = sums.setdefault(key, [0] * len(metrics))
                for place, name in enumerate(metrics):
                    found[place] += fact.numbers[name]
        return [(key, tuple(sums[key])) for key in sorted(sums) if empty or any(sums[key])]

    def _drawn(self, count: int, day: date | None = None) -> list[tuple[date, int]]:
        """Places of different facts."""
        days = self.restated() if day is None else [day]
        places = [(on, place) for on in days for place in range(len(self.facts(on)))]
        return self._random.sample(places, min(count, len(places)))

    def _fact(self, day: date) -> Fact:
        """The next one of a day, with a path of its own; numbers that a double would spoil."""
        number = self._made[day]
        self._made[day] += 1
        drawn = random.Random(f"{self._seed}/{day}/{number}")
        return Fact(
            values={
                "pagePath": f"/{day:%m%d}/{number:05d}" + ("?q=" + "x" * 1200 if number == 1 else ""),
                "country": drawn.choice(["Germany", "Türkiye", "(not set)"]),
                "deviceCategory": drawn.choice(["mobile", "desktop"]),
                "sessionSource": drawn.choice(["google", "(direct)", "news\u2028letter", ""]),
                "customEvent:plan": drawn.choice(["basic", "pro"]),
                "itemName": "" if drawn.random() < 0.2 else f"item {number}",
            },
            numbers={
                "sessions": drawn.randint(1, 99),
                "activeUsers": drawn.randint(1, 99),
                "eventCount": 2**53 + 1 + drawn.getrandbits(40),
                "totalRevenue": Decimal(drawn.getrandbits(60)).scaleb(-6),
                "itemsViewed": drawn.randint(0, 3),
            },
        )
