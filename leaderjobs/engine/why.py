"""The one true reason why a job is not running, or what it is doing; pure, over facts of one moment.

The first of these that holds is the reason, in this order:

1. there is no such job; it has ended; it runs (but: its term is over, or it was asked to end);
2. its effect is uncertain: then only evidence or a person moves it on, whoever leads;
3. nobody leads; whether somebody does is unknown; whoever claims to lead cannot begin;
4. its connection is held, for a person or by the provider, until after the job's own time;
5. the configuration that leads has no sync with its connection;
6. its time has not come, by itself or after a failed attempt;
7. its place is taken: a sync of its connection runs, or as many operations as may; a limit of its connection
   or provider is reached; all places of the cluster are taken;
8. others of its connection come first;
9. nothing is in its way.

What is further down may hold as well, but ending it would not make the job run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from leaderjobs.engine.leadership import Leadership, moment, no_leader
from leaderjobs.engine.limiter import OPERATIONS_AT_ONCE, Limits
from leaderjobs.model.job import Job, JobState
from leaderjobs.model.reason import Reason, ReasonCode
from leaderjobs.store.why import MOST_AHEAD, JobFacts, RunningJob

MOST_NAMED = 5
"""Jobs that a message names; the rest is counted."""
CLAIMED_WITHIN = timedelta(seconds=5)
"""A job that is due longer, with nothing in its way, is something to look into."""


@dataclass(frozen=True, slots=True)
class _Case:
    job: Job
    facts: JobFacts
    leadership: Leadership
    limits: Limits

    @property
    def due(self) -> bool:
        return self.job.scheduled_at <= self.facts.now

    @property
    def operation(self) -> bool:
        return self.job.effect is not None


_Look: TypeAlias = Callable[[_Case], Reason | None]


def why_job(job_id: int, facts: JobFacts, leadership: Leadership, limits: Limits) -> Reason:
    """The reason; see the module's docstring for the order. `limits` are those of this machine's file."""
    if facts.job is None:
        return Reason(
            ReasonCode.UNKNOWN_JOB, f"there is no job {job_id}: it never was in this cluster, or was pruned"
        )
    case = _Case(facts.job, facts, leadership, limits)
    found = (look(case) for look in _ORDER)
    return next(reason for reason in found if reason is not None)


# -- ended and running -------------------------------------------------------------------------------------


def _ended(case: _Case) -> Reason | None:
    job = case.job
    if not job.state.final:
        return None
    when = f"at {moment(job.finished_at)}" if job.finished_at else "at an unknown time"
    by = f" by term {job.term} ({job.member})" if job.term is not None else ""
    if job.state is JobState.COMPLETED:
        rows = "" if case.operation else f", {job.progress.rows:,} rows"
        return Reason(
            ReasonCode.COMPLETED, f"completed {when}{by}, attempt {job.attempt} of {job.max_attempts}{rows}"
        )
    if job.state is JobState.DISCARDED:
        again = f"effects retry {str(job.effect)[:8]}" if case.operation else f"jobs retry {job.id}"
        return Reason(
            ReasonCode.DISCARDED,
            f"failed for good {when}{by}, attempt {job.attempt} of {job.max_attempts}: "
            f"{job.error or 'no error is kept'}; to run it again: leaderjobs {again}",
        )
    who = f" by {case.facts.cancelled_by}" if case.facts.cancelled_by else ""
    return Reason(ReasonCode.CANCELLED, f"cancelled {when}{who}")


def _running(case: _Case) -> Reason | None:
    job, term, leader = case.job, case.facts.term, case.leadership.leader
    if job.state is not JobState.RUNNING:
        return None
    owner = f"term {job.term} ({job.member})"
    if term is not None and job.term is not None and job.term < term.number:
        return Reason(
            ReasonCode.ABANDONED,
            f"left by {owner}, which is over; term {term.number} ({term.member}) takes it up",
        )
    if not case.leadership.error and (leader is None or leader.number != job.term):
        takes = "the next leader takes it up, from its last committed page"
        return Reason(ReasonCode.ABANDONED, f"left by {owner}, which leads no more; {takes}")
    since = f"since {moment(job.started_at)}" if job.started_at else "since an unknown time"
    doubt = ""
    if case.leadership.error:
        doubt = f"; {case.leadership.kind} does not answer, so this may be over"
    elif case.leadership.silent:
        doubt = f"; but {job.member} is not heard of: if it is gone, the next leader takes the job up"
    doing = f"attempt {job.attempt} runs {since} on {job.member} (term {job.term}){_progress(case)}{doubt}"
    if job.cancel_requested_at is not None:
        who = f" by {case.facts.cancelled_by}" if case.facts.cancelled_by else ""
        return Reason(
            ReasonCode.CANCELLING,
            f"asked to end at {moment(job.cancel_requested_at)}{who}; it ends at a page's end: {doing}",
        )
    return Reason(ReasonCode.RUNNING, doing)


def _progress(case: _Case) -> str:
    progress = case.job.progress
    if case.operation:
        return ""
    if not progress.pages:
        return ", no page yet"
    total = f" of {progress.total:,}" if progress.total is not None else ""
    done = f"{progress.pages:,} pages, {progress.rows:,} rows"
    return f": {done}; at {progress.stream} ({progress.stream_rows:,}{total})"


def _uncertain(case: _Case) -> Reason | None:
    job, effect = case.job, case.facts.effect
    if job.state is not JobState.UNCERTAIN:
        return None
    why = (effect.reason if effect else "") or job.error or "its outcome was never learnt"
    code = f" ({effect.code})" if effect and effect.code else ""
    sent = f"sent at {moment(effect.first_sent_at)}, " if effect and effect.first_sent_at else ""
    idle = no_leader(case.leadership, case.facts.term, case.facts.now)
    looks = (
        f"; nobody looks it up now: {idle.message}"
        if idle
        else f"; looked up again {'now' if case.due else 'at ' + moment(job.scheduled_at)}"
    )
    short = str(job.effect)[:8]
    return Reason(
        ReasonCode.UNCERTAIN,
        f"{sent}whether it took effect is unknown{code}: {why}{looks}; whoever has looked at the provider "
        f"settles it: leaderjobs effects resolve {short} --succeeded|--failed --note WHY",
        None if idle or case.due else job.scheduled_at,
    )


# -- waiting -----------------------------------------------------------------------------------------------


def _unserved(case: _Case) -> Reason | None:
    return no_leader(case.leadership, case.facts.term, case.facts.now)


def _held(case: _Case) -> Reason | None:
    hold = case.facts.hold
    if hold is None or hold.until <= case.facts.now or hold.until < case.job.scheduled_at:
        return None
    if hold.person:
        return Reason(
            ReasonCode.NEEDS_USER,
            f"connection {hold.connection} waits for its user since {moment(hold.since)} ({hold.code}): "
            f"{hold.message}; after mending the account: leaderjobs connections release {hold.connection}; "
            f"tried again by itself at {moment(hold.until)}",
            hold.until,
        )
    return Reason(
        ReasonCode.PROVIDER_WAITS,
        f"the provider takes nothing more of connection {hold.connection} before {moment(hold.until)} "
        f"({hold.code}): {hold.message}",
        hold.until,
    )


def _unconfigured(case: _Case) -> Reason | None:
    job, leader = case.job, case.leadership.leader
    waits_for_time = not case.due and job.state is not JobState.RETRYABLE
    if case.facts.connection_known is not False or case.operation or waits_for_time:
        return None
    return Reason(
        ReasonCode.NOT_CONFIGURED,
        f"no sync in the configuration that leads ({leader.id if leader else 'unknown'}) uses connection "
        f"{job.connection}: add [connections.{job.connection}] and its sync there",
        None if case.due else job.scheduled_at,
    )


def _waiting(case: _Case) -> Reason | None:
    job = case.job
    if case.due:
        return None
    then = f"again at {moment(job.scheduled_at)}"
    if job.state is JobState.RETRYABLE:
        return Reason(ReasonCode.RETRYING, f"{_failure(case)}; {then}", job.scheduled_at)
    fire = ""
    if job.schedule is not None and job.fire_time is not None:
        fire = f", by schedule {job.schedule} for its fire time {moment(job.fire_time)}"
    return Reason(ReasonCode.SCHEDULED, f"not before {moment(job.scheduled_at)}{fire}", job.scheduled_at)


def _failure(case: _Case) -> str:
    job, error = case.job, case.job.error or "no error is kept"
    match case.facts.last_outcome:
        case "held":
            return f"its connection was held: {error}"
        case "postponed" | "uncertain":
            return f"put off: {error}"
        case _:
            attempt = case.facts.last_attempt or job.attempt
            return f"attempt {attempt} of {job.max_attempts} failed with: {error}"


def _connection_busy(case: _Case) -> Reason | None:
    if case.operation:
        return None
    own = [each for each in _of_connection(case) if not each.operation]
    if not own:
        return None
    then = f"; then {_several(case.facts.ahead)} before this one" if case.facts.ahead else ""
    return Reason(
        ReasonCode.CONNECTION_BUSY,
        f"job {own[0].id} ({own[0].target}) of the same connection runs since {moment(own[0].started_at)}, "
        f"and the syncs of one connection run one at a time{then}",
    )


def _operations_busy(case: _Case) -> Reason | None:
    own = [each for each in _of_connection(case) if each.operation]
    limited = case.job.connection in case.limits.connections
    if not case.operation or limited or len(own) < OPERATIONS_AT_ONCE:
        return None
    return Reason(
        ReasonCode.OPERATIONS_BUSY,
        f"{len(own)} operations of connection {case.job.connection} run ({_named(own)}), and without a limit "
        f"in limits.connections.{case.job.connection} no more than {OPERATIONS_AT_ONCE} do at once",
    )


def _connection_limit(case: _Case) -> Reason | None:
    name = case.job.connection
    return _limit(
        ReasonCode.CONNECTION_LIMIT,
        f"limits.connections.{name}",
        case.limits.connections.get(name),
        _of_connection(case),
    )


def _provider_limit(case: _Case) -> Reason | None:
    connectors = case.limits.provider_of
    connector = connectors.get(case.job.connection)
    if connector is None:
        return None
    own = [each for each in case.facts.running if connectors.get(each.connection) == connector]
    most = case.limits.providers.get(connector)
    return _limit(ReasonCode.PROVIDER_LIMIT, f"limits.providers.{connector}", most, own)


def _limit(code: ReasonCode, name: str, most: int | None, running: Sequence[RunningJob]) -> Reason | None:
    if most is None or len(running) < most:
        return None
    return Reason(code, f"{name} allows {most} at a time, and {len(running)} run ({_named(running)})")


def _concurrency(case: _Case) -> Reason | None:
    running = case.facts.running
    if len(running) < case.limits.concurrency:
        return None
    return Reason(
        ReasonCode.CONCURRENCY,
        f"all {case.limits.concurrency} places of cluster.concurrency are taken ({_named(running)})",
    )


def _behind(case: _Case) -> Reason | None:
    if not case.facts.ahead:
        return None
    kind = "operations" if case.operation else "syncs"
    return Reason(
        ReasonCode.BEHIND,
        f"{_several(case.facts.ahead)} before it among the {kind} of connection {case.job.connection}: by "
        f"priority (this one has {case.job.priority}), then by time",
    )


def _starting(case: _Case) -> Reason:
    leader = case.leadership.leader
    by = leader.id if leader else "the leader"
    late = case.facts.now - case.job.scheduled_at
    if late < CLAIMED_WITHIN:
        return Reason(ReasonCode.STARTING, f"due, and nothing is in its way: {by} starts it within a second")
    return Reason(
        ReasonCode.STARTING,
        f"due since {moment(case.job.scheduled_at)}, and nothing that is known is in its way: {by} should "
        "have started it; see its log, and leaderjobs doctor",
    )


_ORDER: Sequence[_Look] = (
    _ended,
    _running,
    _uncertain,
    _unserved,
    _held,
    _unconfigured,
    _waiting,
    _connection_busy,
    _operations_busy,
    _connection_limit,
    _provider_limit,
    _concurrency,
    _behind,
    _starting,
)


# -- words -------------------------------------------------------------------------------------------------


def _of_connection(case: _Case) -> list[RunningJob]:
    return [each for each in case.facts.running if each.connection == case.job.connection]


def _named(running: Sequence[RunningJob]) -> str:
    named = ", ".join(str(each.id) for each in running[:MOST_NAMED])
    more = len(running) - MOST_NAMED
    return f"job{'s' if len(running) > 1 else ''} {named}" + (f" and {more} more" if more > 0 else "")


def _several(ahead: int) -> str:
    if ahead > MOST_AHEAD:
        return f"more than {MOST_AHEAD:,} come"
    return f"{ahead:,} come{'s' if ahead == 1 else ''}"
