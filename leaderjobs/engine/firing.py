"""What a fire time asks for: the job of a sync, or an effect and its job; and schedules fired by hand.

The scheduler and the commands make the same wishes, out of the same configuration; what they differ in is who
stores them: the leader, under its fence, or a person, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from leaderjobs.cron import Expression, arguments_at
from leaderjobs.engine.planner import Planner
from leaderjobs.engine.stores import Stores
from leaderjobs.errors import LeaderJobsError, LeadershipLost, Refused, StoreUnavailable, UsageError
from leaderjobs.model.job import NewJob
from leaderjobs.model.schedule import FireOutcome, ScheduleSpec
from leaderjobs.store.schedules import KEPT_FIRES
from leaderjobs.store.wishes import Wish

MOST_BACKFILL = 1000
"""Fire times that one backfill may enqueue."""
MOST_LOOKED_AT = 20_000
"""Fire times that a backfill looks through for those without a job."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Configured:
    """What a member's configuration says of schedules, and of what they may name."""

    schedules: Mapping[str, ScheduleSpec] = field(default_factory=dict)
    syncs: Mapping[str, NewJob] = field(default_factory=dict)
    """By name: the job that enqueuing it without more words makes."""


@dataclass(frozen=True, slots=True)
class Triggered:
    """What a person's trigger made."""

    job: int
    """Its id; 0 where the effect was there already and its job has been pruned."""
    created: bool
    """False: an operation whose effect was there already."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """One fire time of a backfill."""

    fire_time: datetime
    before: FireOutcome | None
    """How it had been decided; None: not at all, no leader has looked at it."""
    job: int | None = None
    """None in a dry run, and where `reason` says why there is none."""
    reason: str = ""


class Wishes:
    """Makes what fire times ask for, as the configuration is now. One thread at a time; `close` when done."""

    def __init__(self, current: Callable[[], Configured], planner: Planner) -> None:
        """The planner is closed with this."""
        self._current = current
        self._planner = planner

    def make(self, spec: ScheduleSpec, fire_time: datetime) -> Wish:
        """What `spec` asks for at an aware instant.

        UsageError says why not: an unknown sync, arguments that the operation does not take, a connector that
        cannot be made. StoreUnavailable passes.
        """
        job = self._current().syncs.get(spec.target)
        if job is not None:
            return replace(job, schedule=spec.name, fire_time=fire_time)
        connection, _, operation = spec.target.rpartition(".")
        if not connection:
            raise UsageError(f"no sync is called {spec.target} in the configuration of the member that asks")
        try:
            return self._planner.wish(connection, operation, arguments_at(spec, fire_time))
        except (StoreUnavailable, LeadershipLost):
            raise
        except (LeaderJobsError, ValueError) as error:
            raise UsageError(str(error)) from None
        except Exception as error:
            # An operation may be anybody's code; what it says may hold anything, a secret too.
            raise UsageError(f"{spec.target} raised {type(error).__name__} for its arguments") from error

    def forget(self) -> None:
        """Make connectors anew when next asked: the configuration has changed."""
        self._planner.close()

    def close(self) -> None:
        """Let go of the connectors."""
        self._planner.close()


def stored_or_configured(stores: Stores, configured: Configured, name: str) -> ScheduleSpec:
    """The schedule as stored, else as the file has it that no leader has led with yet; Refused for none."""
    try:
        return stores.schedules.get(name).spec
    except Refused:
        found = configured.schedules.get(name)
        if found is None:
            raise
        return found


def trigger(stores: Stores, wishes: Wishes, spec: ScheduleSpec) -> Triggered:
    """Enqueue what the schedule asks for, now, whether it is paused or an earlier job has not ended.

    The job is the schedule's and has no fire time. UsageError when it cannot be made.
    """
    wish = wishes.make(spec, stores.schedules.now().replace(microsecond=0))
    job = stores.schedules.trigger(spec.name, wish)
    if job is not None:
        return Triggered(job, created=True)
    there = 0 if isinstance(wish, NewJob) else stores.effects.job_of(wish.id)
    return Triggered(there, created=False)


def backfill(
    stores: Stores,
    wishes: Wishes,
    cluster: str,
    spec: ScheduleSpec,
    start: datetime,
    end: datetime,
    *,
    dry_run: bool = False,
) -> list[Backfilled]:
    """Enqueue the fire times in [start, end) that have no job yet, the oldest first; aware.

    Each gets its row and its job in one transaction, so a fire time never gets a second job, also when two
    backfills or a leader meet at it. `overlap` and `catch_up` are not looked at: a person has asked. With
    `dry_run` they are only listed. Refused when `end` is in the future, when `start` is so old that its fires
    are forgotten, and for more than MOST_BACKFILL fire times; UsageError when the window is empty.
    """
    wanted = _without_job(stores, cluster, spec, start, end)
    if dry_run:
        return wanted
    return [_enqueue(stores, wishes, spec, each) for each in wanted]


def _without_job(
    stores: Stores, cluster: str, spec: ScheduleSpec, start: datetime, end: datetime
) -> list[Backfilled]:
    if start >= end:
        raise UsageError(f"{start:%Y-%m-%d %H:%M}Z is not before {end:%Y-%m-%d %H:%M}Z")
    now = stores.schedules.now()
    if end > now:
        raise Refused(f"only the past can be backfilled; {end:%Y-%m-%d %H:%M:%S}Z is to come")
    if start < now - KEPT_FIRES:
        raise Refused(
            f"which fire times had a job is known for {KEPT_FIRES.days} days; give a later beginning than "
            f"{start:%Y-%m-%d}"
        )
    due = Expression.of(spec, cluster).after(start - _TICK, end - _TICK)
    fire_times = list(islice(due, MOST_LOOKED_AT + 1))
    decided = {fire.fire_time: fire for fire in stores.schedules.fires_between(spec.name, start, end)}
    found = []
    for fire_time in fire_times:
        fire = decided.get(fire_time)
        if fire is None or fire.job is None:
            found.append(Backfilled(fire_time, None if fire is None else fire.outcome))
    if len(found) > MOST_BACKFILL or len(fire_times) > MOST_LOOKED_AT:
        count = len(found) if len(fire_times) <= MOST_LOOKED_AT else f"{MOST_LOOKED_AT} and more"
        raise Refused(f"{count} fire times; allowed at a time: {MOST_BACKFILL}; give a shorter window")
    return found


def _enqueue(stores: Stores, wishes: Wishes, spec: ScheduleSpec, wanted: Backfilled) -> Backfilled:
    try:
        wish = wishes.make(spec, wanted.fire_time)
    except UsageError as error:
        return replace(wanted, reason=str(error))
    ruled = stores.schedules.backfill(spec, wanted.fire_time, wish)
    return Backfilled(wanted.fire_time, ruled.outcome, ruled.job, ruled.reason)
