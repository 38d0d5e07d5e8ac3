from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.cron import MOST_MISSED_ROWS, Decided, Expression, arguments_at, decide, jitter
from leaderjobs.model.schedule import CatchUp, FireOutcome, ScheduleSpec

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def spec(
    cron: str = "0 * * * *", catch_up: CatchUp = CatchUp.LATEST, window: timedelta = DAY
) -> ScheduleSpec:
    return ScheduleSpec("books", "books", cron, catch_up=catch_up, catch_up_window=window)


def decided(given: ScheduleSpec, since: datetime, now: datetime, most: int = 1000) -> Decided:
    return decide(given, Expression.of(given, "main"), since, now, most)


def enqueued(found: Decided) -> list[datetime]:
    return [each.fire_time for each in found.fires if each.outcome is FireOutcome.ENQUEUED]


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_fire_time_that_is_not_late_is_enqueued_whatever_catch_up_says(catch_up: CatchUp) -> None:
    for late in (timedelta(0), timedelta(seconds=60)):
        found = decided(spec(catch_up=catch_up, window=timedelta(0)), NOON - MINUTE, NOON + late)
        assert enqueued(found) == [NOON]
        assert (found.missed, found.until, found.next) == (0, NOON, NOON + HOUR)
        assert not found.fires[0].reason


@pytest.mark.parametrize("catch_up", CatchUp)
def test_nothing_due_decides_nothing_and_names_the_next_fire_time(catch_up: CatchUp) -> None:
    found = decided(spec(catch_up=catch_up), NOON, NOON + 59 * MINUTE)
    assert (found.fires, found.until, found.next) == ((), NOON, NOON + HOUR)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_clock_that_goes_back_decides_nothing(catch_up: CatchUp) -> None:
    found = decided(spec(catch_up=catch_up), NOON, NOON - 5 * HOUR)
    assert (found.fires, found.missed, found.until, found.next) == ((), 0, NOON, NOON + HOUR)


def test_skip_misses_each_late_one() -> None:
    found = decided(spec(catch_up=CatchUp.SKIP), NOON - 3 * HOUR, NOON + 2 * MINUTE)
    assert [(each.outcome, each.reason) for each in found.fires] == [
        (FireOutcome.MISSED, "late, and catch_up is skip")
    ] * 3
    assert (found.missed, found.until) == (3, NOON)


def test_latest_enqueues_only_the_newest() -> None:
    found = decided(spec(), NOON - 3 * HOUR, NOON + 2 * MINUTE)
    assert [(each.fire_time, each.outcome) for each in found.fires] == [
        (NOON - 2 * HOUR, FireOutcome.MISSED),
        (NOON - HOUR, FireOutcome.MISSED),
        (NOON, FireOutcome.ENQUEUED),
    ]
    assert found.fires[0].reason == "late, and not the latest within catch_up_window, 1d"
    assert found.fires[-1].reason == "caught up 2m late"


def test_latest_leaves_the_late_ones_where_one_in_time_is_due_with_them() -> None:
    found = decided(spec(), NOON - 3 * HOUR, NOON + timedelta(seconds=5))
    assert enqueued(found) == [NOON]
    assert found.missed == 2


def test_latest_older_than_the_window_is_missed() -> None:
    found = decided(spec(window=HOUR), NOON - 30 * HOUR, NOON + HOUR - MINUTE)
    assert enqueued(found) == [NOON]
    found = decided(spec("0 12 * * *", window=HOUR), NOON - 30 * HOUR, NOON + HOUR + MINUTE)
    assert enqueued(found) == []
    assert found.until == NOON


def test_all_enqueues_each_within_the_window() -> None:
    found = decided(spec(catch_up=CatchUp.ALL, window=2 * HOUR), NOON - 5 * HOUR, NOON)
    assert enqueued(found) == [NOON - 2 * HOUR, NOON - HOUR, NOON]
    assert [each.fire_time for each in found.fires][:2] == [NOON - 4 * HOUR, NOON - 3 * HOUR]
    assert found.fires[0].reason == "late by more than catch_up_window, 2h"


def test_what_one_call_leaves_the_next_one_decides() -> None:
    given, since, seen = spec("*/5 * * * *", CatchUp.ALL), NOON - 2 * HOUR, []
    while (found := decided(given, since, NOON, most=5)).fires:
        assert len(found.fires) <= 5
        assert found.next == found.until + 5 * MINUTE
        seen += enqueued(found)
        since = found.until
    assert seen == [NOON - 2 * HOUR + n * 5 * MINUTE for n in range(1, 25)]
    assert found.next == NOON + 5 * MINUTE


@pytest.mark.parametrize("catch_up", CatchUp)
def test_two_weeks_of_five_minutes_are_counted_and_only_the_newest_listed(catch_up: CatchUp) -> None:
    found = decided(spec("*/5 * * * *", catch_up, HOUR), NOON - 14 * DAY, NOON + 2 * MINUTE)
    due = 14 * 24 * 12
    wanted = {CatchUp.SKIP: 0, CatchUp.LATEST: 1, CatchUp.ALL: 12}[catch_up]
    assert len(enqueued(found)) == wanted
    assert (found.missed, found.missed_more) == (due - wanted, False)
    assert len(found.fires) == MOST_MISSED_ROWS + wanted
    gaps = {
        late.fire_time - early.fire_time for early, late in zip(found.fires, found.fires[1:], strict=False)
    }
    assert gaps == {5 * MINUTE}
    assert (found.until, found.next) == (NOON, NOON + 5 * MINUTE)


def test_years_of_minutes_are_counted_only_so_far() -> None:
    found = decided(spec("* * * * *"), NOON - 3000 * DAY, NOON)
    assert (found.missed, found.missed_more) == (10_000, True)
    assert found.fires[0].fire_time == NOON - (MOST_MISSED_ROWS + 1) * MINUTE
    assert [each.fire_time for each in found.fires[-3:]] == [NOON - 2 * MINUTE, NOON - MINUTE, NOON]
    assert enqueued(found) == [NOON - MINUTE, NOON]
    assert found.until == NOON


@pytest.mark.parametrize("catch_up", [CatchUp.SKIP, CatchUp.LATEST])
def test_what_is_in_time_is_not_left_for_a_later_call_behind_missed_ones(catch_up: CatchUp) -> None:
    found = decided(spec("* * * * *", catch_up), NOON - DAY, NOON, most=4)
    assert enqueued(found) == [NOON - MINUTE, NOON]


def test_jitter_is_below_its_bound_and_the_same_for_the_same_fire_time() -> None:
    given = dataclasses.replace(spec(), jitter=timedelta(seconds=30))
    found = [jitter(given, NOON + n * HOUR) for n in range(300)]
    assert found == [jitter(given, NOON + n * HOUR) for n in range(300)]
    assert min(found) >= timedelta(0)
    assert max(found) < given.jitter
    assert min(found) < timedelta(seconds=3)
    assert max(found) > timedelta(seconds=27)
    assert jitter(given, NOON) != jitter(dataclasses.replace(given, name="other"), NOON)
    assert jitter(spec(), NOON) == timedelta(0)


def test_arguments_name_the_fire_time_in_utc_and_its_date_in_the_zone() -> None:
    given = dataclasses.replace(
        spec(),
        time_zone="Asia/Tokyo",
        arguments={
            "key": "day-{fire_date}",
            "at": "{fire_time}",
            "doc": '{"a": {}}',
            "twice": "{{fire_date}}",
        },
    )
    assert arguments_at(given, datetime(2026, 11, 25, 16, tzinfo=UTC)) == {
        "key": "day-2026-11-26",
        "at": "2026-11-25T16:00:00Z",
        "doc": '{"a": {}}',
        "twice": "{2026-11-26}",
    }
