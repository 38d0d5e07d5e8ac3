"""`leaderjobs schedules pause|resume|trigger|backfill|add|remove`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT, instant, pairs
from leaderjobs.cli.asking import DRY_RUN, YES, agreed, person
from leaderjobs.cli.printing import document, moment, table
from leaderjobs.cli.waiting import TIMEOUT
from leaderjobs.errors import LeaderJobsError, UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.config import Settings
    from leaderjobs.engine.firing import Backfilled
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.schedule import ScheduleSpec

CATCH_UPS = ("skip", "latest", "all")
OVERLAPS = ("skip", "queue", "cancel_running")


@click.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; shown by list, show, why and status.")
@click.pass_obj
def pause(context: Context, name: str, reason: str) -> None:
    """Let schedule NAME fire no more, until it is resumed."""
    from leaderjobs import app

    if not reason.strip():
        raise UsageError("--reason is empty; say why")
    who = person()
    with app.opened_stores(context.settings()) as stores:
        paused = stores.schedules.pause(name, who, reason)
    click.echo(
        f"schedule {name} is paused since {moment(paused.paused_at)} by {paused.paused_by}: "
        f"{paused.paused_reason}"
    )


@click.command()
@click.argument("name")
@click.pass_obj
def resume(context: Context, name: str) -> None:
    """Let schedule NAME fire again from now on; what came due meanwhile is left out (see backfill)."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        resumed = stores.schedules.resume(name)
    click.echo(f"schedule {name} fires again, from {moment(resumed.decided_until)} on")


@click.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 when it failed.")
@TIMEOUT
@OUTPUT
@click.pass_obj
def trigger(context: Context, *, name: str, wait: bool, timeout: timedelta, output: str) -> None:
    """Enqueue what schedule NAME asks for, now, also when it is paused."""
    from leaderjobs import app
    from leaderjobs.engine.waiting import until_ended

    settings = context.settings()
    made = app.trigger(settings, name)
    if output == "json":
        click.echo(document({"schedule": name, "job": made.job or None, "created": made.created}))
    else:
        what = f"job {made.job} is enqueued" if made.created else "its effect is there already"
        click.echo(f"schedule {name}: {what}")
    if not wait or not made.job:
        return
    with app.opened_stores(settings) as stores:
        job = until_ended(stores, settings.cluster.name, stores.jobs.get(made.job), timeout)
    if job.state.value != "completed":
        raise LeaderJobsError(
            f"job {job.id} ({job.target}) ended {job.state.value}: {job.error or 'no reason'}"
        )
    if output != "json":
        click.echo(f"job {job.id} ({job.target}) {job.state.value}: {job.progress.rows} rows")


@click.command()
@click.argument("name")
@click.option("--from", "start", callback=instant, required=True, metavar="T", help="From this instant on.")
@click.option(
    "--to", "end", callback=instant, required=True, metavar="T", help="Up to this one, which is left out."
)
@DRY_RUN
@YES
@OUTPUT
@click.pass_obj
def backfill(
    context: Context, *, name: str, start: datetime, end: datetime, dry_run: bool, yes: bool, output: str
) -> None:
    """Enqueue the past fire times of schedule NAME that have no job, each at most once."""
    from leaderjobs import app

    if start >= end:
        raise UsageError("--from must be before --to")
    settings = context.settings()
    if not dry_run and not yes:
        count = len(_open(app.backfill(settings, name, start, end, dry_run=True)))
        if count:
            agreed(f"Enqueue {count} job{'' if count == 1 else 's'}?", yes=False)
    found = app.backfill(settings, name, start, end, dry_run=dry_run)
    if output == "json":
        click.echo(document({"dry_run": dry_run, "fires": found}))
        return
    rows = [
        (
            moment(each.fire_time),
            each.before.value if each.before else "not decided",
            each.reason or ("would be enqueued" if dry_run else f"job {each.job}"),
        )
        for each in found
    ]
    table(("fire time", "before", "now"), rows)


def _open(found: list[Backfilled]) -> list[Backfilled]:
    """Those that a backfill would enqueue."""
    return [each for each in found if not each.reason]


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, callback=pairs, metavar="[ARGUMENT=VALUE]...")
@click.option("--cron", required=True, metavar="C", help='Five fields, such as "H/15 * * * *", or @hourly.')
@click.option("--sync", metavar="S", help="The sync to enqueue.")
@click.option("--operation", metavar="C.O", help="The operation to enqueue, as CONNECTION.OPERATION.")
@click.option(
    "--time-zone", metavar="Z", help="Whose clocks count, such as America/New_York.  [default: UTC]"
)
@click.option("--jitter", metavar="D", help="Its jobs are due up to so much later.  [default: 0s]")
@click.option(
    "--catch-up", type=click.Choice(CATCH_UPS), help="Fire times that nobody led at.  [default: latest]"
)
@click.option("--catch-up-window", metavar="D", help="How far back those count.  [default: 1d]")
@click.option(
    "--overlap", type=click.Choice(OVERLAPS), help="When the last job has not ended.  [default: skip]"
)
@click.option(
    "--pause-on-failure", is_flag=True, default=None, help="Pause it when a job of it is discarded."
)
@OUTPUT
@click.pass_obj
def add(context: Context, /, *, name: str, arguments: dict[str, str], output: str, **given: object) -> None:
    """Add schedule NAME, kept in the database and not in the file; fires from now on.

    An operation takes its arguments as NAME=VALUE; `{fire_time}` and `{fire_date}` in a value stand for the
    fire time.
    """
    from leaderjobs import app

    settings = context.settings()
    spec = _spec(settings, name, {**given, **({"arguments": arguments} if arguments else {})})
    with app.opened_stores(settings) as stores:
        _check_arguments(settings, stores, spec)
        added = stores.schedules.add(spec)
    if output == "json":
        click.echo(document(added))
    else:
        click.echo(f"schedule {name} is added; see: leaderjobs schedules next {name}")


def _spec(settings: Settings, name: str, given: dict[str, object]) -> ScheduleSpec:
    """The schedule as the file would have it, checked by the same rules."""
    from pathlib import Path

    from leaderjobs.config.decode import Reader
    from leaderjobs.config.schedules import schedule
    from leaderjobs.config.source import Document

    written = {key: value for key, value in given.items() if value is not None}
    document_ = Document(path=Path("command line"), tree={"schedules": {name: written}})
    return schedule(Reader(document_), name, settings.cluster.name, settings.syncs, settings.connections)


def _check_arguments(settings: Settings, stores: Stores, spec: ScheduleSpec) -> None:
    """Refuse an operation that is not there or does not take the arguments: it would be refused each time."""
    from leaderjobs import app, clock
    from leaderjobs.cron import arguments_at

    if spec.target in settings.syncs:
        return
    connection, _, operation = spec.target.rpartition(".")
    with app.planner(settings, stores) as planner:
        planner.operation(connection, operation).parse(arguments_at(spec, clock.now()))


@click.command()
@click.argument("name")
@YES
@click.pass_obj
def remove(context: Context, name: str, *, yes: bool) -> None:
    """Remove schedule NAME, which was added by hand; its jobs stay. One of the file is removed there."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        stores.schedules.get(name)
        agreed(f"Remove schedule {name}?", yes=yes)
        stores.schedules.remove(name)
    click.echo(f"schedule {name} is removed")
