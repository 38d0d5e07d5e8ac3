from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from leaderjobs.engine.leadership import Leadership
from leaderjobs.engine.limiter import Limits
from leaderjobs.engine.why import why_job
from leaderjobs.model.job import Job, JobState, Progress
from leaderjobs.model.member import LeaderInfo
from leaderjobs.model.reason import Reason, ReasonCode
from leaderjobs.store.holds import StoredHold
from leaderjobs.store.terms import StoredTerm
from leaderjobs.store.why import MOST_AHEAD, EffectFacts, JobFacts, RunningJob

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SOON, LATER, EARLIER = NOW + timedelta(minutes=5), NOW + timedelta(hours=8), NOW - timedelta(minutes=5)
EFFECT = UUID("11111111-2222-3333-4444-555555555555")
JOB = Job(
    id=7,
    target="nightly",
    connection="household",
    streams=("accounts",),
    state=JobState.AVAILABLE,
    key=None,
    priority=5,
    attempt=0,
    max_attempts=20,
    scheduled_at=NOW - timedelta(seconds=1),
    created_at=EARLIER,
)
TERM = StoredTerm(0, 4, 40, "origin", "b", EARLIER)
LEADER = LeaderInfo("b", "guid-b", 4, EARLIER, NOW, 10.0)
LED = Leadership("zookeeper", LEADER, "origin")
FACTS = JobFacts(NOW, JOB, TERM)
LIMITS = Limits(
    8, {"household": 2}, {"plaid": 3}, {"household": "plaid", "joint": "plaid", "billing": "stripe"}
)
PERSON = StoredHold("household", "ITEM_LOGIN_REQUIRED", "log in again", EARLIER, SOON, person=True)
QUOTA = StoredHold("household", "quota_exhausted", "all of it is used", EARLIER, SOON, person=False)


def facts(job: Job = JOB, **more: object) -> JobFacts:
    return replace(FACTS, job=job, **more)  # type: ignore[arg-type]


def job(**more: object) -> Job:
    return replace(JOB, **more)  # type: ignore[arg-type]


def running(*connections: str, operation: bool = False) -> tuple[RunningJob, ...]:
    return tuple(RunningJob(100 + n, "sync", name, operation, EARLIER) for n, name in enumerate(connections))


def why(found: JobFacts, leadership: Leadership = LED, limits: Limits = LIMITS) -> Reason:
    return why_job(7, found, leadership, limits)


RUNS = job(state=JobState.RUNNING, term=4, member="b", attempt=2, started_at=EARLIER)
OPERATION = job(connection="billing", effect=EFFECT, target="billing.pay")
UNCERTAIN = replace(OPERATION, state=JobState.UNCERTAIN, scheduled_at=SOON)
FAILED = job(state=JobState.RETRYABLE, scheduled_at=SOON, attempt=3, error="no answer")
DONE = {"finished_at": EARLIER, "term": 3, "member": "a", "attempt": 2}

CASES: list[tuple[str, JobFacts, ReasonCode, str]] = [
    ("is not there", JobFacts(NOW, None, TERM), ReasonCode.UNKNOWN_JOB, "no job 7"),
    (
        "has completed",
        facts(job(state=JobState.COMPLETED, progress=Progress(rows=1200), **DONE)),
        ReasonCode.COMPLETED,
        "completed at 2026-11-25 11:55:00Z by term 3 (a), attempt 2 of 20, 1,200 rows",
    ),
    (
        "was discarded",
        facts(job(state=JobState.DISCARDED, error="no such account", **DONE)),
        ReasonCode.DISCARDED,
        "no such account; to run it again: leaderjobs jobs retry 7",
    ),
    (
        "was discarded with its effect",
        facts(replace(OPERATION, state=JobState.DISCARDED, finished_at=EARLIER, error="card_declined")),
        ReasonCode.DISCARDED,
        "card_declined; to run it again: leaderjobs effects retry 11111111",
    ),
    (
        "was cancelled",
        facts(job(state=JobState.CANCELLED, finished_at=EARLIER), cancelled_by="ann@desk"),
        ReasonCode.CANCELLED,
        "cancelled at 2026-11-25 11:55:00Z by ann@desk",
    ),
    (
        "runs",
        facts(replace(RUNS, progress=Progress("accounts", 3, 1500, 500, 9000))),
        ReasonCode.RUNNING,
        "attempt 2 runs since 2026-11-25 11:55:00Z on b (term 4): 3 pages, 1,500 rows; at accounts (500 of 9,000)",
    ),
    ("runs without a page", facts(RUNS), ReasonCode.RUNNING, "no page yet"),
    (
        "was asked to end",
        facts(replace(RUNS, cancel_requested_at=NOW), cancelled_by="ann"),
        ReasonCode.CANCELLING,
        "asked to end at 2026-11-25 12:00:00Z by ann; it ends at a page's end",
    ),
    (
        "runs under an older term",
        facts(replace(RUNS, term=3, member="a")),
        ReasonCode.ABANDONED,
        "left by term 3 (a), which is over; term 4 (b) takes it up",
    ),
    (
        "is uncertain",
        facts(UNCERTAIN, effect=EffectFacts("uncertain", "no_answer", "no evidence", EARLIER, None)),
        ReasonCode.UNCERTAIN,
        (
            "(no_answer): no evidence; looked up again at 2026-11-25 12:05:00Z; whoever has looked at the provider settles "
            "it: leaderjobs effects resolve 11111111"
        ),
    ),
    (
        "waits for its user",
        facts(hold=PERSON),
        ReasonCode.NEEDS_USER,
        (
            "(ITEM_LOGIN_REQUIRED): log in again; after mending the account: leaderjobs connections release household; "
            "tried again by itself at 2026-11-25 12:05:00Z"
        ),
    ),
    (
        "waits for a quota",
        facts(hold=QUOTA),
        ReasonCode.PROVIDER_WAITS,
        "takes nothing more of connection household before 2026-11-25 12:05:00Z (quota_exhausted)",
    ),
    (
        "is unknown to who leads",
        facts(connection_known=False),
        ReasonCode.NOT_CONFIGURED,
        "the configuration that leads (b) uses connection household: add [connections.household]",
    ),
    (
        "has failed where it is unknown",
        facts(FAILED, connection_known=False),
        ReasonCode.NOT_CONFIGURED,
        "add [connections.household]",
    ),
    (
        "waits for its time",
        facts(job(state=JobState.SCHEDULED, scheduled_at=LATER, schedule="nightly", fire_time=LATER)),
        ReasonCode.SCHEDULED,
        "not before 2026-11-25 20:00:00Z, by schedule nightly for its fire time 2026-11-25 20:00:00Z",
    ),
    (
        "waits after a failure",
        facts(FAILED, last_outcome="retried", last_attempt=3),
        ReasonCode.RETRYING,
        "attempt 3 of 20 failed with: no answer; again at 2026-11-25 12:05:00Z",
    ),
    (
        "was put off",
        facts(FAILED, last_outcome="postponed", last_attempt=3),
        ReasonCode.RETRYING,
        "put off: no answer",
    ),
    (
        "comes after a running sync",
        facts(running=running("household"), ahead=3),
        ReasonCode.CONNECTION_BUSY,
        (
            "job 100 (sync) of the same connection runs since 2026-11-25 11:55:00Z, and the syncs of one connection run "
            "one at a time; then 3 come before this one"
        ),
    ),
    (
        "comes after running operations",
        facts(OPERATION, running=running(*["billing"] * 4, operation=True)),
        ReasonCode.OPERATIONS_BUSY,
        "4 operations of connection billing run (jobs 100, 101, 102, 103), and without a limit in limits.connections.billing no more than 4 do at once",
    ),
    (
        "is limited with its connection",
        facts(running=running("household", "household", operation=True)),
        ReasonCode.CONNECTION_LIMIT,
        "limits.connections.household allows 2 at a time, and 2 run (jobs 100, 101)",
    ),
    (
        "is limited with its provider",
        facts(running=running("joint", "joint", "joint", "billing")),
        ReasonCode.PROVIDER_LIMIT,
        "limits.providers.plaid allows 3 at a time, and 3 run (jobs 100, 101, 102)",
    ),
    (
        "finds every place taken",
        facts(running=running(*["other"] * 8)),
        ReasonCode.CONCURRENCY,
        "all 8 places of cluster.concurrency are taken (jobs 100, 101, 102, 103, 104 and 3 more)",
    ),
    (
        "is behind one",
        facts(ahead=1),
        ReasonCode.BEHIND,
        "1 comes before it among the syncs of connection household: by priority (this one has 5), then by time",
    ),
    ("is behind many", facts(ahead=MOST_AHEAD + 1), ReasonCode.BEHIND, "more than 10,000 come before it"),
    ("is about to start", facts(), ReasonCode.STARTING, "nothing is in its way: b starts it within a second"),
    (
        "should have started",
        facts(job(scheduled_at=EARLIER)),
        ReasonCode.STARTING,
        "due since 2026-11-25 11:55:00Z, and nothing that is known is in its way: b should have started it",
    ),
]


@pytest.mark.parametrize(
    ("found", "code", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_job_that(found: JobFacts, code: ReasonCode, said: str) -> None:
    reason = why(found)
    assert reason.code is code
    assert said in reason.message
    assert reason.message == " ".join(reason.message.split())


def test_every_reason_of_a_job_has_a_case() -> None:
    of_leaders = {ReasonCode.UNKNOWN_LEADER, ReasonCode.NO_LEADER, ReasonCode.NOT_SERVED}
    of_jobs = list(ReasonCode)[: list(ReasonCode).index(ReasonCode.UNKNOWN_SCHEDULE)]
    assert {case[2] for case in CASES} == set(of_jobs) - of_leaders


@pytest.mark.parametrize(
    ("leadership", "code", "said"),
    [
        (
            Leadership("zookeeper", None, "origin"),
            ReasonCode.NO_LEADER,
            "no member leads (the last was b, term 4)",
        ),
        (
            Leadership("zookeeper", error="no answer"),
            ReasonCode.UNKNOWN_LEADER,
            "zookeeper does not answer: no answer; the last was b, term 4",
        ),
        (
            Leadership("zookeeper", LEADER, "other"),
            ReasonCode.NOT_SERVED,
            (
                "holds other data (origin other) than the fence knows (origin); if that is meant, run: leaderjobs db "
                "adopt-coordinator"
            ),
        ),
        (
            Leadership(
                "zookeeper", replace(LEADER, number=0, notes=("the database lost commits",)), "origin"
            ),
            ReasonCode.NOT_SERVED,
            (
                "b claims to lead since 2026-11-25 11:55:00Z and has not begun: its log says why (term_refused, "
                "service_failed); the database lost commits"
            ),
        ),
        (
            Leadership("zookeeper", replace(LEADER, number=0, since=NOW), "origin"),
            ReasonCode.NOT_SERVED,
            "b is just taking over",
        ),
        (
            replace(LED, silent=True),
            ReasonCode.NOT_SERVED,
            "b leads and has not been heard of since 2026-11-25 12:00:00Z; if it is gone, the next in line leads",
        ),
    ],
)
def test_a_queue_that_nobody_serves_comes_before_what_holds_one_job(
    leadership: Leadership, code: ReasonCode, said: str
) -> None:
    reason = why(facts(FAILED, hold=PERSON, running=running("household")), leadership)
    assert (reason.code, reason.until) == (code, None)
    assert said in reason.message


def test_nobody_has_ever_led() -> None:
    reason = why(replace(FACTS, term=None), Leadership("zookeeper"))
    assert (reason.code, "nobody ever has" in reason.message) == (ReasonCode.NO_LEADER, True)


@pytest.mark.parametrize("leader", [None, replace(LEADER, number=0), replace(LEADER, number=5)])
def test_a_job_whose_leader_is_gone_is_left_to_the_next(leader: LeaderInfo | None) -> None:
    reason = why(facts(RUNS), Leadership("zookeeper", leader, "origin"))
    assert reason.code is ReasonCode.ABANDONED
    assert "left by term 4 (b), which leads no more; the next leader takes it up" in reason.message


def test_a_running_job_is_in_doubt_while_the_coordinator_is_away() -> None:
    reason = why(facts(RUNS), Leadership("zookeeper", error="no answer"))
    assert reason.code is ReasonCode.RUNNING
    assert reason.message.endswith("zookeeper does not answer, so this may be over")


def test_a_running_job_is_in_doubt_while_its_leader_is_silent() -> None:
    reason = why(facts(RUNS), replace(LED, silent=True))
    assert reason.code is ReasonCode.RUNNING
    assert reason.message.endswith("b is not heard of: if it is gone, the next leader takes the job up")


def test_an_uncertain_job_tells_that_nobody_looks() -> None:
    reason = why(facts(UNCERTAIN), Leadership("zookeeper", None, "origin"))
    assert (reason.code, reason.until) == (ReasonCode.UNCERTAIN, None)
    assert "nobody looks it up now: no member leads" in reason.message


@pytest.mark.parametrize(
    ("found", "until"),
    [
        (facts(hold=PERSON), SOON),
        (facts(FAILED), SOON),
        (facts(UNCERTAIN), SOON),
        (facts(job(state=JobState.SCHEDULED, scheduled_at=LATER)), LATER),
        (facts(FAILED, connection_known=False), SOON),
        (facts(ahead=1), None),
        (facts(), None),
    ],
)
def test_a_reason_says_when_it_is_over(found: JobFacts, until: datetime | None) -> None:
    assert why(found).until == until


@pytest.mark.parametrize("hold", [PERSON, QUOTA])
def test_a_hold_counts_only_while_it_is_in_the_way(hold: StoredHold) -> None:
    assert (
        why(facts(job(state=JobState.SCHEDULED, scheduled_at=LATER), hold=hold)).code is ReasonCode.SCHEDULED
    )
    assert (
        why(facts(job(state=JobState.RETRYABLE, scheduled_at=SOON), hold=hold)).code
        is not ReasonCode.RETRYING
    )
    assert why(facts(hold=replace(hold, until=NOW))).code is ReasonCode.STARTING


def test_an_operation_runs_beside_a_sync_of_its_connection() -> None:
    assert why(facts(OPERATION, running=running("billing"))).code is ReasonCode.STARTING
    assert why(facts(running=running("household", operation=True))).code is ReasonCode.STARTING


def test_a_limit_of_its_own_takes_the_place_of_the_operations_at_once() -> None:
    found = facts(OPERATION, running=running(*["billing"] * 4, operation=True))
    assert why(found, limits=Limits(8, {"billing": 5})).code is ReasonCode.STARTING
    assert why(found, limits=Limits(8, {"billing": 4})).code is ReasonCode.CONNECTION_LIMIT


def test_a_connection_that_is_not_known_to_be_unknown_is_no_reason() -> None:
    assert why(facts(connection_known=None)).code is ReasonCode.STARTING
    assert why(facts(OPERATION, connection_known=False)).code is ReasonCode.STARTING
    later = job(state=JobState.SCHEDULED, scheduled_at=LATER)
    assert why(facts(later, connection_known=False)).code is ReasonCode.SCHEDULED


def test_without_limits_only_the_places_count() -> None:
    limits = Limits(8)
    assert why(facts(running=running(*["joint"] * 7)), limits=limits).code is ReasonCode.STARTING
    assert why(facts(running=running(*["joint"] * 8)), limits=limits).code is ReasonCode.CONCURRENCY
