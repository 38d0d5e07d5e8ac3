"""Zones of the tz database, and the instants at which they change their offset from UTC."""

from __future__ import annotations

import difflib
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MOST_ZONE_YEARS = 2048
"""Years of zones whose shifts are remembered; finding those of one takes half a millisecond."""
_PROBE = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_NEAR = 0.8
# They mean another thing on every machine, or nothing; members must agree on what they read.
_NOT_SHARED = frozenset({"localtime", "posixrules", "Factory"})


@dataclass(frozen=True, slots=True)
class Shift:
    """An instant at which a zone's offset changes, or at which a year ends (`before` is then `after`)."""

    at: datetime
    """Aware UTC; the first instant of the new offset."""
    before: timedelta
    after: timedelta

    @property
    def size(self) -> timedelta:
        """How far clocks jump: positive where local times are skipped, negative where they come twice."""
        return self.after - self.before

    @property
    def local_before(self) -> datetime:
        """What clocks would have shown at the shift without it; naive."""
        return local(self.at, self.before)

    @property
    def local_after(self) -> datetime:
        """What they show; naive."""
        return local(self.at, self.after)


def find_zone(name: str) -> ZoneInfo:
    """The zone of that name; ValueError says what is allowed, with a near match."""
    folder = name.partition("/")[0]
    if name not in _NOT_SHARED and folder not in {"posix", "right"}:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            pass
    near = _near(name)
    hint = f"; did you mean {near}?" if near else ""
    raise ValueError(
        f'allowed: a zone of the tz database, such as "America/New_York" or "UTC", not {name!r:.80}{hint}'
    )


def _near(name: str) -> str:
    known = {each.lower(): each for each in sorted(zoneinfo.available_timezones() - _NOT_SHARED)}
    wanted = name.strip().lower().replace(" ", "_")
    if wanted in known:
        return known[wanted]
    cities = {each.rpartition("/")[2]: each for each in known}
    found = cities.get(wanted) or next(iter(difflib.get_close_matches(wanted, known, n=1, cutoff=_NEAR)), "")
    if not found and (city := difflib.get_close_matches(wanted, cities, n=1, cutoff=_NEAR)):
        found = cities[city[0]]
    return known[found] if found else ""


def local(instant: datetime, offset: timedelta) -> datetime:
    """What a clock `offset` ahead of UTC shows at `instant`; naive."""
    return instant.replace(tzinfo=None) + offset


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    """How far the zone is ahead of UTC at an aware instant."""
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def next_boundary(zone: ZoneInfo, instant: datetime) -> Shift:
    """The first shift after an aware UTC instant, or the end of its year when that comes first."""
    for shift in shifts_of(zone, instant.year):
        if shift.at > instant:
            return shift
    end = datetime(instant.year + 1, 1, 1, tzinfo=UTC)
    offset = offset_at(zone, end)
    return Shift(end, offset, offset)


def shifts_between(zone: ZoneInfo, start: datetime, end: datetime) -> list[Shift]:
    """The shifts in (start, end], in their order; aware UTC."""
    return [
        shift
        for year in range(start.year - 1, end.year + 1)
        for shift in shifts_of(zone, year)
        if start < shift.at <= end
    ]


@lru_cache(maxsize=MOST_ZONE_YEARS)
def shifts_of(zone: ZoneInfo, year: int) -> tuple[Shift, ...]:
    """The shifts after the beginning of a UTC year, up to and including the beginning of the next.

    zoneinfo does not tell them, so the offset is looked at once a day: no zone has ever changed it twice
    within one.
    """
    found = []
    probe = datetime(year, 1, 1, tzinfo=UTC)
    before = offset_at(zone, probe)
    while probe.year == year:
        after = offset_at(zone, probe + _PROBE)
        if after != before:
            found.append(Shift(_first(zone, probe, after), before, after))
            before = after
        probe += _PROBE
    return tuple(found)


def _first(zone: ZoneInfo, probe: datetime, offset: timedelta) -> datetime:
    """The first whole second within the day after `probe` that has `offset`."""
    without, having = probe, probe + _PROBE
    while having - without > _SECOND:
        middle = without + _SECOND * ((having - without) // _SECOND // 2)
        if offset_at(zone, middle) == offset:
            having = middle
        else:
            without = middle
    return having
