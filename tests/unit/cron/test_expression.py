from __future__ import annotations

import itertools
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.cron import Expression

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


def expression(text: str, zone: str = "UTC", seed: str = "main/books") -> Expression:
    return Expression.parse(text, zone, seed)


def upcoming(text: str, count: int = 3, zone: str = "UTC") -> list[str]:
    return [f"{each:%m-%d %H:%M}" for each in itertools.islice(expression(text, zone).after(NOW), count)]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("@hourly", ["11-25 13:00", "11-25 14:00", "11-25 15:00"]),
        ("@DAILY", ["11-26 00:00", "11-27 00:00", "11-28 00:00"]),
        ("@midnight", ["11-26 00:00", "11-27 00:00", "11-28 00:00"]),
        ("@weekly", ["11-29 00:00", "12-06 00:00", "12-13 00:00"]),
        ("@monthly", ["12-01 00:00", "01-01 00:00", "02-01 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("0 9 * * mon-fri", ["11-26 09:00", "11-27 09:00", "11-30 09:00"]),
        ("0 9 L * *", ["11-30 09:00", "12-31 09:00", "01-31 09:00"]),
        ("0 9 LW * *", ["11-30 09:00", "12-31 09:00", "01-29 09:00"]),
        ("0 9 * * 5L", ["11-27 09:00", "12-25 09:00", "01-29 09:00"]),
        ("0 9 * * MON#2", ["12-14 09:00", "01-11 09:00", "02-08 09:00"]),
        ("0 9 * * 7", ["11-29 09:00", "12-06 09:00", "12-13 09:00"]),
        ("0 9 13 * FRI", ["11-27 09:00", "12-04 09:00", "12-11 09:00"]),
        ("5/20 12 * * *", ["11-25 12:05", "11-25 12:25", "11-25 12:45"]),
    ],
)
def test_fires_as_cron_does(text: str, times: list[str]) -> None:
    assert upcoming(text) == times


def test_after_is_strict_and_until_is_included() -> None:
    hourly = expression("0 * * * *")
    assert next(hourly.after(NOW)) == NOW + timedelta(hours=1)
    assert next(hourly.after(NOW - timedelta(microseconds=1))) == NOW
    assert list(hourly.after(NOW, NOW)) == []
    assert list(hourly.after(NOW, NOW + timedelta(hours=1))) == [NOW + timedelta(hours=1)]


def test_rare_days_are_found_far_ahead_and_far_back() -> None:
    leap_sunday = expression("0 0 29 2 */7")
    assert next(leap_sunday.after(NOW)).date().isoformat() == "2032-02-29"
    found = leap_sunday.latest_at_or_before(NOW)
    assert found is not None
    assert found.date().isoformat() == "2004-02-29"


def test_an_expression_that_only_a_gap_would_match_has_no_fire_times() -> None:
    # New York's clocks jump from 2 to 3 on the second Sunday of March, since 2007.
    never = expression("*/5 2 8-14 3 */7", "America/New_York")
    assert next(never.after(NOW), None) is None
    assert never.latest_at_or_before(NOW) == datetime(2006, 3, 12, 7, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "",
            "allowed: 5 fields, minute hour day-of-month month day-of-week, or an alias such as @hourly, not 0",
        ),
        (
            "0 * * * * *",
            (
                "allowed: 5 fields, minute hour day-of-month month day-of-week, or an alias such as @hourly, not 6; "
                "seconds and years are not taken"
            ),
        ),
        (
            "60 * * * *",
            "allowed: as minute 0-59, such as 5, */15, 10-20, 1,31 or H; ranges rise; '60' is not one",
        ),
        (
            "0 22-2 * * *",
            "allowed: as hour 0-23, such as 5, */6, 9-17, 1,13 or H; ranges rise; '22-2' is not one",
        ),
        (
            "0 0 15W * *",
            (
                "allowed: as day of month 1-31, L (the last) or LW (the last working day), such as 1, 1,15 or H; "
                "ranges rise; '15W' is not one"
            ),
        ),
        (
            "0 0 1 MAI *",
            "allowed: as month 1-12 or JAN-DEC, such as 1, */3, MAR-MAY or H; ranges rise; 'MAI' is not one",
        ),
        (
            "0 0 * * MON-SUN",
            (
                "allowed: as day of week 0-7 (0 and 7 are Sunday) or SUN-SAT, such as MON-FRI, MON#2 (the second), "
                "5L (the last Friday) or H; ranges rise; 'MON-SUN' is not one"
            ),
        ),
        (
            "H(50-70) * * * *",
            (
                "allowed: as minute H, H/STEP, H(FIRST-LAST) or H(FIRST-LAST)/STEP of 0-59, "
                "the step from 2 to the size of the range; 'H(50-70)' is not one"
            ),
        ),
        (
            "0 0 30 2 *",
            "allowed: an expression that fires; no day matches its day of month, month and day of week",
        ),
        (
            "0 0 */31 * 1#2",
            "allowed: an expression that fires; no day matches its day of month, month and day of week",
        ),
        ("TZ=UTC 0 * * * *", "allowed: five fields without a zone before them; set time_zone instead"),
        ("CRON_TZ=UTC 0 * * * *", "allowed: five fields without a zone before them; set time_zone instead"),
        (
            "@reboot",
            (
                "allowed: 5 fields or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually; "
                "@reboot is not: members start and stop, the schedule is the cluster's"
            ),
        ),
        (
            "@every 5m",
            (
                "allowed: 5 fields or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually; "
                "@every is not: write steps, such as */5 for every 5 minutes"
            ),
        ),
        (
            "@daly",
            (
                "allowed: 5 fields or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually; "
                "did you mean @daily?"
            ),
        ),
        ("1," * 200 + "1 * * * *", "allowed: up to 256 characters, not 409"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as refused:
        expression(text)
    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "; did you mean Europe/Berlin?"),
        ("Berlin", "; did you mean Europe/Berlin?"),
        ("New York", "; did you mean America/New_York?"),
        ("America/New_Yrok", "; did you mean America/New_York?"),
        ("localtime", ""),
        ("right/UTC", ""),
        ("../etc/passwd", ""),
        ("America", ""),
        ("", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_a_near_one(zone: str, hint: str) -> None:
    with pytest.raises(ValueError) as refused:
        expression("@daily", zone)
    assert str(refused.value) == (
        f'allowed: a zone of the tz database, such as "America/New_York" or "UTC", not {zone!r}{hint}'
    )


@pytest.mark.parametrize(
    "text", ["H H H H H", "H/15 H(9-17)/2 * * *", "H(0-29),59 * H(10-20) * *", "H/2 * * * *"]
)
def test_h_stays_in_its_range_and_depends_on_the_seed(text: str) -> None:
    seen = {expression(text, seed=f"main/{n}").expanded for n in range(200)}
    assert len(seen) > 1
    for expanded in seen:
        minute, hour, day, _, weekday = expanded.split()
        assert "H" not in expanded
        assert day == "*" or 1 <= int(day) <= 28
        assert weekday == "*" or 0 <= int(weekday) <= 6
        if "(9-17)" in text:
            assert set(map(int, hour.split(","))) in ({9, 11, 13, 15, 17}, {10, 12, 14, 16})
            first = int(minute.split(",")[0])
            assert minute == f"{first},{first + 15},{first + 30},{first + 45}"


def test_h_is_spread_over_its_range() -> None:
    minutes = [int(expression("H * * * *", seed=f"main/{n}").expanded.split()[0]) for n in range(600)]
    assert set(minutes) == set(range(60))
    assert max(map(minutes.count, range(60))) < 30


def test_h_is_the_same_in_every_process_and_differs_between_fields() -> None:
    here = expression("H H * * *").expanded
    assert here == "12 19 * * *"
    code = "from leaderjobs.cron import Expression; print(Expression.parse('H H * * *', 'UTC', 'main/books').expanded)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout.strip() == here


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("30 2 * * *", "Europe/Berlin", "At 02:30 every day, by the clocks of Europe/Berlin"),
        ("0 9 21 * *", "UTC", "At 09:00 on the 21st day of every month, in UTC"),
        ("@hourly", "UTC", "At the start of every hour, in UTC"),
        (
            "0 9 11-22,31 * *",
            "UTC",
            "At 09:00 on every day of month from 11 through 22 and the 31st day of month, in UTC",
        ),
    ],
)
def test_explains_itself_in_english(text: str, zone: str, said: str) -> None:
    assert expression(text, zone).explain() == said


@pytest.mark.parametrize(
    ("text", "zone", "at", "said"),
    [
        ("*/15 * * * *", "UTC", "2026-11-25T12:15:59", ""),
        ("*/15 * * * *", "UTC", "2026-11-25T12:07:30", "minute is 07, the expression wants 0, 15, 30, 45"),
        (
            "0 9-17 * * *",
            "UTC",
            "2026-11-25T08:00:00",
            "hour is 08, the expression wants 9, 10, 11, 12, 13, 14, 15, 16, 17",
        ),
        ("0-50 8 * * *", "UTC", "2026-11-25T08:51:00", "minute is 51, the expression wants 0-50"),
        (
            "0 9 * 1 MON",
            "UTC",
            "2026-11-25T12:00:00",
            (
                "hour is 12, the expression wants 9; month is 11, the expression wants 1; "
                "day of week is WED, the expression wants MON"
            ),
        ),
        (
            "0 12 L * MON",
            "UTC",
            "2026-11-25T12:00:00",
            "day of month is 25, the expression wants L, or day of week is WED, the expression wants MON",
        ),
        ("30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00", ""),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-10-31T01:30:00",
            "02:30 comes twice that day in Europe/Berlin; a fixed time fires the first time",
        ),
        ("30 2 * * *", "Europe/Berlin", "2027-10-31T00:30:00", ""),
    ],
)
def test_says_which_field_an_instant_does_not_match(text: str, zone: str, at: str, said: str) -> None:
    assert expression(text, zone).misses(datetime.fromisoformat(at).replace(tzinfo=UTC)) == said


def test_the_same_expression_is_parsed_once() -> None:
    assert expression("1 2 * * *") is expression("1 2 * * *")
    assert expression("1 2 * * *") != expression("1 2 * * *", "Europe/Berlin")
