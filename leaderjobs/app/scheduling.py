"""Schedules: for the commands, as they are stored and as the configuration says, and for whoever leads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from leaderjobs.app.connecting import connector_maker
from leaderjobs.app.connecting import planner as opened_planner
from leaderjobs.app.servers import opened_stores
from leaderjobs.errors import LeaderJobsError

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.config.watch import Reloading
    from leaderjobs.cron import Finding
    from leaderjobs.engine.firing import Backfilled, Configured, Triggered
    from leaderjobs.engine.leader import MakeBeside
    from leaderjobs.engine.scheduler import Subscribe
    from leaderjobs.engine.signals import Signals
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.event import Emit


def trigger(settings: Settings, name: str) -> Triggered:
    """Enqueue what the schedule asks for, now; see `engine.firing.trigger`.

    Refused when there is no such schedule, stored or in the file.
    """
    from leaderjobs.engine import firing

    found = configured(settings)
    with opened_stores(settings) as built, opened_planner(settings, built) as planner:
        spec = firing.stored_or_configured(built, found, name)
        return firing.trigger(built, firing.Wishes(lambda: found, planner), spec)


def backfill(
    settings: Settings, name: str, start: datetime, end: datetime, *, dry_run: bool = False
) -> list[Backfilled]:
    """Enqueue the fire times in [start, end) that have no job yet; see `engine.firing.backfill`.

    Refused when there is no such schedule, stored or in the file. A sync goes on from its markers whatever
    the fire time is: this makes as many jobs of it, not pulls of those days (that is `enqueue --since`).
    """
    from leaderjobs.engine import firing

    found = configured(settings)
    with opened_stores(settings) as built, opened_planner(settings, built) as planner:
        return firing.backfill(
            built,
            firing.Wishes(lambda: found, planner),
            settings.cluster.name,
            firing.stored_or_configured(built, found, name),
            start,
            end,
            dry_run=dry_run,
        )


def lint(settings: Settings) -> list[Finding]:
    """What is odd about the schedules of the file, and the stored ones where the database can be reached."""
    from leaderjobs import clock
    from leaderjobs.cron import lint as examined

    specs = dict(settings.schedules)
    try:
        with opened_stores(settings) as built:
            stored = {each.spec.name: each.spec for each in built.schedules.all()}
    except LeaderJobsError:
        stored = {}
    return examined([*{**stored, **specs}.values()], settings.cluster.name, clock.now())


def configured(settings: Settings) -> Configured:
    """What the configuration says of schedules and of what they may name."""
    from leaderjobs.engine.firing import Configured
    from leaderjobs.model.job import NewJob

    syncs = {
        name: NewJob(
            target=name,
            connection=found.connection,
            streams=tuple(found.streams),
            max_attempts=found.max_attempts,
            time_limit=found.time_limit,
        )
        for name, found in settings.syncs.items()
    }
    return Configured(settings.schedules, syncs)


def scheduler_maker(reloading: Reloading, built: Stores, signals: Signals, emit: Emit) -> MakeBeside:
    """What fires schedules for one term; `signals` tell of changes in the database."""
    from leaderjobs.engine.firing import Wishes
    from leaderjobs.engine.planner import Planner
    from leaderjobs.engine.scheduler import Scheduler

    current = _remembered(reloading.current)
    connectors = connector_maker(reloading.current)
    return lambda term, connections: Scheduler(
        term=term,
        connections=connections,
        schedules=built.schedules,
        wishes=Wishes(current, Planner(built.effects, connectors)),
        current=current,
        subscribe=(reloading.subscribe, _of_schedules(signals)),
        emit=emit,
    )


def _of_schedules(signals: Signals) -> Subscribe:
    """Only what is about schedules: a busy queue tells of every job."""
    from leaderjobs.model.signal import Signal, SignalKind

    def subscribe(told: Callable[[object], None]) -> Callable[[], None]:
        def hear(signal: Signal) -> None:
            if signal.kind in {SignalKind.SCHEDULES, SignalKind.RESCAN}:
                told(signal)

        return signals.subscribe(hear)

    return subscribe


def _remembered(current: Callable[[], Settings]) -> Callable[[], Configured]:
    """The same value for the same settings, so that a change is told by identity."""
    seen: list[tuple[Settings, Configured]] = []

    def asked() -> Configured:
        settings = current()
        if not seen or seen[0][0] is not settings:
            seen[:] = [(settings, configured(settings))]
        return seen[0][1]

    return asked
