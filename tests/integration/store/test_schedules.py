"""Schedules as people and the configuration keep them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.errors import Refused
from leaderjobs.model.schedule import CatchUp, FireOutcome, Overlap, Source
from leaderjobs.store.schedules import KEPT_FIRES, Published, Ruling
from tests.integration.store.rig import Admin, Cluster
from tests.integration.store.schedules_rig import JOB, MINUTE, SPEC, Clockwork


@pytest.fixture
def clockwork(cluster: Cluster, admin: Admin) -> Clockwork:
    return Clockwork(cluster, admin, cluster.lead())


def test_a_schedule_comes_back_as_it_was_added(clockwork: Clockwork) -> None:
    spec = replace(
        SPEC,
        target="billing.pay",
        arguments={"invoice": "in_{fire_date}", "amount": "1.10"},
        time_zone="Asia/Kathmandu",
        jitter=timedelta(seconds=90),
        catch_up=CatchUp.ALL,
        catch_up_window=timedelta(days=3, microseconds=5),
        overlap=Overlap.CANCEL_RUNNING,
        pause_on_failure=True,
    )

    added = clockwork.schedules.add(spec)

    assert (added.spec, added.source, added.version, added.counts) == (spec, Source.PERSON, 1, {})
    assert clockwork.schedules.get("hourly") == added
    assert added.decided_until == added.created_at
    assert abs(clockwork.schedules.now() - clock.now()) < MINUTE


def test_published_schedules_are_stored_as_added_ones_are(clockwork: Clockwork) -> None:
    spec = replace(SPEC, jitter=timedelta(milliseconds=1500), arguments={"a": "ü"}, time_zone="Europe/Berlin")

    published = clockwork.publish(spec)

    stored = clockwork.schedules.get("hourly")
    assert published == Published(added=("hourly",))
    assert (stored.spec, stored.source) == (spec, Source.FILE)
    assert clockwork.publish(spec) == Published()


def test_a_name_that_is_there_is_refused_with_its_owner(clockwork: Clockwork) -> None:
    clockwork.add()
    with pytest.raises(Refused, match=r"schedule hourly is there already, a person's; choose"):
        clockwork.schedules.add(SPEC)
    clockwork.publish(replace(SPEC, name="of-file"))
    with pytest.raises(Refused, match=r"schedule of-file is there already, the configuration's; choose"):
        clockwork.schedules.add(replace(SPEC, name="of-file"))


def test_a_name_that_is_not_there_is_answered_with_a_near_one_or_all(clockwork: Clockwork) -> None:
    with pytest.raises(Refused, match="no schedule is called 'hourly'; known: there is none"):
        clockwork.schedules.get("hourly")
    clockwork.add()
    clockwork.add(name="nightly")
    with pytest.raises(Refused, match=r"no schedule is called 'hourli'; did you mean hourly\?"):
        clockwork.schedules.pause("hourli", "kim", "")
    with pytest.raises(Refused, match="no schedule is called 'zzz'; known: hourly, nightly"):
        clockwork.schedules.remove("zzz")


def test_only_a_persons_schedule_is_removed_by_hand(clockwork: Clockwork) -> None:
    clockwork.add()
    clockwork.publish(replace(SPEC, name="of-file"))

    clockwork.schedules.remove("hourly")
    with pytest.raises(Refused, match=r"remove \[schedules.of-file\] from the file"):
        clockwork.schedules.remove("of-file")

    assert [each.spec.name for each in clockwork.schedules.all()] == ["of-file"]


def test_a_removed_schedule_leaves_its_fires(clockwork: Clockwork) -> None:
    clockwork.decide(clockwork.add())
    clockwork.schedules.remove("hourly")
    assert len(clockwork.schedules.fires("hourly")) == 1


def test_publishing_adds_changes_and_removes_but_never_touches_a_persons(clockwork: Clockwork) -> None:
    clockwork.add(name="mine", cron="1 1 * * *")
    clockwork.publish(SPEC, replace(SPEC, name="old"))

    published = clockwork.publish(
        replace(SPEC, target="other"), replace(SPEC, name="new"), replace(SPEC, name="mine")
    )

    assert published == Published(added=("new",), changed=("hourly",), removed=("old",), taken=("mine",))
    stored = {each.spec.name: each for each in clockwork.schedules.all()}
    assert sorted(stored) == ["hourly", "mine", "new"]
    assert (stored["hourly"].spec.target, stored["hourly"].version) == ("other", 2)
    assert (stored["mine"].spec.cron, stored["mine"].source) == ("1 1 * * *", Source.PERSON)


def test_other_clusters_schedules_are_not_touched(clockwork: Clockwork, database: object) -> None:
    del database
    other = Clockwork(Cluster(clockwork.cluster.database, "other"), clockwork.admin, clockwork.led)
    other.schedules.add(SPEC)
    clockwork.publish(SPEC)
    assert clockwork.publish() == Published(removed=("hourly",))
    assert [each.spec.name for each in other.schedules.all()] == ["hourly"]


def test_a_pause_and_the_counts_survive_a_change_of_the_file(clockwork: Clockwork) -> None:
    clockwork.publish(SPEC)
    clockwork.rewind("hourly", 5 * MINUTE)
    clockwork.decide(clockwork.schedules.get("hourly"))
    clockwork.schedules.pause("hourly", "kim", "the provider moves")

    clockwork.publish(replace(SPEC, target="other"))

    stored = clockwork.schedules.get("hourly")
    assert (stored.paused_by, stored.paused_reason) == ("kim", "the provider moves")
    assert stored.counts == {FireOutcome.ENQUEUED: 1}


@pytest.mark.parametrize(
    ("change", "moves"),
    [({"cron": "5 * * * *"}, True), ({"time_zone": "Europe/Berlin"}, True), ({"target": "other"}, False)],
)
def test_a_change_of_when_it_fires_counts_from_now_on(
    clockwork: Clockwork, change: dict[str, str], *, moves: bool
) -> None:
    clockwork.publish(SPEC)
    clockwork.rewind("hourly", 60 * MINUTE)
    before = clockwork.schedules.get("hourly").decided_until

    clockwork.publish(replace(SPEC, **change))  # type: ignore[arg-type]

    stored = clockwork.schedules.get("hourly")
    assert (stored.decided_until > before + 59 * MINUTE) is moves
    assert moves or stored.decided_until == before


def test_what_came_due_in_a_pause_is_not_fired(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    paused = clockwork.schedules.pause("hourly", "kim", "a look")
    again = clockwork.schedules.pause("hourly", "lee", "me too")
    resumed = clockwork.schedules.resume("hourly")

    assert (
        (paused.paused_by, paused.paused_reason)
        == (again.paused_by, again.paused_reason)
        == ("kim", "a look")
    )
    assert (resumed.paused_at, resumed.paused_by, resumed.paused_reason) == (None, "", "")
    assert resumed.decided_until > schedule.decided_until + 59 * MINUTE
    assert [schedule.version, paused.version, again.version, resumed.version] == [1, 2, 2, 3]
    assert clockwork.schedules.resume("hourly") == resumed


def test_every_change_is_told(clockwork: Clockwork, admin: Admin) -> None:
    admin.execute("LISTEN leaderjobs")

    clockwork.schedules.add(SPEC)
    clockwork.schedules.pause("hourly", "kim", "")
    clockwork.schedules.resume("hourly")
    clockwork.schedules.remove("hourly")
    clockwork.publish(SPEC)
    clockwork.publish(SPEC)

    payloads = [note.payload for note in admin.notifies(timeout=0.5, stop_after=6)]
    assert payloads == ["acme schedules"] * 5


def test_a_discarded_job_pauses_only_the_schedule_that_wants_it(clockwork: Clockwork, admin: Admin) -> None:
    jobs = []
    for name, wants in (("wants", True), ("does-not", False)):
        ruled = clockwork.decide(clockwork.add(name=name, pause_on_failure=wants)).fires[0]
        jobs.append(ruled.job)
    clockwork.add(name="other", pause_on_failure=True)
    admin.execute(
        "UPDATE leaderjobs.jobs SET state = 'discarded', error = 'gone' WHERE id = ANY (%s)", (jobs,)
    )

    admin.execute("SELECT leaderjobs.pause_failed('acme', %s)", (jobs,))

    stored = {each.spec.name: each for each in clockwork.schedules.all()}
    assert [name for name, each in stored.items() if each.paused_at] == ["wants"]
    assert stored["wants"].paused_reason == f"job {jobs[0]} was discarded: gone"
    assert stored["wants"].version == 2


def test_a_backfill_gives_a_fire_time_its_one_job(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    clockwork.decide(schedule)
    missed, never = schedule.decided_until + 2 * MINUTE, schedule.decided_until + 9 * MINUTE
    stored = clockwork.schedules.get("hourly")
    clockwork.rule(stored, [Ruling(missed, FireOutcome.MISSED, "late")])

    first = clockwork.schedules.backfill(SPEC, missed, JOB)
    second = clockwork.schedules.backfill(SPEC, never, JOB)
    again = clockwork.schedules.backfill(SPEC, missed, JOB)

    assert (first.outcome, first.reason) == (FireOutcome.MISSED, "")
    assert second.outcome is None
    assert (again.job, again.reason) == (None, f"job {first.job} is there already")
    fires = {fire.fire_time: fire for fire in clockwork.schedules.fires("hourly")}
    assert (fires[missed].outcome, fires[missed].backfill, fires[missed].term) == (
        FireOutcome.ENQUEUED,
        True,
        None,
    )
    assert [fires[missed].job, fires[never].job] == [first.job, second.job]
    assert len(clockwork.jobs()) == 3


def test_backfills_that_meet_make_one_job(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    barrier = threading.Barrier(5)
    jobs: list[int | None] = []

    def fill() -> None:
        barrier.wait()
        jobs.append(clockwork.schedules.backfill(SPEC, schedule.decided_until + MINUTE, JOB).job)

    def decide() -> None:
        barrier.wait()
        jobs.extend(fire.job for fire in clockwork.decide(schedule).fires)

    threads = [threading.Thread(target=each) for each in (fill, fill, fill, fill, decide)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([job for job in jobs if job is not None]) == 1
    assert len(clockwork.jobs()) == 1


def test_only_fires_that_nobody_needs_any_more_are_pruned(clockwork: Clockwork, admin: Admin) -> None:
    clockwork.decide(clockwork.add(), 3)
    admin.execute(
        "UPDATE leaderjobs.fires SET fire_time = fire_time - %s WHERE outcome = 'overlapped'", (KEPT_FIRES,)
    )

    assert clockwork.schedules.prune(clockwork.led.connections, clockwork.led.term, 1) == 1
    assert clockwork.schedules.prune(clockwork.led.connections, clockwork.led.term, 10) == 1
    assert clockwork.schedules.prune(clockwork.led.connections, clockwork.led.term, 10) == 0
    assert [fire.outcome for fire in clockwork.schedules.fires("hourly")] == [FireOutcome.ENQUEUED]
