from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.engine.leadership import Leadership
from leaderjobs.engine.why_schedule import why_schedule
from leaderjobs.model.job import JobState
from leaderjobs.model.member import LeaderInfo
from leaderjobs.model.reason import Reason, ReasonCode
from leaderjobs.model.schedule import Fire, FireOutcome, Schedule, ScheduleSpec, Source
from leaderjobs.store.terms import StoredTerm
from leaderjobs.store.why import ScheduleFacts

NOW = datetime(2026, 11, 25, 12, 2, tzinfo=UTC)
NOON, QUARTER_PAST = NOW.replace(minute=0), NOW.replace(minute=15)
SINCE = NOW - timedelta(days=3)
SPEC = ScheduleSpec("quarterly", "household", "*/15 * * * *")
SCHEDULE = Schedule(SPEC, Source.FILE, 3, SINCE, NOON)
TERM = StoredTerm(0, 4, 40, "origin", "b", SINCE)
LED = Leadership("zookeeper", LeaderInfo("b", "guid-b", 4, SINCE, NOW, 10.0), "origin")
NOBODY = Leadership("zookeeper", None, "origin")
FIRE = Fire("quarterly", NOON, "UTC", FireOutcome.ENQUEUED, NOON, 4, 12)
FACTS = ScheduleFacts(NOW, SCHEDULE, TERM, FIRE, JobState.COMPLETED, NOON + timedelta(minutes=1))


def why(
    facts: ScheduleFacts, leadership: Leadership = LED, at: datetime | None = None, *, in_file: bool = False
) -> Reason:
    return why_schedule("quarterly", facts, leadership, "acme", at=at, in_file=in_file)


def scheduled(**more: object) -> ScheduleFacts:
    return replace(FACTS, schedule=replace(SCHEDULE, **more))  # type: ignore[arg-type]


def fired(outcome: FireOutcome, reason: str = "") -> ScheduleFacts:
    fire = replace(FIRE, outcome=outcome, reason=reason, job=None)
    return replace(FACTS, fire=fire, job_state=None, job_finished_at=None)


def test_the_next_fire_time_is_waited_for() -> None:
    reason = why(FACTS)
    assert (reason.code, reason.until) == (ReasonCode.WAITING, QUARTER_PAST)
    assert reason.message == (
        "the next fire time is 2026-11-25 12:15:00Z; the last, 2026-11-25 12:00:00Z, was enqueued at 2026-11-25 "
        "12:00:00Z by term 4; job 12 is completed at 2026-11-25 12:01:00Z"
    )


def test_a_fire_time_is_shown_by_the_clocks_of_its_zone() -> None:
    facts = replace(FACTS, schedule=replace(SCHEDULE, spec=replace(SPEC, time_zone="America/New_York")))
    assert (
        "the next fire time is 2026-11-25 07:15 America/New_York (2026-11-25 12:15:00Z)" in why(facts).message
    )


@pytest.mark.parametrize(
    ("outcome", "said", "reason"),
    [
        (FireOutcome.OVERLAPPED, "skipped, as an earlier job had not ended", "job 11 runs"),
        (FireOutcome.MISSED, "missed", "nobody led"),
        (FireOutcome.REFUSED, "refused", "sync household is not configured"),
        (FireOutcome.QUEUE_FULL, "skipped, as too many jobs of it wait already", "100 wait"),
    ],
)
def test_a_last_fire_time_without_a_job_says_why(outcome: FireOutcome, said: str, reason: str) -> None:
    found = why(fired(outcome, reason))
    assert (found.code, found.until) == (ReasonCode(outcome), QUARTER_PAST)
    assert (
        f"was {said} at 2026-11-25 12:00:00Z by term 4: {reason}; the next is 2026-11-25 12:15:00Z"
        in found.message
    )


def test_a_paused_schedule_says_who_and_why_before_who_leads() -> None:
    facts = scheduled(paused_at=NOON, paused_by="ann@desk", paused_reason="the bank migrates")
    reason = why(facts, NOBODY)
    assert (reason.code, reason.until) == (ReasonCode.PAUSED, None)
    assert reason.message == (
        "paused since 2026-11-25 12:00:00Z by ann@desk because: the bank migrates; to go on: leaderjobs schedules resume "
        "quarterly"
    )


def test_nobody_leads() -> None:
    assert why(FACTS, NOBODY).code is ReasonCode.NO_LEADER


@pytest.mark.parametrize(("late", "said"), [(2, "b is about to decide it"), (60, "b should have decided it")])
def test_a_fire_time_that_has_come_is_about_to_be_decided(late: int, said: str) -> None:
    reason = why(replace(FACTS, now=QUARTER_PAST + timedelta(seconds=late)))
    assert (reason.code, said in reason.message) == (ReasonCode.UNDECIDED, True)


def test_an_expression_may_have_no_fire_time_left() -> None:
    facts = scheduled(spec=replace(SPEC, cron="0 0 1 1 *"), decided_until=datetime(9901, 12, 1, tzinfo=UTC))
    reason = why(facts)
    assert (reason.code, "no fire time is left" in reason.message) == (ReasonCode.NEVER, True)


@pytest.mark.parametrize(
    ("fire", "in_file", "leadership", "code", "said"),
    [
        (
            None,
            False,
            LED,
            ReasonCode.UNKNOWN_SCHEDULE,
            "there is no schedule quarterly; see: leaderjobs schedules list",
        ),
        (FIRE, False, LED, ReasonCode.REMOVED, "its last fire time was 2026-11-25 12:00:00Z"),
        (None, True, LED, ReasonCode.NOT_STORED, "the member that leads has another configuration"),
        (None, True, NOBODY, ReasonCode.NOT_STORED, "nobody leads: no member leads"),
    ],
)
def test_a_schedule_that_is_not_there(
    *, fire: Fire | None, in_file: bool, leadership: Leadership, code: ReasonCode, said: str
) -> None:
    reason = why(ScheduleFacts(NOW, None, TERM, fire), leadership, in_file=in_file)
    assert (reason.code, said in reason.message) == (code, True)


# -- at an instant -----------------------------------------------------------------------------------------


def test_an_instant_that_was_decided_tells_what_became_of_it() -> None:
    reason = why(replace(FACTS, job_state=JobState.DISCARDED, job_error="no such account"), at=NOON)
    assert reason.code is ReasonCode.ENQUEUED
    assert reason.message.endswith("job 12 is discarded at 2026-11-25 12:01:00Z: no such account")
    assert "job 12 has been pruned since" in why(replace(FACTS, job_state=None), at=NOON).message


def test_an_instant_that_is_no_fire_time_names_the_field() -> None:
    reason = why(replace(FACTS, fire=None), at=NOON.replace(minute=7))
    assert (reason.code, "minute is 07" in reason.message) == (ReasonCode.NO_FIRE_TIME, True)


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        (QUARTER_PAST, ReasonCode.WAITING, "is a fire time to come"),
        (SINCE.replace(minute=0), ReasonCode.BEFORE, "the schedule is there only since 2026-11-22 12:02:00Z"),
        (NOON - timedelta(days=1), ReasonCode.BEFORE, "it was passed over: the schedule was paused then"),
    ],
)
def test_an_instant_without_a_decision_says_why(at: datetime, code: ReasonCode, said: str) -> None:
    reason = why(replace(FACTS, fire=None), at=at)
    assert (reason.code, said in reason.message) == (code, True)


def test_what_was_decided_long_ago_is_forgotten() -> None:
    facts = replace(scheduled(created_at=NOON - timedelta(days=900)), fire=None)
    assert "forgotten after 400 days" in why(facts, at=NOON - timedelta(days=500)).message


def test_an_instant_that_has_come_and_is_not_decided_says_who_is_missing() -> None:
    facts = replace(FACTS, now=QUARTER_PAST, fire=None)
    assert why(facts, NOBODY, at=QUARTER_PAST).code is ReasonCode.NO_LEADER
    assert why(facts, at=QUARTER_PAST).code is ReasonCode.UNDECIDED
    paused = replace(scheduled(paused_at=NOON), now=QUARTER_PAST, fire=None)
    assert why(paused, at=QUARTER_PAST).code is ReasonCode.PAUSED


def test_an_instant_to_come_says_what_is_in_its_way_now() -> None:
    reason = why(replace(FACTS, fire=None), NOBODY, at=QUARTER_PAST)
    assert (reason.code, "to come; but now: no member leads" in reason.message) == (
        ReasonCode.NO_LEADER,
        True,
    )
