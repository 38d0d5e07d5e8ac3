"""Cron expressions of five fields in a time zone, and the instants at which they fire.

What the fields may say and which days they match is cronsim's; the walk along the clock is ours. cronsim does
that too, but in steps of whole hours: at Lord Howe, which shifts by thirty minutes, it loses up to half an
hour of fire times, and at Chatham, 12:45 ahead of UTC, `*/15 3 * * *` goes back in time and fires without
end (cronsim 2.8; tests/unit/cron/test_zones_sweep.py has them). Here the walk goes over stretches of constant
offset, in which a local time is a plain number; and it takes some 3 µs a fire time instead of 50.

The rule is that of Vixie's cron, as Debian ships it and people know it:

- An expression whose minute or hour field begins with `*` follows elapsed time: it fires at every instant
  at which the zone's clocks show a matching time. What is skipped does not come, what comes twice fires
  twice.
- Any other expression names fixed times, each of which fires once a day: one that is skipped fires at the
  instant of the change (several of them once), one that comes twice fires the first time.
- A change of more than three hours is a correction of the calendar (a country moves across the date line),
  and the new time is simply used. No zone plans one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from leaderjobs.cron.hashed import expand
from leaderjobs.cron.reading import described, mismatches
from leaderjobs.cron.zones import Shift, find_zone, local, next_boundary, offset_at
from leaderjobs.model.schedule import ScheduleSpec

MOST_TEXT = 256
"""Characters of an expression."""
MOST_PARSED = 4096
"""Expressions that are remembered."""
MOST_SHIFT = timedelta(hours=3)
"""A change of a zone's offset by more is a correction of the calendar."""
HORIZON = timedelta(days=50 * 366)
"""An expression that has not fired for so long never will: 29 February meets each weekday within 40 years."""
LAST_YEAR = 9900
"""Calendars end at 9999, and a search looks ahead."""
FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week")
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ALLOWED = (
    "0-59, such as 5, */15, 10-20, 1,31 or H",
    "0-23, such as 5, */6, 9-17, 1,13 or H",
    "1-31, L (the last) or LW (the last working day), such as 1, 1,15 or H",
    "1-12 or JAN-DEC, such as 1, */3, MAR-MAY or H",
    "0-7 (0 and 7 are Sunday) or SUN-SAT, such as MON-FRI, MON#2 (the second), 5L (the last Friday) or H",
)
# From here 28 years hold every combination of date and weekday.
_ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - local time of no zone
_ONE_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Expression:
    """When to fire: a cron expression as written, in a zone, with a seed for its H.

    >>> hourly = Expression.parse("30 * * * *", "UTC", "")
    >>> next(hourly.after(datetime(2026, 11, 25, 12, tzinfo=UTC))).isoformat()
    '2026-11-25T12:30:00+00:00'
    """

    text: str
    time_zone: str
    seed: str
    expanded: str
    """Five fields in upper case: an alias and each H replaced by what they stand for."""
    zone: ZoneInfo = field(repr=False, compare=False)
    fields: CronSim = field(repr=False, compare=False)
    """What each field matches; never iterated."""
    minutes: tuple[int, ...] = field(repr=False, compare=False)
    """Those that match, rising."""
    hours: tuple[int, ...] = field(repr=False, compare=False)
    """Those that match, rising."""

    @staticmethod
    def parse(text: str, time_zone: str, seed: str) -> Expression:
        """The expression, checked; ValueError says in one line what is allowed and what is wrong.

        Args:
            text: Five fields, or an alias such as `@hourly`.
            time_zone: A name of the tz database.
            seed: What H is hashed from; see `of`.
        """
        return _parsed(text, time_zone, seed)

    @staticmethod
    def of(spec: ScheduleSpec, cluster: str) -> Expression:
        """That of a schedule: H depends on the cluster and on the schedule's name."""
        return _parsed(spec.cron, spec.time_zone, f"{cluster}/{spec.name}")

    @property
    def follows_elapsed_time(self) -> bool:
        """Whether minute or hour begins with `*`; otherwise it names fixed times. See the module."""
        minute, hour, *_ = self.expanded.split()
        return minute.startswith("*") or hour.startswith("*")

    def after(self, instant: datetime, until: datetime | None = None) -> Iterator[datetime]:
        """The fire times after an aware instant, up to and including `until`; aware UTC, strictly rising.

        Going on from any of them gives the rest of the same sequence. Without `until` it ends only where the
        expression does not fire for HORIZON, or at the end of calendars. What happens at a change of the
        zone's offset is the rule of Vixie's cron: an expression whose minute or hour begins with `*` follows
        elapsed time; any other names fixed times, which fire once: at the end of the gap where the local time
        is skipped, the first time where it comes twice.
        """
        last = instant.astimezone(UTC)
        # The look back finds the shift that `instant` may stand right after.
        for fire_time in self._candidates(last if self.follows_elapsed_time else last - MOST_SHIFT, until):
            if until is not None and fire_time > until:
                return
            if fire_time > last:
                yield fire_time

    def latest_at_or_before(self, instant: datetime) -> datetime | None:
        """The newest fire time not after an aware instant; None where HORIZON before it holds none."""
        last = instant.astimezone(UTC)
        found = self._some_before(last)
        high = last
        while found is not None and high - found > _MINUTE:
            middle = found + (high - found) / 2
            later = next(self.after(middle, high), None)
            found, high = (found, middle) if later is None else (later, high)
        return found if found is None else next(self.after(found, last), found)

    def _some_before(self, last: datetime) -> datetime | None:
        """A fire time not after `last`, of the newest day that has one."""
        newest = local(last, offset_at(self.zone, last)).date()
        for back in range(HORIZON.days):
            day = newest - back * _ONE_DAY
            if day.year <= 1:
                return None
            if matches_day(self.fields, day):
                midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
                if found := next(self.after(midnight - _SECOND, last), None):
                    return found
        return None

    def explain(self) -> str:
        """In English, with the zone: "At 02:30 every day, by the clocks of Europe/Berlin"."""
        said = described(self.expanded)
        return f"{said}, in UTC" if self.time_zone == "UTC" else f"{said}, by the clocks of {self.time_zone}"

    def misses(self, instant: datetime) -> str:
        """Why it does not fire in the minute of an aware instant: "minute is 07, the expression wants 0, 15".

        Empty when it fires then.
        """
        minute = instant.astimezone(UTC).replace(second=0, microsecond=0)
        if next(self.after(minute - _SECOND, minute + _MINUTE - _SECOND), None):
            return ""
        shown = local(minute, offset_at(self.zone, minute))
        if missed := mismatches(self.fields, self.expanded, shown):
            return "; ".join(missed)
        return f"{shown:%H:%M} comes twice that day in {self.time_zone}; a fixed time fires the first time"

    def local_times(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The matching local times in (after, until], naive: what its fields say, as if no zone shifted."""
        for shown in self._local_times(after, until.date()):
            if shown > until:
                return
            yield shown

    def _candidates(self, start: datetime, until: datetime | None) -> Iterator[datetime]:
        """The fire times after `start`, rising, and perhaps some beyond `until`.

        Of fixed times those of the first MOST_SHIFT may be too many.
        """
        offset = offset_at(self.zone, start)
        resume = local(start, offset)
        last = start
        # No zone is a day ahead of UTC.
        end = date.max if until is None else until.astimezone(UTC).date() + _ONE_DAY
        while start.year <= LAST_YEAR and start - last <= HORIZON and (until is None or start <= until):
            boundary = next_boundary(self.zone, start)
            for shown in self._local_times(resume, end):
                fire_time = (shown - offset).replace(tzinfo=UTC)
                if fire_time >= boundary.at:
                    break
                yield fire_time
                last = fire_time
            else:
                return
            resume, fires = self._over(boundary)
            if fires:
                yield boundary.at
                last = boundary.at
            start, offset = boundary.at, boundary.after

    def _over(self, shift: Shift) -> tuple[datetime, bool]:
        """The local time after which to go on beyond a shift, and whether the shift itself fires."""
        if self.follows_elapsed_time or abs(shift.size) > MOST_SHIFT:
            return shift.local_after - _SECOND, False
        # Clocks that go back repeat what has fired: go on where they were.
        resume = shift.local_before - _SECOND
        if shift.size > timedelta(0):
            skipped = next(self.local_times(resume, shift.local_after - _SECOND), None)
            if skipped is not None:
                return shift.local_after, True
        return max(resume, shift.local_after - _SECOND), False

    def _local_times(self, after: datetime, end: date) -> Iterator[datetime]:
        """The matching local times after a naive one through `end`, as if nothing shifted."""
        for day in _matching_days(self.fields, after.date(), end):
            for hour in self.hours:
                for minute in self.minutes:
                    shown = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - local
                    if shown > after:
                        yield shown


def matches_day(fields: CronSim, day: date) -> bool:
    """Whether month, day of month and day of week match."""
    return day.month in fields.months and fields.match_day(day)


def _matching_days(fields: CronSim, start: date, end: date) -> Iterator[date]:
    """The matching days in [start, end]; ends where there is none for HORIZON."""
    last = day = start
    while day <= end and day - last <= HORIZON:
        if day.month not in fields.months:
            day = (day.replace(day=1) + 31 * _ONE_DAY).replace(day=1)
            continue
        if fields.match_day(day):
            yield day
            last = day
        day += _ONE_DAY


@lru_cache(maxsize=MOST_PARSED)
def _parsed(text: str, time_zone: str, seed: str) -> Expression:
    zone = find_zone(time_zone)
    checked = [_checked(position, written, seed) for position, written in enumerate(_five_fields(text))]
    expanded = " ".join(checked)
    try:
        fields = CronSim(expanded, _ANY_DAY)
        next(_matching_days(fields, _ANY_DAY.date(), date.max))
    except (CronSimError, StopIteration):
        raise ValueError(
            "allowed: an expression that fires; no day matches its day of month, month and day of week"
        ) from None
    minutes, hours = tuple(sorted(fields.minutes)), tuple(sorted(fields.hours))
    return Expression(text, time_zone, seed, expanded, zone, fields, minutes, hours)


def _five_fields(text: str) -> list[str]:
    if len(text) > MOST_TEXT:
        raise ValueError(f"allowed: up to {MOST_TEXT} characters, not {len(text)}")
    words = text.split()
    first = words[0].lower() if words else ""
    if first.startswith(("cron_tz=", "tz=")):
        raise ValueError("allowed: five fields without a zone before them; set time_zone instead")
    if first.startswith("@"):
        return _alias(" ".join(words).lower())
    if len(words) != len(FIELD_NAMES):
        seconds = "; seconds and years are not taken" if len(words) > len(FIELD_NAMES) else ""
        raise ValueError(
            f"allowed: 5 fields, minute hour day-of-month month day-of-week, or an alias such as @hourly, "
            f"not {len(words)}{seconds}"
        )
    return words


def _alias(text: str) -> list[str]:
    if text in ALIASES:
        return ALIASES[text].split()
    known = f"allowed: 5 fields or one of {', '.join(ALIASES)}"
    if text == "@reboot":
        raise ValueError(f"{known}; @reboot is not: members start and stop, the schedule is the cluster's")
    if text.startswith("@every"):
        raise ValueError(f"{known}; @every is not: write steps, such as */5 for every 5 minutes")
    near = difflib.get_close_matches(text, ALIASES, n=1)
    raise ValueError(known + (f"; did you mean {near[0]}?" if near else ""))


def _checked(position: int, written: str, seed: str) -> str:
    """One field in upper case with H replaced, read by itself so that a complaint can name it."""
    name = FIELD_NAMES[position]
    try:
        expanded = expand(position, written.upper(), seed)
        CronSim(" ".join(expanded if each == position else "*" for each in range(5)), _ANY_DAY)
    except CronSimError:
        raise ValueError(
            f"allowed: as {name} {_ALLOWED[position]}; ranges rise; {written!r:.60} is not one"
        ) from None
    except ValueError as error:
        raise ValueError(f"allowed: as {name} {error}; {written!r:.60} is not one") from None
    return expanded
