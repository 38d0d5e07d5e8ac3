"""`leaderjobs schedules`: what fires when, why it did not, and changing that without touching the file."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from leaderjobs.cli import schedules_change
from leaderjobs.cli.arguments import OUTPUT, instant
from leaderjobs.cli.errors import say
from leaderjobs.cli.printing import document, moment, span, table
from leaderjobs.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leaderjobs.cli import Context
    from leaderjobs.config import Settings
    from leaderjobs.cron import Expression
    from leaderjobs.model.schedule import Fire, Schedule, ScheduleSpec

DIFFERENT = 3
SHOWN_FIRES = 10
MOST_FIRES = 1000
NOT_STORED = "not stored: no leader has read it"


@click.group()
def command() -> None:
    """Show, pause, trigger, backfill, check, add and remove cron schedules."""


for each in (
    schedules_change.pause,
    schedules_change.resume,
    schedules_change.trigger,
    schedules_change.backfill,
    schedules_change.add,
    schedules_change.remove,
):
    command.add_command(each)


@command.command("list")
@OUTPUT
@click.pass_obj
def list_(context: Context, output: str) -> None:
    """List schedules: when they fire next, when they did last, and what was skipped."""
    from leaderjobs import app

    settings = context.settings()
    with app.opened_stores(settings) as stores:
        reading, fires = stores.schedules.read(), stores.overview.last_fires()
    stored = {schedule.spec.name for schedule in reading.schedules}
    unread = [spec for name, spec in settings.schedules.items() if name not in stored]
    if output == "json":
        found = [
            _summary(each.spec, settings, max(reading.now, each.decided_until), each, fires)
            for each in reading.schedules
        ]
        click.echo(document([*found, *(_summary(spec, settings, reading.now) for spec in unread)]))
        return
    rows = [_row(each, settings, reading.now, fires.get(each.spec.name)) for each in reading.schedules]
    rows += [(spec.name, spec.cron, spec.time_zone, spec.target, "", "", NOT_STORED, "") for spec in unread]
    table(("name", "cron", "zone", "target", "next fire", "last fire", "state", "not enqueued"), rows)


@command.command()
@click.argument("name")
@OUTPUT
@click.pass_obj
def show(context: Context, name: str, output: str) -> None:
    """Show schedule NAME: what it says, in words too, its last fires and its next."""
    from leaderjobs import app

    settings = context.settings()
    with app.opened_stores(settings) as stores:
        schedule, now = stores.schedules.get(name), stores.schedules.now()
        last = stores.schedules.fires(name, SHOWN_FIRES)
    expression = _expression(schedule.spec, settings)
    coming = list(_first(expression, max(now, schedule.decided_until), SHOWN_FIRES))
    if output == "json":
        explained = expression.explain()
        click.echo(
            document(
                {
                    "schedule": schedule,
                    "explained": explained,
                    "expanded": expression.expanded,
                    "last_fires": last,
                    "next_fires": coming,
                }
            )
        )
        return
    for fact, value in _facts(schedule, expression).items():
        if value:
            click.echo(f"{fact:<12}{value}")
    zone = schedule.spec.time_zone
    for number, fire in enumerate(reversed(last)):
        made = f"job {fire.job}" if fire.job else fire.reason
        by = "a backfill" if fire.backfill else f"term {fire.term}"
        head = "" if number else "last fires"
        click.echo(
            f"{head:<12}{both(fire.fire_time, zone)}  {fire.outcome.value} by {by}: {made}".rstrip(": ")
        )
    for number, fire_time in enumerate(coming):
        click.echo(f"{'' if number else 'next fires':<12}{both(fire_time, zone)}")


@command.command("next")
@click.argument("name", required=False)
@click.option("-n", "--count", type=click.IntRange(1, MOST_FIRES), default=SHOWN_FIRES, show_default=True)
@OUTPUT
@click.pass_obj
def next_(context: Context, name: str | None, *, count: int, output: str) -> None:
    """Show the next fire times of schedule NAME, or of all that are not paused together."""
    import heapq
    from itertools import islice

    settings = context.settings()
    specs, now, paused = _specs(settings)
    if name is not None:
        if name not in specs:
            raise Refused(f"no schedule is called {name!r}; known: {', '.join(specs) or 'there is none'}")
        specs = {name: specs[name]}
        if name in paused:
            say(f"schedule {name} is paused: it fires only after leaderjobs schedules resume {name}")
    else:
        specs = {each: spec for each, spec in specs.items() if each not in paused}
    walks = [_named(spec, _expression(spec, settings), now) for spec in specs.values()]
    found = list(islice(heapq.merge(*walks), count))
    if output == "json":
        click.echo(document([{"schedule": each, "fire_time": fire_time} for fire_time, each in found]))
        return
    rows = [
        (each, moment(fire_time), _local(fire_time, specs[each].time_zone), specs[each].time_zone)
        for fire_time, each in found
    ]
    table(("schedule", "fires at", "there", "zone"), rows)


@command.command()
@click.argument("name")
@click.option("--at", callback=instant, metavar="T", help="Why not then; an instant with its zone.")
@OUTPUT
@click.pass_obj
def why(context: Context, name: str, at: datetime | None, output: str) -> None:
    """Say in one line why schedule NAME does not fire now, or did not at an instant."""
    from leaderjobs import app

    reason = app.why_schedule(context.settings(), name, at)
    click.echo(document(reason) if output == "json" else reason.message)


@command.command()
@OUTPUT
@click.pass_context
def lint(click_context: click.Context, output: str) -> None:
    """Look for schedules that never fire, collide, are uneven or meet a change of the clocks; then exit 3."""
    from leaderjobs import app

    context: Context = click_context.obj
    found = app.lint(context.settings())
    if output == "json":
        click.echo(document(found))
    else:
        for finding in found:
            click.echo(f"{finding.schedule}: {finding.code}: {finding.message}")
        if not found:
            click.echo("nothing is odd")
    if found:
        click_context.exit(DIFFERENT)


def both(fire_time: datetime, time_zone: str) -> str:
    """An instant in UTC, and by the clocks of a zone that is another."""
    there = "" if time_zone == "UTC" else f" ({_local(fire_time, time_zone, '%a %H:%M %Z')})"
    return f"{moment(fire_time)}{there}"


def _local(fire_time: datetime, time_zone: str, form: str = "%a %Y-%m-%d %H:%M %Z") -> str:
    from zoneinfo import ZoneInfo

    return fire_time.astimezone(ZoneInfo(time_zone)).strftime(form)


def _expression(spec: ScheduleSpec, settings: Settings) -> Expression:
    from leaderjobs.cron import Expression

    try:
        return Expression.of(spec, settings.cluster.name)
    except ValueError as error:
        raise Refused(f"schedule {spec.name} cannot be read by this leaderjobs: {error}") from None


def _first(expression: Expression, after: datetime, count: int) -> Iterator[datetime]:
    from itertools import islice

    return islice(expression.after(after), count)


def _named(spec: ScheduleSpec, expression: Expression, now: datetime) -> Iterator[tuple[datetime, str]]:
    return ((fire_time, spec.name) for fire_time in expression.after(now))


def _specs(settings: Settings) -> tuple[dict[str, ScheduleSpec], datetime, set[str]]:
    """What is stored, and what the file says besides; the database's clock; the names of those paused."""
    from leaderjobs import app

    with app.opened_stores(settings) as stores:
        reading = stores.schedules.read()
    stored = {schedule.spec.name: schedule.spec for schedule in reading.schedules}
    paused = {each.spec.name for each in reading.schedules if each.paused_at is not None}
    return {**settings.schedules, **stored}, reading.now, paused


def _row(schedule: Schedule, settings: Settings, now: datetime, last: Fire | None) -> tuple[str, ...]:
    spec = schedule.spec
    coming = "" if schedule.paused_at else _next(spec, settings, max(now, schedule.decided_until))
    state = f"paused: {schedule.paused_reason}" if schedule.paused_at else "active"
    fired = "" if last is None else f"{moment(last.fire_time)} {last.outcome.value}"
    return (spec.name, spec.cron, spec.time_zone, spec.target, coming, fired, state, _skips(schedule))


def _next(spec: ScheduleSpec, settings: Settings, after: datetime) -> str:
    found = next(_expression(spec, settings).after(after), None)
    return "never" if found is None else both(found, spec.time_zone)


def _skips(schedule: Schedule) -> str:
    """How many fire times came to nothing, by kind."""
    counts = {outcome.value: count for outcome, count in schedule.counts.items()}
    return ", ".join(
        f"{count} {kind}" for kind, count in sorted(counts.items()) if kind != "enqueued" and count
    )


def _summary(
    spec: ScheduleSpec,
    settings: Settings,
    after: datetime,
    schedule: Schedule | None = None,
    fires: dict[str, Fire] | None = None,
) -> dict[str, object]:
    paused = schedule is not None and schedule.paused_at is not None
    return {
        "name": spec.name,
        "spec": spec,
        "stored": schedule,
        "next_fire": None if paused else next(_expression(spec, settings).after(after), None),
        "last_fire": (fires or {}).get(spec.name),
    }


def _facts(schedule: Schedule, expression: Expression) -> dict[str, str]:
    spec = schedule.spec
    arguments = " ".join(f"{name}={value}" for name, value in spec.arguments.items())
    paused = (
        f"since {moment(schedule.paused_at)} by {schedule.paused_by}: {schedule.paused_reason}"
        if schedule.paused_at
        else ""
    )
    return {
        "schedule": f"{spec.name}, of the {'configuration' if schedule.source == 'file' else 'command line'}",
        "target": f"{spec.target} {arguments}".rstrip(),
        "cron": spec.cron
        if expression.expanded == spec.cron
        else f"{spec.cron}, which is {expression.expanded}",
        "in words": expression.explain(),
        "time zone": spec.time_zone,
        "jitter": span(spec.jitter.total_seconds()) if spec.jitter else "",
        "catch-up": f"{spec.catch_up.value}, within {span(spec.catch_up_window.total_seconds())}",
        "overlap": spec.overlap.value,
        "on failure": "paused" if spec.pause_on_failure else "",
        "PAUSED": paused,
        "created": moment(schedule.created_at),
        "decided": f"up to {moment(schedule.decided_until)}",
        "counts": _counts(schedule.counts.items()),
    }


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts)
