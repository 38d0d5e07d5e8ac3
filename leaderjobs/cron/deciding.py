"""What becomes of the fire times that have come due; pure, so that it can be run against any clock.

A fire time is late when nobody decided it within LATE_AFTER: the pause of a failover must not eat a fire of a
schedule that does not catch up. What is not late is always enqueued. Of the late ones

- `skip` wants none;
- `latest` wants the newest, if it lies within the window and none that is not late is due with it;
- `all` wants each within the window.

Everything else is missed. Two weeks of missed fires are counted, not stored: only the newest get rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from leaderjobs.cron.expression import Expression
from leaderjobs.cron.zones import find_zone
from leaderjobs.model.schedule import CatchUp, FireOutcome, ScheduleSpec

LATE_AFTER = timedelta(seconds=60)
"""A fire time decided later than this needs `catch_up`."""
MOST_MISSED_ROWS = 100
"""Missed fire times that one decision lists; the newest."""
MOST_COUNTED = 10_000
"""Missed fire times that are counted one by one: a week of minutes; beyond it only that there are more."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DecidedFire:
    """One fire time that is decided now."""

    fire_time: datetime
    outcome: FireOutcome
    reason: str = ""
    """Why it was missed, or that it was caught up; empty when it was in time."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What to store in one transaction, and when to look again."""

    fires: tuple[DecidedFire, ...]
    """Rising. Missed ones only as far as MOST_MISSED_ROWS goes."""
    missed: int
    """All missed ones, those without a row too."""
    missed_more: bool
    """There are more than `missed`, which stopped at MOST_COUNTED."""
    until: datetime
    """The new `decided_until`; the old one when nothing was due."""
    next: datetime | None
    """The first fire time after `until`: in the past when `most` left some to the next call. None: never."""


def decide(
    spec: ScheduleSpec, expression: Expression, decided_until: datetime, now: datetime, most: int
) -> Decided:
    """Decide the fire times in (decided_until, now], all of them unless `most` leaves some for the next call.

    A `now` before `decided_until` (the database's clock went back) decides nothing.

    Args:
        spec: For `catch_up` and its window.
        expression: Its cron expression.
        decided_until: The last fire time that was decided, or when the schedule was added or changed.
        now: By the database's clock; aware.
        most: Fire times in the answer; from 4 on one that is in time never waits for the next call behind
            missed ones.
    """
    first = next(expression.after(decided_until), None)
    if first is None or first > now:
        return Decided((), 0, False, decided_until, first)
    wanted = _wanted_from(spec, expression, now)
    missed, more, rows = _missed(
        expression, decided_until, wanted - _TICK, min(MOST_MISSED_ROWS, most - most // 2)
    )
    why = _why_missed(spec)
    fires = [DecidedFire(each, FireOutcome.MISSED, why) for each in rows]
    for each in islice(expression.after(max(decided_until, wanted - _TICK), now), most - len(fires)):
        reason = f"caught up {_span(now - each)} late" if now - each > LATE_AFTER else ""
        fires.append(DecidedFire(each, FireOutcome.ENQUEUED, reason))
    until = fires[-1].fire_time if fires else decided_until
    return Decided(tuple(fires), missed, more, until, next(expression.after(until), None))


def _wanted_from(spec: ScheduleSpec, expression: Expression, now: datetime) -> datetime:
    """From which instant on the due fire times are enqueued; those before are missed."""
    in_time = now - LATE_AFTER
    window = min(in_time, now - spec.catch_up_window)
    match spec.catch_up:
        case CatchUp.SKIP:
            return in_time
        case CatchUp.ALL:
            return window
        case CatchUp.LATEST:
            if next(expression.after(in_time - _TICK, now), None):
                return in_time
            newest = expression.latest_at_or_before(now)
            return newest if newest is not None and window <= newest else in_time


def _missed(
    expression: Expression, after: datetime, until: datetime, most: int
) -> tuple[int, bool, list[datetime]]:
    """How many fire times (after, until] holds, whether it holds even more, and the newest, rising."""
    counted = list(islice(expression.after(after, max(after, until)), MOST_COUNTED + 1))
    if len(counted) <= MOST_COUNTED:
        return len(counted), False, counted[-most:]
    return MOST_COUNTED, True, list(islice(_newest_first(expression, until), most))[::-1]


def _newest_first(expression: Expression, until: datetime) -> Iterator[datetime]:
    while (found := expression.latest_at_or_before(until)) is not None:
        yield found
        until = found - _TICK


def _why_missed(spec: ScheduleSpec) -> str:
    match spec.catch_up:
        case CatchUp.SKIP:
            return "late, and catch_up is skip"
        case CatchUp.ALL:
            return f"late by more than catch_up_window, {_span(spec.catch_up_window)}"
        case CatchUp.LATEST:
            return f"late, and not the latest within catch_up_window, {_span(spec.catch_up_window)}"


def jitter(spec: ScheduleSpec, fire_time: datetime) -> timedelta:
    """How much later than `fire_time` its job becomes due: from nothing up to, not including, `spec.jitter`.

    The same on every member and in every process: it is hashed from the name and the fire time.
    """
    most = spec.jitter // timedelta(microseconds=1)
    if most <= 0:
        return timedelta(0)
    digest = hashlib.sha256(f"{spec.name}\0{fire_time.astimezone(UTC).isoformat()}".encode()).digest()
    return timedelta(microseconds=int.from_bytes(digest[:8]) % most)


def arguments_at(spec: ScheduleSpec, fire_time: datetime) -> Mapping[str, str]:
    """The arguments of the operation for one fire time.

    `{fire_time}` becomes the instant in UTC, as 2026-11-25T05:00:00Z, and `{fire_date}` the date in the
    schedule's zone, as 2026-11-25. Every other brace stays as it is, and nothing escapes these two:
    `{{fire_date}}` becomes `{2026-11-25}`.
    """
    instant = f"{fire_time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    day = fire_time.astimezone(find_zone(spec.time_zone)).date().isoformat()
    return {
        key: value.replace("{fire_time}", instant).replace("{fire_date}", day)
        for key, value in spec.arguments.items()
    }


def _span(span: timedelta) -> str:
    """As the configuration would write it, to the second: 1d2h, 90s is 1m30s."""
    left = round(span.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
