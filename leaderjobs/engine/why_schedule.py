"""The one true reason why a schedule does not fire, or did not; pure, over facts of one moment.

The first of these that holds is the reason, in this order:

1. there is no such schedule: never, not yet, or not any more;
2. it is paused;
3. nobody decides: nobody leads, or whoever claims to lead cannot begin;
4. a fire time has come and is about to be decided;
5. the last fire time made no job, and why;
6. the next fire time has not come, or there is none.

With an instant, that is asked about instead: what was decided for it, else why nothing was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from leaderjobs.cron import Expression
from leaderjobs.engine.leadership import Leadership, moment, no_leader
from leaderjobs.model.reason import Reason, ReasonCode
from leaderjobs.model.schedule import Fire, FireOutcome, Schedule
from leaderjobs.store.schedules import KEPT_FIRES
from leaderjobs.store.why import ScheduleFacts

DECIDED_WITHIN = timedelta(seconds=5)
"""A fire time that is due longer, and that nobody has decided, is something to look into."""
_CODES = {
    FireOutcome.ENQUEUED: ReasonCode.ENQUEUED,
    FireOutcome.MISSED: ReasonCode.MISSED,
    FireOutcome.OVERLAPPED: ReasonCode.OVERLAPPED,
    FireOutcome.QUEUE_FULL: ReasonCode.QUEUE_FULL,
    FireOutcome.REFUSED: ReasonCode.REFUSED,
}
_WORDS = {
    FireOutcome.ENQUEUED: "enqueued",
    FireOutcome.MISSED: "missed",
    FireOutcome.OVERLAPPED: "skipped, as an earlier job had not ended",
    FireOutcome.QUEUE_FULL: "skipped, as too many jobs of it wait already",
    FireOutcome.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True)
class _Case:
    schedule: Schedule
    facts: ScheduleFacts
    leadership: Leadership
    expression: Expression

    @property
    def undecided(self) -> datetime | None:
        """The first fire time that nobody has decided; it may be to come."""
        return next(self.expression.after(self.schedule.decided_until), None)

    def shown(self, at: datetime) -> str:
        """A fire time for people: by the schedule's clocks, and in UTC where that differs."""
        if self.schedule.spec.time_zone == "UTC":
            return moment(at)
        there = at.astimezone(ZoneInfo(self.schedule.spec.time_zone))
        return f"{there:%Y-%m-%d %H:%M} {self.schedule.spec.time_zone} ({moment(at)})"


def why_schedule(
    name: str,
    facts: ScheduleFacts,
    leadership: Leadership,
    cluster: str,
    *,
    at: datetime | None,
    in_file: bool,
) -> Reason:
    """The reason; see the module's docstring for the order. `at` is aware, in minutes.

    `in_file`: this machine's configuration has a schedule of that name.
    """
    if facts.schedule is None:
        return _absent(name, facts, leadership, in_file=in_file)
    expression = Expression.of(facts.schedule.spec, cluster)
    case = _Case(facts.schedule, facts, leadership, expression)
    return _now(case) if at is None else _at(case, at)


def _absent(name: str, facts: ScheduleFacts, leadership: Leadership, *, in_file: bool) -> Reason:
    if in_file:
        idle = no_leader(leadership, facts.term, facts.now)
        why = f"nobody leads: {idle.message}" if idle else "the member that leads has another configuration"
        return Reason(
            ReasonCode.NOT_STORED,
            f"schedule {name} is in this machine's file, and not in the database: {why}",
        )
    if facts.fire is not None:
        return Reason(
            ReasonCode.REMOVED,
            f"schedule {name} was removed, by hand or from the file of the member that leads; its last fire "
            f"time was {moment(facts.fire.fire_time)}",
        )
    return Reason(ReasonCode.UNKNOWN_SCHEDULE, f"there is no schedule {name}; see: leaderjobs schedules list")


def _now(case: _Case) -> Reason:
    found = _paused(case) or no_leader(case.leadership, case.facts.term, case.facts.now) or _due(case)
    if found is not None:
        return found
    fire, next_fire = case.facts.fire, case.undecided
    last = f"; the last, {case.shown(fire.fire_time)}, was {_decided(case, fire)}" if fire else ""
    if next_fire is None:
        return Reason(ReasonCode.NEVER, f"no fire time is left: {case.expression.explain()}{last}")
    if fire is not None and fire.outcome is not FireOutcome.ENQUEUED:
        return Reason(
            _CODES[fire.outcome],
            f"the last fire time, {case.shown(fire.fire_time)}, was {_decided(case, fire)}; the next is "
            f"{case.shown(next_fire)}",
            next_fire,
        )
    return Reason(ReasonCode.WAITING, f"the next fire time is {case.shown(next_fire)}{last}", next_fire)


def _paused(case: _Case) -> Reason | None:
    schedule = case.schedule
    if schedule.paused_at is None:
        return None
    because = f" because: {schedule.paused_reason}" if schedule.paused_reason else ""
    by = f" by {schedule.paused_by}" if schedule.paused_by else ""
    return Reason(
        ReasonCode.PAUSED,
        f"paused since {moment(schedule.paused_at)}{by}{because}; to go on: leaderjobs schedules resume "
        f"{schedule.spec.name}",
    )


def _due(case: _Case) -> Reason | None:
    fire_time = case.undecided
    if fire_time is None or fire_time > case.facts.now:
        return None
    leader = case.leadership.leader
    by = leader.id if leader else "the leader"
    if case.facts.now - fire_time < DECIDED_WITHIN:
        return Reason(
            ReasonCode.UNDECIDED, f"fire time {case.shown(fire_time)} has come, {by} is about to decide it"
        )
    return Reason(
        ReasonCode.UNDECIDED,
        f"fire time {case.shown(fire_time)} has come, and {by} should have decided it; see its log, and "
        "leaderjobs doctor",
    )


def _at(case: _Case, at: datetime) -> Reason:
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    shown, fire = case.shown(minute), case.facts.fire
    if fire is not None:
        return Reason(
            _CODES[fire.outcome], f"fire time {case.shown(fire.fire_time)} was {_decided(case, fire)}"
        )
    missed = case.expression.misses(minute)
    if missed:
        return Reason(
            ReasonCode.NO_FIRE_TIME, f"{shown} is no fire time of {case.schedule.spec.cron!r}: {missed}"
        )
    if minute > case.facts.now:
        idle = _paused(case) or no_leader(case.leadership, case.facts.term, case.facts.now)
        if idle is not None:
            return Reason(idle.code, f"{shown} is a fire time to come; but now: {idle.message}")
        return Reason(ReasonCode.WAITING, f"{shown} is a fire time to come", minute)
    if minute > case.schedule.decided_until:
        idle = _paused(case) or no_leader(case.leadership, case.facts.term, case.facts.now) or _due(case)
        why = idle.message if idle else "the leader is about to decide it"
        code = idle.code if idle else ReasonCode.UNDECIDED
        return Reason(code, f"fire time {shown} has come and is not decided: {why}")
    return Reason(
        ReasonCode.BEFORE, f"{shown} is a fire time of the schedule as it is now, but {_passed(case, minute)}"
    )


def _passed(case: _Case, minute: datetime) -> str:
    created_at = case.schedule.created_at
    if minute <= created_at:
        return f"the schedule is there only since {moment(created_at)}"
    if case.facts.now - minute > KEPT_FIRES:
        return f"what became of it is forgotten after {KEPT_FIRES.days} days"
    return "it was passed over: the schedule was paused then, or had other fire times"


def _decided(case: _Case, fire: Fire) -> str:
    """What was decided, when and by whom, and what became of the job."""
    reason = f": {fire.reason}" if fire.reason else ""
    by = (
        f" by term {fire.term}"
        if fire.term is not None
        else ", by a person's backfill"
        if fire.backfill
        else ""
    )
    told = f"{_WORDS[fire.outcome]} at {moment(fire.decided_at)}{by}{reason}"
    if fire.outcome is not FireOutcome.ENQUEUED or fire.job is None:
        return told
    facts = case.facts
    if facts.job_state is None:
        return f"{told}; job {fire.job} has been pruned since"
    ended = f" at {moment(facts.job_finished_at)}" if facts.job_finished_at else ""
    error = f": {facts.job_error}" if facts.job_error else ""
    return f"{told}; job {fire.job} is {facts.job_state.value}{ended}{error}"
