"""Every zone of tzdata against the brute-force oracle: no double fire, no gap.

Zones with one sequence of offsets over the span are one zone here (some 600 names, 65 sequences). In CI the oracle
walks around each change of each of them; where the offset is steady the fire times follow by arithmetic, and
the daily ones are compared over the whole span. The full walk is
`python -m pytest -m soak tests/unit/cron/test_zones_sweep.py`.
"""

from __future__ import annotations

import functools
import itertools
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from leaderjobs.cron import Expression
from tests.unit.cron.oracle import MINUTE, Pattern, Shifts, fires, zones_by_shifts

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2028, 11, 30, tzinfo=UTC)
BEFORE = timedelta(hours=5)
AFTER = timedelta(hours=27)
DAILY = ["0 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *", "45 23 * * *"]
HOURLY = ["0 * * * *", "40 * * * *"]
QUARTERS = ["*/15 * * * *"]
# cronsim 2.8 loses fire times of these at Lord Howe and Chatham, or runs in circles there.
HARD = ["*/15 2 * * *", "*/15 3 * * *", "0 */2 * * *", "0,30 1-3 * * *", "0-59/20 0-23 * * *"]
PATTERNS = [Pattern.read(text) for text in [*DAILY, *HOURLY, *QUARTERS, *HARD]]


@functools.cache
def groups(probe: timedelta = timedelta(days=1)) -> dict[Shifts, list[str]]:
    return zones_by_shifts(START, END, probe)


def found(text: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    return list(Expression.parse(text, zone, "").after(start - MINUTE, end))


def test_every_zone_of_tzdata_is_in_one_group() -> None:
    named = sorted(itertools.chain.from_iterable(groups().values()))
    assert named == sorted(available_timezones() - {"localtime", "Factory"})
    assert len(named) > 400
    assert len(groups()) > 50


def test_around_each_change_of_each_zone_fire_times_are_those_of_the_oracle() -> None:
    walked = 0
    for (_, shifts), names in groups().items():
        for at, _ in shifts:
            start, end = at - BEFORE, at + AFTER
            for text, expected in fires(PATTERNS, ZoneInfo(names[0]), start, end).items():
                assert found(text, names[0], start, end) == expected, (names, text, at)
                walked += len(expected)
    assert walked > 10_000


def test_going_on_from_any_instant_gives_the_rest_of_the_same_sequence() -> None:
    chosen = random.Random(5)
    for (_, shifts), names in groups().items():
        for at, _ in shifts[:2]:
            for text in chosen.sample(PATTERNS, 4):
                every = found(text.text, names[0], at - BEFORE, at + AFTER)
                expression = Expression.parse(text.text, names[0], "")
                instant = at + timedelta(microseconds=chosen.randrange(-4 * 3600 * 10**6, 4 * 3600 * 10**6))
                for begin in [instant, *every[:1], chosen.choice(every)]:
                    rest = [each for each in every if each > begin]
                    assert list(expression.after(begin, at + AFTER)) == rest, (names, text.text, begin)
                    before = [each for each in every if each <= begin]
                    if before:
                        assert expression.latest_at_or_before(begin) == before[-1], (names, text.text, begin)


def test_a_daily_time_fires_once_on_each_date_of_two_years_in_every_zone() -> None:
    for names in groups().values():
        zone = ZoneInfo(names[0])
        for text in ["0 0 * * *", "30 2 * * *"]:
            times = found(text, names[0], START, END)
            dates = [each.astimezone(zone).date() for each in times]
            assert all(late - early == timedelta(days=1) for early, late in itertools.pairwise(dates)), names
            assert START + timedelta(days=1) > times[0]
            assert times[-1] > END - timedelta(days=1)


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Europe/Dublin"])
def test_four_times_an_hour_fires_at_every_quarter_of_two_years(zone: str) -> None:
    quarter = timedelta(minutes=15)
    expected = [START + n * quarter for n in range((END - START) // quarter + 1)]
    assert found("*/15 * * * *", zone, START, END) == expected


def test_two_months_minute_by_minute_where_clocks_shift_by_half_an_hour() -> None:
    start, end = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)
    patterns = [Pattern.read(text) for text in ["30 2 * * *", "0 * * * *", "*/15 * * * *"]]
    for text, expected in fires(patterns, ZoneInfo("Australia/Lord_Howe"), start, end).items():
        assert found(text, "Australia/Lord_Howe", start, end) == expected


def test_a_day_that_a_country_skipped_has_no_fire_times() -> None:
    # Samoa crossed the date line: after 29 December 2011 came the 31st.
    start, end = datetime(2011, 12, 29, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)
    for text, expected in fires(PATTERNS, ZoneInfo("Pacific/Apia"), start, end).items():
        assert found(text, "Pacific/Apia", start, end) == expected


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_every_zone_minute_by_minute_over_two_years() -> None:
    """Some 65 zones with a million minutes each: `python -m pytest -m soak tests/unit/cron/test_zones_sweep.py`."""
    for names in groups(timedelta(minutes=15)).values():
        for text, expected in fires(PATTERNS, ZoneInfo(names[0]), START, END).items():
            assert found(text, names[0], START, END) == expected, (names, text)
