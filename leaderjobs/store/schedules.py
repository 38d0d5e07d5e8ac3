"""Cron entries and their fires: kept by anybody, decided by the leader under its term.

A fire time is decided once: its row of `fires` and its job are inserted in one transaction, which also moves
`decided_until` on, and the row is unique. So a leader that dies leaves either nothing or everything of it,
and whoever comes next goes on from `decided_until` (I5). A backfill inserts under the same uniqueness.

Every change raises `version`, and a decision names the version and the `decided_until` that it was made on:
what was edited, paused or decided meanwhile is read again first.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg.types.json import Jsonb

from leaderjobs.errors import Refused
from leaderjobs.model.schedule import CatchUp, Fire, FireOutcome, Overlap, Schedule, ScheduleSpec, Source
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced, rows_of
from leaderjobs.store.text import checked, storable
from leaderjobs.store.wishes import Wish, wish_document

MOST_QUEUED = 100
"""Jobs of one schedule that have not ended, before it enqueues no more."""
KEPT_FIRES = timedelta(days=400)
"""How long fires are kept: of an older fire time nobody knows any more whether it had a job."""
PAUSED_BY = "leaderjobs"
"""Who paused a schedule whose job was discarded; the schema's function `pause_failed` writes it."""
MOST_LISTED = 10_000
MOST_NAMED = 20
"""Schedules that an error names."""
_SQL = queries.load("schedules")


@dataclass(frozen=True, slots=True)
class Ruling:
    """A due fire time, and what shall become of it; `wish` and `at` for ENQUEUED only."""

    fire_time: datetime
    outcome: FireOutcome
    reason: str = ""
    at: datetime | None = None
    """When its job is due: the fire time and its jitter."""
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Ruled:
    """What became of a fire time; no outcome where a backfill had been there before."""

    fire_time: datetime
    outcome: FireOutcome | None
    reason: str = ""
    job: int | None = None


class Decision(StrEnum):
    """Whether fire times were decided."""

    DECIDED = "decided"
    STALE = "stale"
    """The schedule is not as it was read: nothing happened, read it again."""
    EARLY = "early"
    """A fire time is not due by the database's clock: nothing happened, ask again a little later."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The result of a decision; fires that are missing at the end wait for room in the queue."""

    decision: Decision
    fires: tuple[Ruled, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing the configuration changed, by name."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    """Left alone: a person has added schedules of these names."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All schedules of a cluster, by name, and the instant of it on the database's clock."""

    now: datetime
    schedules: Sequence[Schedule] = field(default_factory=list)


class Schedules:
    """The schedules of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    # -- anybody -------------------------------------------------------------------------------------------

    def all(self) -> list[Schedule]:
        """Every schedule, by name."""
        return list(self.read().schedules)

    def read(self) -> Reading:
        """Every schedule, and the database's clock."""
        with self._database.transaction() as connection:
            found = connection.execute(_SQL["all"], self._who())
            clock = connection.execute(_SQL["clock"])
        return Reading(rows_of(clock)[0]["now"], [schedule_of(row) for row in rows_of(found)])

    def now(self) -> datetime:
        """The database's clock, by which fire times are due; aware UTC."""
        now: datetime = self._database.rows(_SQL["clock"])[0]["now"]
        return now

    def get(self, name: str) -> Schedule:
        """The schedule of that name; Refused when there is none, with those there are."""
        found = self._rows("get", name=storable(name))
        if not found:
            raise self._unknown(name)
        return found[0]

    def add(self, spec: ScheduleSpec) -> Schedule:
        """Keep a person's schedule, from now on; Refused where the name is there already, with its owner."""
        checked(spec.name, "schedule")
        columns = _columns(spec)
        made = self._rows("add", **{**columns, "arguments": Jsonb(columns["arguments"])})
        if made:
            return made[0]
        owner = "the configuration's" if self.get(spec.name).source is Source.FILE else "a person's"
        raise Refused(f"schedule {spec.name} is there already, {owner}; choose another name, or remove it")

    def remove(self, name: str) -> None:
        """Forget a person's schedule; its jobs and fires stay. Refused for one of the file, or none."""
        gone = self._database.rows(_SQL["remove"], self._who(name=storable(name)))
        if not gone and self.get(name).source is Source.FILE:
            raise Refused(f"schedule {name} is the configuration's: remove [schedules.{name}] from the file")

    def pause(self, name: str, by: str, reason: str) -> Schedule:
        """Fire no more until `resume`; one that is paused already stays as it is. Refused for none."""
        who = {"name": storable(name), "by": storable(by), "reason": storable(reason)}
        return (self._rows("pause", **who) or [self.get(name)])[0]

    def resume(self, name: str) -> Schedule:
        """Fire again from now on: what came due in the pause is not fired. Refused for none."""
        return (self._rows("resume", name=storable(name)) or [self.get(name)])[0]

    def fires(self, name: str, limit: int = 20) -> list[Fire]:
        """The newest decided fire times, the newest first."""
        who = self._who(name=storable(name), limit=min(limit, MOST_LISTED))
        return [fire_of(row) for row in self._database.rows(_SQL["fires"], who)]

    def fires_between(self, name: str, start: datetime, end: datetime) -> list[Fire]:
        """The decided fire times in [start, end), the oldest first; aware."""
        who = self._who(name=storable(name), start=start, end=end)
        return [fire_of(row) for row in self._database.rows(_SQL["fires_between"], who)]

    def trigger(self, name: str, wish: Wish) -> int | None:
        """Enqueue by hand what the schedule asks for; the job's id, None where its effect is there."""
        row = self._database.rows(_SQL["fire"], self._who(name=name, wish=_wished(wish)))[0]
        made: int | None = row["job"]
        return made

    def backfill(self, spec: ScheduleSpec, fire_time: datetime, wish: Wish) -> Ruled:
        """Give a fire time its row and its job, by a person's wish, unless it has one.

        The outcome is how it had been decided before; None: not at all.
        """
        who = self._who(name=spec.name, fire_time=fire_time, time_zone=spec.time_zone, wish=_wished(wish))
        made = self._database.rows(_SQL["backfill"], who)[0]["made"]
        before = None if made["before"] is None else FireOutcome(made["before"])
        if made.get("there") is not None:
            return Ruled(fire_time, before, f"job {made['there']} is there already")
        if made["job"] is None:
            return Ruled(fire_time, before, "its effect is there already")
        return Ruled(fire_time, before, "", made["job"])

    # -- the leader ----------------------------------------------------------------------------------------

    def publish(
        self, connections: TermConnections, term: Term, specs: Mapping[str, ScheduleSpec]
    ) -> Published:
        """Make the file's schedules those of the configuration that leads; pauses and counts survive."""
        wanted = Jsonb([_columns(spec) for spec in specs.values()], dumps=_dumps)
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["publish"], self._who(specs=wanted))
        names: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "taken": []}
        for row in rows_of(cursor):
            names[row["what"]].append(row["name"])
        return Published(**{what: tuple(sorted(found)) for what, found in names.items()})

    def decide(
        self,
        connections: TermConnections,
        term: Term,
        schedule: Schedule,
        rulings: Sequence[Ruling],
        until: datetime,
        missed: int = 0,
    ) -> Decided:
        """Decide what fires after `schedule.decided_until` up to `until`, in one transaction with the jobs.

        `missed` counts those that get no row. Overlap is looked at here, where no job can come in between.
        """
        fires = [
            {
                "fire_time": ruling.fire_time,
                "outcome": ruling.outcome.value,
                "reason": storable(ruling.reason),
                "at": ruling.at,
                "wish": None if ruling.wish is None else wish_document(ruling.wish),
            }
            for ruling in rulings
        ]
        who = {
            "name": schedule.spec.name,
            "version": schedule.version,
            "from": schedule.decided_until,
            "until": until,
            "missed": missed,
            "number": term.number,
            "queued": MOST_QUEUED,
            "fires": Jsonb(fires, dumps=_dumps),
        }
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["decide"], self._who(**who))
        found = rows_of(cursor)[0]["decided"]
        return Decided(Decision(found["state"]), tuple(_ruled(each) for each in found.get("fires", ())))

    def prune(self, connections: TermConnections, term: Term, most: int) -> int:
        """Delete fires older than KEPT_FIRES, at most `most`; how many."""
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["prune"], self._who(age=KEPT_FIRES, most=most))
        return cursor.rowcount

    def _unknown(self, name: str) -> Refused:
        rows = self._database.rows(_SQL["names"], self._who(limit=MOST_LISTED))
        names = [str(row["name"]) for row in rows]
        near = difflib.get_close_matches(name, names, n=1)
        if near:
            return Refused(f"no schedule is called {storable(name)!r}; did you mean {near[0]}?")
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        known = ", ".join(names[:MOST_NAMED]) + more if names else "there is none"
        return Refused(f"no schedule is called {storable(name)!r}; known: {known}")

    def _rows(self, statement: str, **parameters: object) -> list[Schedule]:
        return [schedule_of(row) for row in self._database.rows(_SQL[statement], self._who(**parameters))]

    def _who(self, **more: object) -> dict[str, object]:
        return {"cluster": self._cluster, **more}


def _wished(wish: Wish) -> Jsonb:
    return Jsonb(wish_document(wish))


def _columns(spec: ScheduleSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "target": spec.target,
        "arguments": dict(spec.arguments),
        "cron": spec.cron,
        "time_zone": spec.time_zone,
        "jitter": spec.jitter,
        "catch_up": spec.catch_up.value,
        "catch_up_window": spec.catch_up_window,
        "overlap": spec.overlap.value,
        "pause_on_failure": spec.pause_on_failure,
    }


def _dumps(value: object) -> str:
    """JSON with instants and durations as Postgres reads them back."""
    return json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds()} seconds"
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not stored as JSON")


def schedule_of(row: Mapping[str, Any]) -> Schedule:
    """The schedule of a row of the table."""
    return Schedule(
        spec=ScheduleSpec(
            name=row["name"],
            target=row["target"],
            cron=row["cron"],
            arguments=row["arguments"],
            time_zone=row["time_zone"],
            jitter=row["jitter"],
            catch_up=CatchUp(row["catch_up"]),
            catch_up_window=row["catch_up_window"],
            overlap=Overlap(row["overlap"]),
            pause_on_failure=row["pause_on_failure"],
        ),
        source=Source(row["source"]),
        version=row["version"],
        created_at=row["created_at"],
        decided_until=row["decided_until"],
        paused_at=row["paused_at"],
        paused_by=row["paused_by"],
        paused_reason=row["paused_reason"],
        counts={FireOutcome(name): count for name, count in row["counts"].items()},
    )


def fire_of(row: Mapping[str, Any]) -> Fire:
    """The fire of a row of the table."""
    return Fire(
        schedule=row["schedule"],
        fire_time=row["fire_time"],
        time_zone=row["time_zone"],
        outcome=FireOutcome(row["outcome"]),
        decided_at=row["decided_at"],
        term=row["term"],
        job=row["job"],
        reason=row["reason"],
        backfill=row["backfill"],
    )


def _ruled(document: Mapping[str, Any]) -> Ruled:
    outcome = document["outcome"]
    return Ruled(
        datetime.fromisoformat(document["fire_time"]).astimezone(UTC),
        None if outcome is None else FireOutcome(outcome),
        document.get("reason") or "",
        document.get("job"),
    )
