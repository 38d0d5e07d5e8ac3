"""Schedules of a cluster, and decisions on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from leaderjobs.model.job import NewJob
from leaderjobs.model.schedule import FireOutcome, Schedule, ScheduleSpec
from leaderjobs.store.schedules import Decided, Published, Ruling, Schedules
from leaderjobs.store.wishes import Wish
from tests.integration.store.rig import Admin, Cluster, Led

MINUTE = timedelta(minutes=1)
SPEC = ScheduleSpec("hourly", "sync", "0 * * * *")
JOB = NewJob("sync", "household", ("things",), max_attempts=3, time_limit=timedelta(minutes=90))


@dataclass
class Clockwork:
    """A cluster with a leader and schedules whose past a test may set."""

    cluster: Cluster
    admin: Admin
    led: Led

    def __post_init__(self) -> None:
        self.schedules = Schedules(self.cluster.database, self.cluster.name)

    def add(self, since: timedelta = 60 * MINUTE, **more: object) -> Schedule:
        """A person's schedule, decided until so long ago."""
        spec = replace(SPEC, **more)  # type: ignore[arg-type]
        self.schedules.add(spec)
        self.rewind(spec.name, since)
        return self.schedules.get(spec.name)

    def rewind(self, name: str, since: timedelta) -> None:
        """As if nobody had decided for so long."""
        self.admin.execute(
            "UPDATE leaderjobs.schedules SET decided_until = date_trunc('minute', now()) - %s "
            "WHERE cluster = %s AND name = %s",
            (since, self.cluster.name, name),
        )

    def publish(self, *specs: ScheduleSpec) -> Published:
        """As the configuration of the member that leads."""
        found = {spec.name: spec for spec in specs}
        return self.schedules.publish(self.led.connections, self.led.term, found)

    def decide(
        self, schedule: Schedule, count: int = 1, *, wish: Wish = JOB, led: Led | None = None, missed: int = 0
    ) -> Decided:
        """Enqueue the next `count` minutes."""
        rulings = due(schedule, count, wish)
        return self.rule(schedule, rulings, led=led, missed=missed)

    def rule(
        self, schedule: Schedule, rulings: Sequence[Ruling], *, led: Led | None = None, missed: int = 0
    ) -> Decided:
        leads = led or self.led
        return self.schedules.decide(
            leads.connections, leads.term, schedule, rulings, rulings[-1].fire_time, missed
        )

    def jobs(self) -> list[tuple[datetime, str]]:
        """Fire time and state of the jobs, in their order."""
        rows = self.admin.execute(
            "SELECT fire_time, state FROM leaderjobs.jobs WHERE cluster = %s ORDER BY id",
            (self.cluster.name,),
        )
        return [(row[0].astimezone(UTC), str(row[1])) for row in rows if isinstance(row[0], datetime)]


def due(schedule: Schedule, count: int, wish: Wish = JOB) -> list[Ruling]:
    """The next minutes, to be enqueued."""
    instants = [schedule.decided_until + n * MINUTE for n in range(1, count + 1)]
    return [Ruling(each, FireOutcome.ENQUEUED, "", each, wish) for each in instants]


def outcomes(decided: Decided) -> list[FireOutcome | None]:
    return [fire.outcome for fire in decided.fires]
