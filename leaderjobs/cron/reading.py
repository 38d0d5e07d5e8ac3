"""What an expression says, in English, and which of its fields an instant does not match."""

from __future__ import annotations

import re
from datetime import datetime

from cronsim import CronSim
from cronsim.explain import explain

MOST_VALUES = 12
"""Values of a field that are listed; of more its text is shown."""
_ORDINAL = re.compile(r"(?<=[02-9])(1|2|3)th\b")
_ENDINGS = {"1": "1st", "2": "2nd", "3": "3rd"}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def described(expanded: str) -> str:
    """An expression of five fields in English.

    >>> described("30 2 21 * *")
    'At 02:30 on the 21st day of every month'
    """
    # cronsim writes 21th.
    return _ORDINAL.sub(lambda found: _ENDINGS[found[1]], explain(expanded))


def mismatches(fields: CronSim, expanded: str, shown: datetime) -> list[str]:
    """For each field that does not match a naive local time: what it is, and what is wanted."""
    minute, hour, day, month, weekday = expanded.split()
    found = []
    if shown.minute not in fields.minutes:
        found.append(_said("minute", f"{shown:%M}", _values(fields.minutes, minute)))
    if shown.hour not in fields.hours:
        found.append(_said("hour", f"{shown:%H}", _values(fields.hours, hour)))
    if shown.month not in fields.months:
        found.append(_said("month", f"{shown:%m}", _values(fields.months, month)))
    if fields.match_day(shown):
        return found
    today = _DAYS[(shown.weekday() + 1) % 7]
    dates = _said("day of month", f"{shown:%d}", _values(fields.days, day))
    weekdays = _said("day of week", today, weekday)
    if fields.day_and:
        found += [dates] if not fields.match_dom(shown) else []
        found += [weekdays] if not fields.match_dow(shown) else []
    else:
        found.append(f"{dates}, or {weekdays}")
    return found


def _said(name: str, is_now: str, wanted: str) -> str:
    return f"{name} is {is_now}, the expression wants {wanted}"


def _values(values: set[int], text: str) -> str:
    """The values in words; the text where there are many, or where it names none (L)."""
    return text if len(values) > MOST_VALUES or min(values) < 0 else ", ".join(map(str, sorted(values)))
