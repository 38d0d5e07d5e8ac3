"""The scheduler of a term: what is due becomes jobs, whatever changes, fails or is odd meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from leaderjobs.engine import scheduler
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState
from leaderjobs.model.schedule import CatchUp, FireOutcome, Overlap, Source
from leaderjobs.store.schedules import Reading, Schedules
from tests.integration.engine.scheduling import SPEC, Planning, every, planning
from tests.integration.engine.shop import STRIPE_LIKE, Pay
from tests.support import eventually

ENQUEUED = FireOutcome.ENQUEUED
MINUTE = timedelta(minutes=1)
HALF_A_SECOND = timedelta(milliseconds=500)
A_SECOND = 1.0
"""Within this a change must take effect; what a busy machine adds is allowed for on top."""
SLACK = 2.0


@pytest.fixture
def plan(migrated_url: str) -> Iterator[Planning]:
    with planning(migrated_url, f"c{uuid.uuid4().hex[:12]}") as made:
        yield made


def test_a_schedule_fires_when_it_is_due_by_the_databases_clock(
    plan: Planning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "decide", every(HALF_A_SECOND))
    plan.configure(replace(SPEC, overlap=Overlap.QUEUE))

    led = plan.lead()
    eventually(lambda: len(plan.jobs()) >= 4, 20)

    delays = [(made - fire_time).total_seconds() for _, fire_time, made in plan.jobs()]
    times = [fire_time for _, fire_time, _ in plan.jobs()]
    assert min(delays) >= 0, delays
    assert sorted(delays)[1] < 0.1, delays
    assert {later - earlier for earlier, later in pairwise(times)} == {HALF_A_SECOND}
    assert [event.facts["schedule"] for event in led.saw(EventKind.SCHEDULE_FIRED)][:4] == ["hourly"] * 4


def test_schedules_of_the_file_are_published_and_follow_it(plan: Planning) -> None:
    plan.configure(SPEC, replace(SPEC, name="nightly", cron="0 3 * * *"))
    plan.lead()
    eventually(lambda: len(plan.stores.schedules.all()) == 2, 10)

    plan.configure(replace(SPEC, cron="5 4 * * *"), replace(SPEC, name="new"))

    def there() -> dict[str, str]:
        return {each.spec.name: each.spec.cron for each in plan.stores.schedules.all()}

    eventually(lambda: there() == {"hourly": "5 4 * * *", "new": "* * * * *"}, A_SECOND + SLACK)
    assert {each.source for each in plan.stores.schedules.all()} == {Source.FILE}


def test_a_schedule_added_by_hand_fires_without_a_restart(plan: Planning) -> None:
    plan.lead()
    plan.told.clear()  # nobody says that it was added
    plan.add(timedelta(minutes=2), catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)

    assert plan.fires(count=2, timeout=A_SECOND + SLACK) == [ENQUEUED] * 2


def test_a_persons_schedule_is_never_overwritten_and_makes_room_when_removed(plan: Planning) -> None:
    plan.add(cron="1 1 * * *")
    plan.configure(replace(SPEC, cron="2 2 * * *"))
    led = plan.lead()
    eventually(lambda: led.saw(EventKind.SERVICE_FAILED), 10)
    assert "schedule hourly of the configuration is left out" in str(led.events[0].facts["error"])
    assert plan.stores.schedules.get("hourly").spec.cron == "1 1 * * *"

    plan.stores.schedules.remove("hourly")

    eventually(lambda: [each.spec.cron for each in plan.stores.schedules.all()] == ["2 2 * * *"], 10)


def test_a_paused_schedule_does_not_fire_and_what_came_due_meanwhile_is_gone(plan: Planning) -> None:
    plan.stores.schedules.add(replace(SPEC, catch_up=CatchUp.ALL, overlap=Overlap.QUEUE))
    plan.stores.schedules.pause("hourly", "kim", "a look")
    plan.rewind("hourly", timedelta(minutes=30))
    plan.add(timedelta(minutes=1), name="other")
    plan.lead()

    plan.fires("other")
    assert plan.stores.schedules.fires("hourly") == []
    plan.stores.schedules.resume("hourly")
    plan.add(timedelta(minutes=1), name="third")
    plan.fires("third")

    assert len(plan.stores.schedules.fires("hourly")) <= 1


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.SKIP, {FireOutcome.MISSED: 29}),
        (CatchUp.LATEST, {FireOutcome.MISSED: 29}),
        (CatchUp.ALL, {ENQUEUED: 30}),
    ],
)
def test_what_came_due_while_nobody_led_is_caught_up_as_asked(
    plan: Planning, catch_up: CatchUp, expected: dict[FireOutcome, int]
) -> None:
    schedule = plan.add(timedelta(minutes=30), catch_up=catch_up, overlap=Overlap.QUEUE)
    plan.lead()

    eventually(
        lambda: plan.stores.schedules.get("hourly").decided_until >= schedule.decided_until + 30 * MINUTE, 10
    )
    counts = plan.stores.schedules.get("hourly").counts
    assert all(count <= counts.get(outcome, 0) <= count + 2 for outcome, count in expected.items()), counts
    assert len(plan.jobs()) == counts.get(ENQUEUED, 0)
    fire_times = [fire_time for _, fire_time, _ in plan.jobs()]
    assert len(set(fire_times)) == len(fire_times)


def test_a_long_absence_is_caught_up_in_bites_without_a_double_or_a_gap(plan: Planning) -> None:
    schedule = plan.add(timedelta(minutes=250), catch_up=CatchUp.ALL, overlap=Overlap.SKIP)
    plan.lead()

    plan.fires(count=250)

    times = sorted(fire.fire_time for fire in plan.stores.schedules.fires("hourly", 1000))
    assert times[:250] == [schedule.decided_until + n * MINUTE for n in range(1, 251)]


def test_a_successor_goes_on_where_the_one_before_was(plan: Planning) -> None:
    plan.add(timedelta(minutes=3), catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)
    plan.lead()
    plan.fires(count=3)

    plan.lead()
    plan.rewind("hourly", timedelta(minutes=5))

    plan.fires(count=5)
    times = [fire_time for _, fire_time, _ in plan.jobs()]
    assert len(set(times)) == len(times) >= 5
    assert {fire.term for fire in plan.stores.schedules.fires("hourly")[-2:]} == {2}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("gone", "no sync is called gone in the configuration of the member that asks"),
        ("d.pay", "connection d is not in this member's configuration"),
        ("c.nothing", "connection c has no operation 'nothing'; it has: c.pay"),
        ("c.pay", "c.pay raised KeyError for its arguments"),
    ],
)
def test_what_cannot_be_made_is_refused_once_for_each_fire_time(
    plan: Planning, target: str, reason: str
) -> None:
    plan.script.operations = {"pay": Pay(STRIPE_LIKE)}
    plan.add(timedelta(minutes=2), target=target, catch_up=CatchUp.ALL)

    led = plan.lead()

    assert plan.fires(count=2) == [FireOutcome.REFUSED] * 2
    assert {fire.reason for fire in plan.stores.schedules.fires("hourly")} == {reason}
    assert led.saw(EventKind.SCHEDULE_SKIPPED)[0].facts["reason"] == reason
    assert led.saw(EventKind.SERVICE_FAILED) == []


def test_a_wish_that_postgres_cannot_store_is_refused(plan: Planning) -> None:
    plan.script.operations = {"pay": Pay(STRIPE_LIKE)}
    plan.add(timedelta(minutes=1), target="c.pay", arguments={"invoice": "x" * 600})

    plan.lead()

    assert plan.fires()[:1] == [FireOutcome.REFUSED]
    assert plan.stores.schedules.fires("hourly")[-1].reason.startswith("business key 'invoice:xxx")


def test_an_operation_is_planned_once_for_each_day_it_names(plan: Planning) -> None:
    plan.script.operations = {"pay": Pay(STRIPE_LIKE)}
    plan.add(
        timedelta(minutes=3),
        target="c.pay",
        arguments={"invoice": "rent-{fire_time}", "amount": "12"},
        catch_up=CatchUp.ALL,
        overlap=Overlap.QUEUE,
    )

    plan.lead()

    assert plan.fires(count=3)[:3] == [ENQUEUED] * 3
    fires = plan.stores.schedules.fires("hourly", 1000)
    keys = {effect.business_key for effect in plan.stores.effects.newest()}
    assert keys == {f"invoice:rent-{fire.fire_time:%Y-%m-%dT%H:%M:%SZ}:pay" for fire in fires}
    assert {plan.stores.jobs.get(fire.job or 0).fire_time for fire in fires} == {
        fire.fire_time for fire in fires
    }


def test_a_schedule_that_cannot_be_read_stops_no_other_and_is_told_once(plan: Planning) -> None:
    plan.add(timedelta(minutes=1), name="broken", cron="99 * * * *")
    plan.add(timedelta(minutes=2), name="fine", catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)
    led = plan.lead()
    plan.fires("fine", 2)

    plan.rewind("fine", timedelta(minutes=3))
    plan.fires("fine", 3)

    (failed,) = led.saw(EventKind.SERVICE_FAILED)
    assert "schedule broken cannot be read here" in str(failed.facts["error"])


def test_a_database_that_is_away_ends_nothing(plan: Planning, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(range(3))
    read = Schedules.read

    def failing(self: Schedules) -> Reading:
        if next(answers, None) is not None:
            raise StoreUnavailable("the connection to Postgres broke")
        return read(self)

    monkeypatch.setattr(Schedules, "read", failing)
    plan.add(timedelta(minutes=1))

    led = plan.lead()

    assert plan.fires()[:1] == [ENQUEUED]
    assert len(led.saw(EventKind.STORE_UNAVAILABLE)) == 3


def test_jobs_of_one_schedule_that_are_locked_hold_up_no_other(plan: Planning) -> None:
    plan.add(timedelta(minutes=1), name="a-locked", overlap=Overlap.CANCEL_RUNNING)
    led = plan.lead()
    plan.fires("a-locked")
    lock = "SELECT FROM leaderjobs.jobs WHERE cluster = %(cluster)s FOR UPDATE"
    with plan.database.session() as session, session.transaction():
        session.execute(lock, {"cluster": plan.cluster})
        plan.rewind("a-locked", timedelta(minutes=5))
        eventually(lambda: led.saw(EventKind.STORE_UNAVAILABLE), 10)
        plan.add(timedelta(minutes=1), name="b-free")
        plan.fires("b-free")
        held = plan.stores.schedules.get("a-locked").decided_until

    eventually(lambda: plan.stores.schedules.get("a-locked").decided_until > held, 10)


def test_a_discarded_job_pauses_a_schedule_that_wants_it(plan: Planning) -> None:
    plan.add(timedelta(minutes=1), pause_on_failure=True)
    led = plan.lead()
    plan.fires()
    fire = plan.stores.schedules.fires("hourly")[-1]

    plan.admin.rows(
        "WITH ended AS (UPDATE leaderjobs.jobs SET state = 'discarded', error = 'no such account', finished_at = now() "
        "WHERE id = %(id)s RETURNING id) SELECT leaderjobs.pause_failed(%(cluster)s, array_agg(id)) FROM ended",
        {"id": fire.job, "cluster": plan.cluster},
    )

    paused = eventually(lambda: led.saw(EventKind.SCHEDULE_PAUSED), 10)
    reason = f"job {fire.job} was discarded: no such account"
    assert plan.stores.jobs.get(fire.job or 0).state is JobState.DISCARDED
    assert paused[0].facts == {"schedule": "hourly", "reason": reason}
    assert plan.stores.schedules.get("hourly").paused_reason == reason
