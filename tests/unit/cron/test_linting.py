from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.cron import Finding, lint
from leaderjobs.model.schedule import CatchUp, ScheduleSpec

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def spec(cron: str, zone: str = "UTC", name: str = "books", target: str = "") -> ScheduleSpec:
    return ScheduleSpec(
        name,
        target or name,
        cron,
        time_zone=zone,
        catch_up_window=timedelta(days=366),
        catch_up=CatchUp.LATEST,
    )


def found(*specs: ScheduleSpec) -> dict[str, str]:
    """Messages by code."""
    findings = lint(specs, "main", NOW)
    assert len({each.code for each in findings}) == len(findings)
    return {each.code: each.message for each in findings}


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("*/15 * * * *", "Europe/Berlin"),
        ("H * * * *", "Europe/Berlin"),
        ("H/15 * * * *", "Europe/Berlin"),
        ("0 5 * * *", "Europe/Berlin"),
        ("30 2 * * *", "UTC"),
        ("30 2 * * *", "Asia/Kolkata"),
        ("0 9-17/3 * * MON-FRI", "UTC"),
        ("40/7 * * * *", "UTC"),
        ("0 */6 1 */3 *", "UTC"),
    ],
)
def test_what_does_as_it_says_has_no_findings(cron: str, zone: str) -> None:
    assert found(spec(cron, zone)) == {}


def test_fixed_times_that_a_shift_skips_or_repeats_are_named_with_their_dates() -> None:
    assert found(spec("30 2 * * *", "Europe/Berlin")) == {
        "skipped": (
            "02:30 on 2027-03-28, 2028-03-26 does not exist in Europe/Berlin: it fires at 03:00 instead, once"
        ),
        "repeated": "02:30 on 2027-10-31, 2028-10-29 comes twice in Europe/Berlin: it fires the first time only",
    }


def test_elapsed_time_within_some_hours_does_not_fire_in_the_gap_and_twice_in_the_repeated_hour() -> None:
    assert found(spec("*/15 1 * * *", "America/New_York")) == {
        "repeated": "01:00 on 2027-11-07, 2028-11-05 comes twice in America/New_York: it fires both times"
    }
    assert found(spec("*/15 2 * * *", "America/New_York")) == {
        "skipped": "02:00 on 2027-03-14, 2028-03-12 does not exist in America/New_York: it does not fire then"
    }


def test_only_so_many_dates_are_named() -> None:
    message = found(spec("0-59/5 0-23 * * *", "Africa/Casablanca"))["skipped"]
    assert message.startswith("02:00 on 2027-03-14, 2028-03-05 does not exist in Africa/Casablanca")


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("*/7 * * * *", "*/7 as minute is uneven: from 56 to the next 0 it is 4, not 7"),
        ("0-59/7 * * * *", "0-59/7 as minute is uneven: from 56 to the next 0 it is 4, not 7"),
        ("3/7 * * * *", "3/7 as minute is uneven: from 59 to the next 3 it is 4, not 7"),
        ("0 */5 * * *", "*/5 as hour is uneven: from 20 to the next 0 it is 4, not 5"),
        ("0 0 */2 * *", "*/2 as day of month is uneven: months have 28 to 31 days"),
        ("0 0 1 */5 *", "*/5 as month is uneven: from 11 to the next 1 it is 2, not 5"),
        ("0 0 * * */2", "*/2 as day of week is uneven: from 6 to the next 0 it is 1, not 2"),
    ],
)
def test_steps_that_do_not_come_round_are_uneven(cron: str, message: str) -> None:
    assert found(spec(cron)) == {"uneven": message}


def test_an_uneven_step_from_h_is_uneven_too() -> None:
    assert found(spec("H/13 * * * *"))["uneven"].startswith("H/13 as minute is uneven: from ")


def test_both_days_are_named_with_how_they_join() -> None:
    assert found(spec("0 0 13 * FRI")) == {
        "both-days": (
            "day of month (13) and day of week (FRI) are both given, and either is enough: it fires on days "
            "that match one of them"
        )
    }
    assert "both must match" in found(spec("0 0 */31 * FRI"))["both-days"]


def test_what_cannot_be_read_or_never_fires_is_found() -> None:
    assert found(spec("0 0 30 2 *"))["refused"].startswith("allowed: an expression that fires")
    assert found(spec("*/5 2 8-14 3 */7", "America/New_York")) == {
        "never": "it never fires: the clocks of America/New_York never show its times"
    }


def test_spans_that_do_not_fit_the_interval_are_found() -> None:
    weekly = dataclasses.replace(
        spec("0 0 * * 0"), catch_up_window=timedelta(days=1), jitter=timedelta(days=8)
    )
    assert found(weekly) == {
        "window": (
            "catch_up_window 1 day, 0:00:00 is shorter than the 7 days, 0:00:00 between two fires: "
            "after a longer outage nothing is caught up"
        ),
        "jitter": (
            "jitter 8 days, 0:00:00 is longer than the 7 days, 0:00:00 between two fires: a job may come due "
            "after that of the next fire time"
        ),
    }
    assert found(dataclasses.replace(weekly, catch_up=CatchUp.SKIP, jitter=timedelta(0))) == {}
    daily = dataclasses.replace(spec("0 5 * * *", "Europe/Berlin"), catch_up_window=timedelta(days=1))
    assert found(daily) == {}


def test_two_schedules_that_ask_for_the_same_at_the_same_times_are_duplicates() -> None:
    same = [spec("@daily", name="b", target="books"), spec("0 0 * * *", name="a", target="books")]
    assert lint(same, "main", NOW) == [Finding("a", "duplicate", "asks for books at the same times as b")]
    other = dataclasses.replace(same[0], arguments={"day": "{fire_date}"})
    assert lint([other, same[1]], "main", NOW) == []


def test_many_schedules_of_one_minute_are_a_collision_unless_they_say_h() -> None:
    crowd = [spec("0 3 * * *", name=f"sync{n:02}") for n in range(12)]
    assert lint(crowd, "main", NOW) == [
        Finding(
            "sync00",
            "collision",
            "12 schedules fire at 2026-11-26 03:00Z: sync00, sync01, sync02, sync03, sync04 and 7 more; "
            "write H for the minute (H * * * *, H/15 * * * *, H 3 * * *) and each gets its own",
        )
    ]
    assert lint([spec("H 3 * * *", name=f"sync{n:02}") for n in range(12)], "main", NOW) == []
    assert lint([spec("* * * * *", name=f"sync{n:02}") for n in range(12)], "main", NOW) == []


def test_hundreds_of_schedules_are_looked_at_within_seconds() -> None:
    crons = ["*/5 * * * *", "H/15 * * * *", "0 2 * * *", "0 0 29 2 *", "* * * * *"]
    begun = time.process_time()
    lint([spec(crons[n % 5], "Europe/Berlin", f"sync{n}") for n in range(200)], "main", NOW)
    assert time.process_time() - begun < 5
