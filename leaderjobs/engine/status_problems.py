"""What is wrong in a cluster, or worth a person's look; pure. The codes are a promise to scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from leaderjobs.connectors.pacing import RATE_LIMITED
from leaderjobs.engine.leadership import moment
from leaderjobs.engine.status_views import CoordinatorView, DatabaseView
from leaderjobs.model.report import MemberReport, Problem, Reach
from leaderjobs.model.schedule import Fire, FireOutcome, Schedule

FRESH_LEADER = timedelta(seconds=5)
"""How long a leader may take from its claim to its fence before that counts as a problem."""
LATE = timedelta(seconds=60)
"""How long a fire time may be due and undecided before somebody must know: a take-over is shorter."""
MOST_OF_A_CODE = 10
"""Problems of one code that are told; more are counted in one more."""


def server_problems(view: CoordinatorView, database: DatabaseView) -> list[Problem]:
    """Servers that do not answer, or not as they should."""
    problems = []
    if view.error:
        problems.append(
            Problem("coordinator_unreachable", f"{view.kind} does not answer: {view.error}", unhealthy=True)
        )
    if database.state is Reach.NOT_MIGRATED:
        problems.append(Problem("not_migrated", database.error, unhealthy=True))
    elif database.state is Reach.UNREACHABLE:
        problems.append(
            Problem("database_unreachable", f"Postgres does not answer: {database.error}", unhealthy=True)
        )
    return problems


def leader_problems(view: CoordinatorView, database: DatabaseView, instant: datetime) -> list[Problem]:
    """Nobody leads, or somebody cannot begin, or has something to say."""
    if view.error:
        return []
    problems = []
    stored = database.seen.term
    if stored is not None and stored.origin != view.origin:
        problems.append(
            Problem(
                "unknown_origin",
                f"{view.kind} holds other data (origin {view.origin}) than the fence knows "
                f"({stored.origin}): nobody can lead; if that is meant, run leaderjobs db adopt-coordinator",
                unhealthy=True,
            )
        )
    if view.leader is None:
        problems.append(Problem("no_leader", "no member leads: is leaderjobs run running?", unhealthy=True))
        return problems
    if view.leader.number == 0 and instant - view.leader.heartbeat_at > FRESH_LEADER:
        problems.append(
            Problem("leader_not_begun", f"{view.leader.id} claims to lead but cannot begin", unhealthy=True)
        )
    problems.extend(Problem("leader_note", note, unhealthy=False) for note in view.leader.notes)
    return problems


def note_problems(view: CoordinatorView) -> list[Problem]:
    """What members say of themselves."""
    return [
        Problem("member_note", f"{member.id}: {note}", unhealthy=False)
        for member in view.members
        for note in member.replica.notes
    ]


def member_problems(members: Sequence[MemberReport], max_lag: timedelta) -> list[Problem]:
    """Followers that are too far behind, and members that cannot be told apart."""
    problems = [
        Problem(
            "follower_lags",
            f"{member.id} is {member.lag.markers} batches and {member.lag.seconds:.1f} s behind "
            f"(limit {max_lag.total_seconds():g} s)",
            unhealthy=True,
        )
        for member in members
        if member.lag is not None and member.lag.seconds > max_lag.total_seconds()
    ]
    for name, count in Counter(member.id for member in members).items():
        if count > 1:
            where = ", ".join(f"{m.host} pid {m.pid}" for m in members if m.id == name)
            problems.append(
                Problem(
                    "duplicate_member",
                    f"{count} members call themselves {name} ({where}): give each its own --id",
                    unhealthy=False,
                )
            )
    return problems


def effect_problems(database: DatabaseView) -> list[Problem]:
    """What may have acted at a third party, and nobody knows."""
    problems = []
    if database.seen.effects_uncertain:
        count = database.seen.effects_uncertain
        problems.append(
            Problem(
                "effects_uncertain",
                f"{count} effect{'s are' if count > 1 else ' is'} uncertain; see: "
                "leaderjobs effects list --state uncertain",
                unhealthy=True,
            )
        )
    if database.seen.effects_contradicted:
        count = database.seen.effects_contradicted
        problems.append(
            Problem(
                "effects_contradicted",
                f"late evidence contradicts {count} effect{'s' if count > 1 else ''}: it may be there twice; "
                "see: leaderjobs effects list --contradicted",
                unhealthy=True,
            )
        )
    return problems


def work_problems(database: DatabaseView) -> list[Problem]:
    """Connections that wait, and jobs that have failed."""
    problems = [
        Problem(
            "rate_limited",
            f"connection {hold.connection} was told to wait: {hold.message}; its jobs go on at "
            f"{moment(hold.until)}",
            unhealthy=False,
        )
        for hold in database.seen.holds
        if not hold.person and hold.code == RATE_LIMITED
    ]
    problems += [
        Problem(
            "quota_exhausted",
            f"connection {hold.connection} has used up its quota: {hold.message}; its jobs go on at "
            f"{moment(hold.until)}",
            unhealthy=False,
        )
        for hold in database.seen.holds
        if not hold.person and hold.code != RATE_LIMITED
    ]
    problems += [
        Problem(
            "connection_held",
            f"connection {hold.connection} waits for its user ({hold.code}): {hold.message}; tried again at "
            f"{moment(hold.until)}, or after leaderjobs connections release {hold.connection}",
            unhealthy=False,
        )
        for hold in database.seen.holds
        if hold.person
    ]
    problems.extend(
        Problem("job_discarded", f"job {job.id} ({job.target}) failed for good: {job.error}", unhealthy=False)
        for job in database.seen.discarded
    )
    return problems


def schedule_problems(cluster: str, database: DatabaseView) -> list[Problem]:
    """Schedules that do not fire, or whose last fire time came to nothing."""
    seen = database.seen
    if seen.now is None:
        return []
    problems: list[Problem] = []
    for schedule in seen.schedules:
        problem = _late(cluster, schedule, seen.now) or _refused(seen.last_fires.get(schedule.spec.name))
        if problem is not None:
            problems.append(problem)
    problems += [_paused(schedule) for schedule in seen.schedules if schedule.paused_at is not None]
    return list(_bounded(problems))


def _late(cluster: str, schedule: Schedule, now: datetime) -> Problem | None:
    if schedule.paused_at is not None:
        return None
    from leaderjobs.cron import Expression

    name = schedule.spec.name
    try:
        due = next(Expression.of(schedule.spec, cluster).after(schedule.decided_until), None)
    except ValueError as error:
        return Problem(
            "schedule_refused", f"schedule {name} cannot be read by this leaderjobs: {error}", unhealthy=True
        )
    if due is None or now - due <= LATE:
        return None
    return Problem(
        "schedule_late",
        f"schedule {name} should have fired at {moment(due)}, and nobody has decided it; "
        f"see: leaderjobs schedules why {name}",
        unhealthy=True,
    )


def _refused(last: Fire | None) -> Problem | None:
    if last is None or last.outcome is not FireOutcome.REFUSED:
        return None
    return Problem(
        "schedule_refused",
        f"schedule {last.schedule} could not enqueue its job of {moment(last.fire_time)}: {last.reason}",
        unhealthy=False,
    )


def _paused(schedule: Schedule) -> Problem:
    name = schedule.spec.name
    return Problem(
        "schedule_paused",
        f"schedule {name} is paused since {moment(schedule.paused_at)} by {schedule.paused_by}: "
        f"{schedule.paused_reason}; it goes on after leaderjobs schedules resume {name}"
        if schedule.paused_at
        else "",
        unhealthy=False,
    )


def _bounded(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The first MOST_OF_A_CODE of each code, and how many more there are."""
    counts: Counter[tuple[str, bool]] = Counter()
    for problem in problems:
        counts[problem.code, problem.unhealthy] += 1
        if counts[problem.code, problem.unhealthy] <= MOST_OF_A_CODE:
            yield problem
    for (code, unhealthy), count in counts.items():
        if count > MOST_OF_A_CODE:
            more = f"{count - MOST_OF_A_CODE} more; see: leaderjobs schedules list"
            yield Problem(code, more, unhealthy=unhealthy)
