"""Schedules fired by hand: triggered now, and backfilled for a window of the past."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from leaderjobs.engine import firing
from leaderjobs.engine.firing import Backfilled, Configured, Wishes
from leaderjobs.engine.planner import Planner
from leaderjobs.errors import Refused, UsageError
from leaderjobs.model.schedule import CatchUp, FireOutcome, Overlap, ScheduleSpec
from leaderjobs.store.schedules import KEPT_FIRES
from tests.integration.engine.scheduling import SPEC, Planning, planning
from tests.integration.engine.shop import STRIPE_LIKE, Pay

MINUTE = timedelta(minutes=1)
PAY = replace(SPEC, name="rent", target="c.pay", arguments={"invoice": "rent-{fire_date}", "amount": "12"})


@pytest.fixture
def plan(migrated_url: str) -> Iterator[Planning]:
    with planning(migrated_url, f"c{uuid.uuid4().hex[:12]}") as made:
        made.script.operations = {"pay": Pay(STRIPE_LIKE)}
        yield made


def wishes(plan: Planning) -> Wishes:
    return Wishes(lambda: plan.configured, Planner(plan.stores.effects, plan.connector))


def now(plan: Planning) -> datetime:
    return plan.stores.schedules.now().replace(second=0, microsecond=0)


def fill(
    plan: Planning, minutes: int, spec: ScheduleSpec = SPEC, *, dry_run: bool = False
) -> list[Backfilled]:
    """Backfill the last so many minutes."""
    end = now(plan)
    window = (end - minutes * MINUTE, end)
    return firing.backfill(plan.stores, wishes(plan), plan.cluster, spec, *window, dry_run=dry_run)


def test_a_trigger_enqueues_now_whether_it_is_paused_or_overlaps(plan: Planning) -> None:
    plan.stores.schedules.add(replace(SPEC, overlap=Overlap.SKIP))
    plan.stores.schedules.pause("hourly", "kim", "")

    made = [firing.trigger(plan.stores, wishes(plan), SPEC) for _ in range(2)]

    jobs = [plan.stores.jobs.get(each.job) for each in made]
    assert [each.created for each in made] == [True, True]
    assert [(job.target, job.schedule, job.fire_time, job.max_attempts) for job in jobs] == [
        ("sync", "hourly", None, 4)
    ] * 2
    assert plan.stores.schedules.fires("hourly") == []


def test_a_trigger_of_an_operation_takes_effect_once(plan: Planning) -> None:
    first = firing.trigger(plan.stores, wishes(plan), PAY)
    again = firing.trigger(plan.stores, wishes(plan), PAY)

    assert (first.created, again.created) == (True, False)
    assert again.job == first.job
    assert plan.stores.jobs.get(first.job).schedule == "rent"


def test_what_cannot_be_made_is_told_to_whoever_triggers(plan: Planning) -> None:
    with pytest.raises(UsageError, match="no sync is called gone"):
        firing.trigger(plan.stores, wishes(plan), replace(SPEC, target="gone"))


def test_a_schedule_of_the_file_can_be_used_before_anybody_has_led(plan: Planning) -> None:
    configured = Configured({"hourly": SPEC})
    assert firing.stored_or_configured(plan.stores, configured, "hourly") == SPEC
    plan.stores.schedules.add(replace(SPEC, cron="1 1 * * *"))
    assert firing.stored_or_configured(plan.stores, configured, "hourly").cron == "1 1 * * *"
    with pytest.raises(Refused, match="no schedule is called 'hurly'"):
        firing.stored_or_configured(plan.stores, configured, "hurly")


def test_a_backfill_enqueues_what_has_no_job_and_a_second_one_nothing(plan: Planning) -> None:
    end = now(plan)

    listed = fill(plan, 5, dry_run=True)
    assert plan.jobs() == []
    made = fill(plan, 5)
    again = fill(plan, 5)

    times = [end - n * MINUTE for n in range(5, 0, -1)]
    assert [each.fire_time for each in listed] == [each.fire_time for each in made] == times
    assert all(each.job is None for each in listed)
    assert again == []
    assert [fire_time for _, fire_time, _ in plan.jobs()] == times
    assert all(fire.backfill for fire in plan.stores.schedules.fires("hourly"))


def test_what_a_leader_had_missed_is_backfilled_and_what_it_had_enqueued_is_not(plan: Planning) -> None:
    plan.add(timedelta(minutes=6), catch_up=CatchUp.LATEST)
    plan.lead()
    plan.fires(count=6)

    made = fill(plan, 5)

    assert {each.before for each in made} <= {FireOutcome.MISSED, FireOutcome.OVERLAPPED}
    times = [fire_time for _, fire_time, _ in plan.jobs()]
    assert len(times) == len(set(times)) >= 5


def test_a_backfilled_fire_time_is_not_fired_again_by_the_leader(plan: Planning) -> None:
    fill(plan, 3)
    plan.add(timedelta(minutes=4), catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)

    plan.lead()

    plan.fires(count=4)
    times = [fire_time for _, fire_time, _ in plan.jobs()]
    assert len(times) == len(set(times)) >= 4


def test_a_backfill_says_which_effects_are_there_already(plan: Planning) -> None:
    made = fill(plan, 3, replace(PAY, arguments={"invoice": "in_1"}))

    assert [each.job is None for each in made] == [False, True, True]
    assert made[1].reason == "its effect is there already"


def test_a_backfill_has_a_past_and_a_size(plan: Planning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "MOST_BACKFILL", 4)
    with pytest.raises(Refused, match="5 fire times; allowed at a time: 4; give a shorter window"):
        fill(plan, 5)
    end = now(plan)
    window = {
        "is to come": (end, end + timedelta(days=1)),
        "give a later beginning": (end - KEPT_FIRES - timedelta(days=1), end),
    }
    for said, (start, until) in window.items():
        with pytest.raises(Refused, match=said):
            firing.backfill(plan.stores, wishes(plan), plan.cluster, SPEC, start, until)
    with pytest.raises(UsageError, match="is not before"):
        firing.backfill(plan.stores, wishes(plan), plan.cluster, SPEC, end, end)
    assert plan.jobs() == []
