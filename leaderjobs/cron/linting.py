"""What people would not expect of their schedules; everything looks ahead only so far.

Nothing found here keeps a schedule from running: it says what will happen, on which dates, and what to write
instead.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise

from leaderjobs.cron.expression import FIELD_NAMES, Expression
from leaderjobs.cron.zones import Shift, local, offset_at, shifts_between
from leaderjobs.model.schedule import CatchUp, ScheduleSpec

SHIFTS_AHEAD = timedelta(days=731)
"""How far ahead changes of a zone's offset are looked at."""
MOST_DATES = 4
"""Dates that one finding names."""
COMPARED_FIRES = 50
"""Fire times by which two schedules are compared, and the interval of one is found."""
COMPARED_AHEAD = timedelta(days=366)
"""How far ahead those lie, unless there are fewer than two."""
COLLISIONS_AHEAD = timedelta(days=1)
"""How far ahead fire times are compared between schedules."""
MOST_COMPARED = 300
"""Fire times of one schedule that are; one that fires more often cannot be moved out of the way."""
MANY = 10
"""Schedules that fire in one minute before somebody should spread them."""
MOST_NAMED = 5
"""Schedules that one finding names."""
_WHOLE = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_STEP = re.compile(r"(?:\*|H|\d+)/\d+", re.ASCII | re.IGNORECASE)
_TICK = timedelta(microseconds=1)
_Read = tuple[ScheduleSpec, Expression, list[datetime]]
"""A schedule that could be read, and its next fire times."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that will surprise whoever wrote the schedule."""

    schedule: str
    """The first by name, where it is about several."""
    code: str
    """`refused`, `never`, `skipped`, `repeated`, `uneven`, `both-days`, `window`, `jitter`, `duplicate` or
    `collision`.
    """
    message: str


def lint(specs: Iterable[ScheduleSpec], cluster: str, now: datetime) -> list[Finding]:
    """What is odd about these schedules from an aware instant on, in the order of their names."""
    findings = []
    readable = []
    for spec in sorted(specs, key=lambda each: each.name):
        try:
            expression = Expression.of(spec, cluster)
        except ValueError as error:
            findings.append(Finding(spec.name, "refused", str(error)))
            continue
        upcoming = _upcoming(expression, now)
        findings += [
            Finding(spec.name, code, message) for code, message in _alone(spec, expression, upcoming, now)
        ]
        readable.append((spec, expression, upcoming))
    findings += _duplicates(readable)
    findings += _collisions(readable, now)
    return sorted(findings, key=lambda each: each.schedule)


def _upcoming(expression: Expression, now: datetime) -> list[datetime]:
    """The next fire times, of rare ones two: those of leap days alone would be looked for over 200 years."""
    soon = list(islice(expression.after(now, now + COMPARED_AHEAD), COMPARED_FIRES))
    return soon if len(soon) > 1 else list(islice(expression.after(now), 2))


def _alone(
    spec: ScheduleSpec, expression: Expression, upcoming: list[datetime], now: datetime
) -> Iterator[tuple[str, str]]:
    """Code and message of what one schedule shows by itself."""
    if not upcoming:
        yield "never", f"it never fires: the clocks of {spec.time_zone} never show its times"
        return
    yield from _shifting(expression, now)
    yield from _uneven(spec, expression)
    yield from _both_days(expression)
    yield from _intervals(spec, expression, upcoming)


def _shifting(expression: Expression, now: datetime) -> Iterator[tuple[str, str]]:
    """Times that a change of the offset skips or repeats; all-day elapsed time has none."""
    if expression.follows_elapsed_time and len(expression.hours) == 24:
        return
    skipped: list[tuple[datetime, Shift]] = []
    repeated: list[tuple[datetime, Shift]] = []
    for shift in shifts_between(expression.zone, now, now + SHIFTS_AHEAD):
        early, late = sorted((shift.local_before, shift.local_after))
        # Only the clock is asked: a local time that is skipped has no instant.
        if times := list(islice(expression.local_times(early - _TICK, late - _TICK), 2)):
            (skipped if shift.size > timedelta(0) else repeated).append((times[0], shift))
    elapsed = expression.follows_elapsed_time
    if skipped:
        fires = "does not fire then" if elapsed else f"fires at {_clock(skipped)} instead, once"
        yield "skipped", f"{_dates(skipped)} does not exist in {expression.time_zone}: it {fires}"
    if repeated:
        fires = "fires both times" if elapsed else "fires the first time only"
        yield "repeated", f"{_dates(repeated)} comes twice in {expression.time_zone}: it {fires}"


def _clock(found: list[tuple[datetime, Shift]]) -> str:
    return " or ".join(dict.fromkeys(f"{shift.local_after:%H:%M}" for _, shift in found))


def _dates(found: list[tuple[datetime, Shift]]) -> str:
    by_time: defaultdict[str, list[str]] = defaultdict(list)
    for shown, _ in found[:MOST_DATES]:
        by_time[f"{shown:%H:%M}"].append(f"{shown:%Y-%m-%d}")
    more = f" and {len(found) - MOST_DATES} more dates" if len(found) > MOST_DATES else ""
    return "; ".join(f"{clock} on {', '.join(days)}" for clock, days in by_time.items()) + more


def _uneven(spec: ScheduleSpec, expression: Expression) -> Iterator[tuple[str, str]]:
    """Steps through a whole field that do not come round: after 56 of */7 the next minute is 0."""
    fields = expression.fields
    matched: tuple[Collection[object], ...] = (
        fields.minutes,
        fields.hours,
        fields.days,
        fields.months,
        fields.weekdays,
    )
    for name, whole, written, values in zip(FIELD_NAMES, _WHOLE, spec.cron.split(), matched, strict=False):
        lowest, highest = whole
        if not _STEP.fullmatch(written.replace(f"{lowest}-{highest}/", "*/")):
            continue
        first, *others = sorted(each for each in values if isinstance(each, int) and each <= highest)
        # Where it begins beyond its own step it is meant as a part of the field.
        if not others or first >= lowest + (step := others[0] - first):
            continue
        wrap = highest - lowest + 1 + first - others[-1]
        if name == "day of month":
            yield "uneven", f"{written} as {name} is uneven: months have 28 to 31 days"
        elif wrap != step:
            turn = f"from {others[-1]} to the next {first} it is {wrap}, not {step}"
            yield "uneven", f"{written} as {name} is uneven: {turn}"


def _both_days(expression: Expression) -> Iterator[tuple[str, str]]:
    _, _, day, _, weekday = expression.expanded.split()
    if "*" in {day, weekday}:
        return
    if expression.fields.day_and:
        said = "both must match, because one begins with *"
    else:
        said = "either is enough: it fires on days that match one of them"
    yield "both-days", f"day of month ({day}) and day of week ({weekday}) are both given, and {said}"


def _intervals(
    spec: ScheduleSpec, expression: Expression, upcoming: list[datetime]
) -> Iterator[tuple[str, str]]:
    """Spans that do not fit the shortest time between two fires, by local clocks: a day may have 25 hours."""
    shown = [local(each, offset_at(expression.zone, each)) for each in upcoming]
    shortest = min((late - early for early, late in pairwise(shown) if late > early), default=None)
    if shortest is None:
        return
    if spec.catch_up is not CatchUp.SKIP and spec.catch_up_window < shortest:
        said = f"catch_up_window {spec.catch_up_window} is shorter than the {shortest} between two fires"
        yield "window", f"{said}: after a longer outage nothing is caught up"
    if spec.jitter > shortest:
        said = f"jitter {spec.jitter} is longer than the {shortest} between two fires"
        yield "jitter", f"{said}: a job may come due after that of the next fire time"


def _duplicates(readable: list[_Read]) -> Iterator[Finding]:
    """Schedules that ask for the same at the same times."""
    same: defaultdict[object, list[ScheduleSpec]] = defaultdict(list)
    for spec, _, upcoming in readable:
        if upcoming:
            same[spec.target, frozenset(spec.arguments.items()), tuple(upcoming)].append(spec)
    for first, *others in same.values():
        if others:
            named = _named([each.name for each in others])
            yield Finding(first.name, "duplicate", f"asks for {first.target} at the same times as {named}")


def _collisions(readable: list[_Read], now: datetime) -> Iterator[Finding]:
    """The fullest minute, where many schedules with minutes of their own fire in one."""
    by_minute: defaultdict[datetime, list[str]] = defaultdict(list)
    for spec, expression, upcoming in readable:
        if upcoming and upcoming[0] <= now + COLLISIONS_AHEAD and "H" not in spec.cron.split()[0].upper():
            fires = list(islice(expression.after(now, now + COLLISIONS_AHEAD), MOST_COMPARED + 1))
            for fire_time in fires if len(fires) <= MOST_COMPARED else ():
                by_minute[fire_time].append(spec.name)
    if not by_minute:
        return
    minute, names = max(by_minute.items(), key=lambda found: (len(found[1]), -found[0].timestamp()))
    if len(names) >= MANY:
        said = f"{len(names)} schedules fire at {minute:%Y-%m-%d %H:%M}Z: {_named(names)}"
        advice = "write H for the minute (H * * * *, H/15 * * * *, H 3 * * *) and each gets its own"
        yield Finding(names[0], "collision", f"{said}; {advice}")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
