"""When Vixie's cron fires, by brute force: minute after minute over UTC, with a virtual clock as its cron.c has.

It reads the minute and hour fields itself (numbers, lists, ranges, `*`, `*/n`) and takes every day, so that
nothing but zoneinfo is shared with the code under test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self
from zoneinfo import TZPATH, ZoneInfo, available_timezones

MINUTE = timedelta(minutes=1)
CORRECTION = timedelta(hours=3)


@dataclass(frozen=True)
class Pattern:
    """An expression `MINUTE HOUR * * *`."""

    text: str
    is_fixed: bool
    clock: frozenset[int]
    """Minutes of the day that match."""

    @classmethod
    def read(cls, text: str) -> Self:
        minute, hour, *days = text.split()
        assert days == ["*", "*", "*"]
        clock = frozenset(60 * h + m for h in _numbers(hour, 24) for m in _numbers(minute, 60))
        return cls(text, minute[0] != "*" and hour[0] != "*", clock)


def _numbers(field: str, count: int) -> frozenset[int]:
    found: set[int] = set()
    for term in field.split(","):
        base, _, step = term.partition("/")
        first, _, last = base.partition("-")
        whole = range(count) if base == "*" else range(int(first), int(last or first) + 1)
        found |= set(whole[:: int(step or 1)])
    return frozenset(found)


def fires(
    patterns: list[Pattern], zone: ZoneInfo, start: datetime, end: datetime
) -> dict[str, list[datetime]]:
    """The fire times of each pattern in [start, end], both whole minutes; no shift shortly before `start`."""
    found: dict[str, list[datetime]] = {pattern.text: [] for pattern in patterns}
    instant = start
    virtual = _shown(zone, start) - MINUTE
    while instant <= end:
        shown = _shown(zone, instant)
        if abs(shown - virtual - MINUTE) > CORRECTION:
            virtual = shown - MINUTE
        now = [60 * shown.hour + shown.minute]
        # The virtual clock never goes back: while it is ahead of the real one, what comes was there before;
        # where it is behind by more than a minute, the real one has skipped what lies between.
        passed = now if shown - virtual == MINUTE else [*_clock(virtual, shown)]
        for pattern in patterns:
            if not pattern.clock.isdisjoint(passed if pattern.is_fixed else now):
                found[pattern.text].append(instant)
        virtual = max(virtual, shown)
        instant += MINUTE
    return found


def _shown(zone: ZoneInfo, instant: datetime) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _clock(after: datetime, until: datetime) -> Iterator[int]:
    while after < until:
        after += MINUTE
        yield 60 * after.hour + after.minute


Shifts = tuple[timedelta, tuple[tuple[datetime, timedelta], ...]]
"""The offset at the beginning, and each change of it: from when on, and to what."""


def zones_by_shifts(start: datetime, end: datetime, probe: timedelta) -> dict[Shifts, list[str]]:
    """Every zone of tzdata, grouped by its offset at `start` and each change of it until `end`.

    Zones of one group show the same local time at every instant of the span, so one stands for all.
    """
    groups = defaultdict(list)
    known: dict[bytes, Shifts] = {}
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        content = _content(name)
        if content not in known:
            known[content] = _shifts(ZoneInfo(name), start, end, probe)
        groups[known[content]].append(name)
    return groups


def _content(name: str) -> bytes:
    """What the zone's file holds: names of one place have one file, and are looked at once."""
    for folder in TZPATH:
        path = Path(folder) / name
        if path.is_file():
            return path.read_bytes()
    return name.encode()


def _shifts(zone: ZoneInfo, start: datetime, end: datetime, probe: timedelta) -> Shifts:
    first = offset = _offset(zone, start)
    shifts = []
    while start < end:
        following = _offset(zone, start + probe)
        if following != offset:
            minutes = (start + step * MINUTE for step in range(1, probe // MINUTE + 1))
            at = next(minute for minute in minutes if _offset(zone, minute) == following)
            shifts.append((at, following))
            offset = following
        start += probe
    return first, tuple(shifts)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
