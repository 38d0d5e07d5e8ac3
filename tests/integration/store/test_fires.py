"""Fire times decided by the leader: each once, with its job, in one transaction."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from leaderjobs.errors import FencedOut, LeadershipLost
from leaderjobs.model.job import Completed, Discard, JobState
from leaderjobs.model.schedule import CatchUp, FireOutcome, Overlap
from leaderjobs.store import schedules
from leaderjobs.store.schedules import Decision, Ruling
from tests.integration.store.rig import Admin, Cluster
from tests.integration.store.schedules_rig import JOB, MINUTE, Clockwork, due, outcomes

ENQUEUED = FireOutcome.ENQUEUED


@pytest.fixture
def clockwork(cluster: Cluster, admin: Admin) -> Clockwork:
    return Clockwork(cluster, admin, cluster.lead())


def test_a_fire_time_gets_its_row_and_its_job_together(clockwork: Clockwork) -> None:
    schedule = clockwork.add(time_zone="America/New_York")
    fire_time = schedule.decided_until + MINUTE

    decided = clockwork.rule(
        schedule, [Ruling(fire_time, ENQUEUED, "", fire_time + timedelta(seconds=7), JOB)]
    )

    (ruled,) = decided.fires
    (fire,) = clockwork.schedules.fires("hourly")
    assert decided.decision is Decision.DECIDED
    assert (ruled.outcome, ruled.fire_time, ruled.job) == (ENQUEUED, fire_time, fire.job)
    assert (fire.fire_time, fire.time_zone, fire.term) == (fire_time, "America/New_York", 1)
    job = clockwork.cluster.jobs.get(fire.job or 0)
    assert (job.schedule, job.fire_time) == ("hourly", fire_time)
    assert (job.target, job.connection, job.streams) == ("sync", "household", ("things",))
    assert (job.max_attempts, job.time_limit) == (3, timedelta(minutes=90))
    assert (job.scheduled_at, job.state) == (fire_time + timedelta(seconds=7), JobState.AVAILABLE)
    stored = clockwork.schedules.get("hourly")
    assert (stored.decided_until, stored.counts, stored.version) == (fire_time, {ENQUEUED: 1}, 1)


def test_a_jittered_job_waits_for_its_instant(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    fire_time = schedule.decided_until + MINUTE

    clockwork.rule(schedule, [Ruling(fire_time, ENQUEUED, "", fire_time + timedelta(hours=2), JOB)])

    assert clockwork.jobs() == [(fire_time, "scheduled")]


def test_a_second_decision_on_the_same_reading_does_nothing(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    assert clockwork.decide(schedule).decision is Decision.DECIDED

    again = clockwork.decide(schedule)

    assert again.decision is Decision.STALE
    assert len(clockwork.jobs()) == 1


def test_a_fire_time_that_has_a_row_gets_no_second_job_whatever_was_read(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    clockwork.decide(schedule, 2)
    clockwork.admin.execute("UPDATE leaderjobs.schedules SET decided_until = %s", (schedule.decided_until,))

    again = clockwork.decide(schedule, 3)

    assert outcomes(again) == [None, None, FireOutcome.OVERLAPPED]
    assert len(clockwork.jobs()) == 1
    assert clockwork.schedules.get("hourly").counts == {ENQUEUED: 1, FireOutcome.OVERLAPPED: 2}


def test_a_leader_of_an_older_term_decides_nothing(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    clockwork.cluster.lead()

    with pytest.raises((FencedOut, LeadershipLost)):
        clockwork.decide(schedule)

    assert clockwork.jobs() == []
    assert clockwork.schedules.get("hourly").decided_until == schedule.decided_until


def test_nothing_is_decided_before_it_is_due_by_the_databases_clock(clockwork: Clockwork) -> None:
    schedule = clockwork.add(since=timedelta(0))

    decided = clockwork.decide(schedule, 2)

    assert decided.decision is Decision.EARLY
    assert clockwork.jobs() == []


@pytest.mark.parametrize("change", ["pause", "remove", "edit"])
def test_what_changed_since_it_was_read_is_not_decided(clockwork: Clockwork, change: str) -> None:
    schedule = clockwork.add()
    match change:
        case "pause":
            clockwork.schedules.pause("hourly", "kim", "a look")
        case "remove":
            clockwork.schedules.remove("hourly")
        case _:
            clockwork.admin.execute("UPDATE leaderjobs.schedules SET version = version + 1")

    assert clockwork.decide(schedule).decision is Decision.STALE
    assert clockwork.jobs() == []


def test_what_is_not_wanted_any_more_is_written_down_with_its_reason(clockwork: Clockwork) -> None:
    schedule = clockwork.add()
    first, second = due(schedule, 2)
    missed = replace(first, outcome=FireOutcome.MISSED, reason="nobody led", wish=None, at=None)
    refused = replace(second, outcome=FireOutcome.REFUSED, reason="no such sync", wish=None, at=None)

    clockwork.rule(schedule, [missed, refused], missed=5)

    fires = clockwork.schedules.fires("hourly")
    assert [(fire.outcome, fire.reason, fire.job) for fire in fires] == [
        (FireOutcome.REFUSED, "no such sync", None),
        (FireOutcome.MISSED, "nobody led", None),
    ]
    assert clockwork.schedules.get("hourly").counts == {FireOutcome.MISSED: 6, FireOutcome.REFUSED: 1}


def test_skip_enqueues_nothing_while_an_earlier_job_has_not_ended(clockwork: Clockwork) -> None:
    schedule = clockwork.add(overlap=Overlap.SKIP)

    first = clockwork.decide(schedule, 2)
    (job,) = clockwork.cluster.claim(clockwork.led)
    while_running = clockwork.decide(clockwork.schedules.get("hourly"))
    clockwork.cluster.finish(clockwork.led, job, Completed())
    after = clockwork.decide(clockwork.schedules.get("hourly"))

    assert outcomes(first) == [ENQUEUED, FireOutcome.OVERLAPPED]
    assert outcomes(while_running) == [FireOutcome.OVERLAPPED]
    assert while_running.fires[0].reason == f"job {job.id} has not ended"
    assert outcomes(after) == [ENQUEUED]


def test_queue_enqueues_up_to_a_bound_and_says_what_it_left_out(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_QUEUED", 3)
    schedule = clockwork.add(overlap=Overlap.QUEUE)

    decided = clockwork.decide(schedule, 5)

    assert outcomes(decided) == [ENQUEUED] * 3 + [FireOutcome.QUEUE_FULL] * 2
    assert clockwork.schedules.get("hourly").decided_until == schedule.decided_until + 5 * MINUTE


def test_catch_up_all_waits_for_room_and_loses_none(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "MOST_QUEUED", 2)
    schedule = clockwork.add(overlap=Overlap.QUEUE, catch_up=CatchUp.ALL)

    decided = clockwork.decide(schedule, 5)
    waiting = clockwork.schedules.get("hourly")
    assert outcomes(decided) == [ENQUEUED] * 2
    assert waiting.decided_until == schedule.decided_until + 2 * MINUTE
    assert outcomes(clockwork.decide(waiting, 3)) == []

    for _ in range(2):
        (job,) = clockwork.cluster.claim(clockwork.led)
        clockwork.cluster.finish(clockwork.led, job, Completed())
    assert outcomes(clockwork.decide(clockwork.schedules.get("hourly"), 3)) == [ENQUEUED] * 2


def test_cancel_running_ends_what_waits_and_asks_what_runs_to_end(clockwork: Clockwork) -> None:
    schedule = clockwork.add(overlap=Overlap.CANCEL_RUNNING)
    clockwork.decide(schedule)
    (running,) = clockwork.cluster.claim(clockwork.led)
    clockwork.decide(clockwork.schedules.get("hourly"), 2)

    states = [state for _, state in clockwork.jobs()]
    asked = clockwork.cluster.jobs.get(running.id)
    assert states == ["running", "cancelled", "available"]
    assert asked.cancel_requested_at is not None


def test_cancel_running_leaves_other_schedules_and_operations_alone(clockwork: Clockwork) -> None:
    clockwork.decide(clockwork.add(name="other"))
    schedule = clockwork.add(overlap=Overlap.CANCEL_RUNNING, target="billing.pay")
    for n in range(2):
        stored = clockwork.schedules.get("hourly") if n else schedule
        clockwork.decide(stored, wish=clockwork.cluster.wish(f"invoice:in_{n}:pay"))

    assert [state for _, state in clockwork.jobs()] == ["available"] * 3


def test_a_job_that_is_discarded_pauses_a_schedule_that_wants_it(clockwork: Clockwork) -> None:
    clockwork.decide(clockwork.add(pause_on_failure=True))
    (job,) = clockwork.cluster.claim(clockwork.led)

    clockwork.cluster.finish(clockwork.led, job, Discard("no such account"))

    paused = clockwork.schedules.get("hourly")
    assert paused.paused_reason == f"job {job.id} was discarded: no such account"
    assert clockwork.decide(paused).decision is Decision.STALE


def test_whoever_leads_and_whoever_cancels_are_woken(clockwork: Clockwork, admin: Admin) -> None:
    schedule = clockwork.add(overlap=Overlap.CANCEL_RUNNING)
    clockwork.decide(schedule)
    clockwork.cluster.claim(clockwork.led)
    admin.execute("LISTEN leaderjobs")

    decided = clockwork.decide(clockwork.schedules.get("hourly"))

    micros = round(decided.fires[0].fire_time.timestamp() * 1_000_000)
    payloads = {note.payload for note in admin.notifies(timeout=5, stop_after=2)}
    assert payloads == {"acme cancel", f"acme due household 5 {micros}"}


def test_an_operations_effect_job_and_fire_come_together(clockwork: Clockwork) -> None:
    schedule = clockwork.add(target="billing.pay")
    wish = clockwork.cluster.wish("invoice:in_9:pay", amount=3)

    (ruled,) = clockwork.decide(schedule, wish=wish).fires

    job = clockwork.cluster.jobs.get(ruled.job or 0)
    effect = clockwork.cluster.effects.get(wish.id)
    assert (job.effect, job.target, job.schedule, job.fire_time) == (
        wish.id,
        "billing.pay",
        "hourly",
        ruled.fire_time,
    )
    assert (effect.request, effect.arguments) == (wish.request, {"amount": 3})


def test_an_effect_that_is_there_already_is_not_planned_again(clockwork: Clockwork) -> None:
    wish = clockwork.cluster.wish("invoice:in_9:pay")
    clockwork.cluster.effects.plan(wish)

    (ruled,) = clockwork.decide(clockwork.add(target="billing.pay"), wish=wish).fires

    (fire,) = clockwork.schedules.fires("hourly")
    assert (ruled.outcome, ruled.job) == (FireOutcome.REFUSED, None)
    assert (fire.outcome, fire.job) == (FireOutcome.REFUSED, None)
    assert fire.reason == f"effect {wish.id} for invoice:in_9:pay is there already"


def test_two_leaders_that_decide_at_once_make_one_job(clockwork: Clockwork) -> None:
    """The row's lock puts them in a row; the second reads what the first has decided."""
    schedule = clockwork.add()
    barrier = threading.Barrier(4)
    decisions: list[Decision] = []

    def decide() -> None:
        barrier.wait()
        decisions.append(clockwork.decide(schedule).decision)

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(decisions) == [Decision.DECIDED, Decision.STALE, Decision.STALE, Decision.STALE]
    assert len(clockwork.jobs()) == 1
