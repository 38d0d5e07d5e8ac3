"""`leaderjobs enqueue`: put a sync or an operation into the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import click

from leaderjobs.cli.arguments import OUTPUT, duration, instant, pairs, words
from leaderjobs.cli.waiting import TIMEOUT
from leaderjobs.errors import LeaderJobsError
from leaderjobs.model.job import DEFAULT_PRIORITY, PRIORITIES

if TYPE_CHECKING:
    from leaderjobs.app.asking import OperationName, Request
    from leaderjobs.cli import Context
    from leaderjobs.engine.planner import Planner
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import NewJob


@click.command()
@click.argument("target")
@click.argument("arguments", nargs=-1, callback=pairs, metavar="[NAME=VALUE]...")
@click.option("--key", help="At most one unfinished sync has this key; asking again returns it.")
@click.option("--at", callback=instant, metavar="T", help="Not before this instant (with its zone).")
@click.option(
    "--in", "delay", callback=duration, metavar="D", help="Not before this long from now (15s, 2h)."
)
@click.option(
    "--priority",
    type=click.IntRange(PRIORITIES[0], PRIORITIES[-1]),
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="0 runs first.",
)
@click.option("--streams", callback=words, metavar="NAMES", help="Only these streams of a sync's connection.")
@click.option("--full", is_flag=True, help="Forget the markers of a sync's streams and pull all of it again.")
@click.option(
    "--since", callback=instant, metavar="T", help="Pull from this instant on, besides what is pulled anyway."
)
@click.option("--until", callback=instant, metavar="T", help="Pull up to this instant, which is left out.")
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "skip", "replace"]),
    default="skip",
    show_default=True,
    help="What to do when an unfinished sync has the key: replace it unless it runs, say so, or leave it.",
)
@click.option(
    "--time-limit", callback=duration, metavar="D", help="End an attempt that takes longer.  [the sync's]"
)
@click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 when it failed.")
@TIMEOUT
@OUTPUT
@click.pass_obj
def command(
    context: Context,
    *,
    target: str,
    arguments: dict[str, str],
    key: str | None,
    at: datetime | None,
    delay: timedelta | None,
    priority: int,
    streams: tuple[str, ...] | None,
    full: bool,
    since: datetime | None,
    until: datetime | None,
    on_conflict: str,
    time_limit: timedelta | None,
    wait: bool,
    timeout: timedelta,
    output: str,
) -> None:
    """Enqueue TARGET: a sync of the configuration, or an operation as CONNECTION.OPERATION.

    An operation takes its arguments as NAME=VALUE, and takes effect once: asking again for the same thing
    returns the effect that is there, and asking for it with other arguments is refused.
    """
    from leaderjobs import app
    from leaderjobs.app.asking import Request, wanted
    from leaderjobs.model.job import NewJob, OnConflict

    settings = context.settings()
    request = Request(
        target,
        arguments,
        key,
        at,
        delay,
        priority,
        streams,
        full,
        since,
        until,
        OnConflict(on_conflict),
        time_limit,
        dashes="--",
    )
    found = wanted(settings, request)
    asked = Asked(wait, timeout, as_json=output == "json")
    with app.opened_stores(settings) as stores:
        if isinstance(found, NewJob):
            _sync(stores, settings.cluster.name, found, request, asked)
            return
        with app.planner(settings, stores) as planner:
            _operation(stores, planner, settings.cluster.name, found, request, asked)


class Asked(NamedTuple):
    """How the answer is wanted."""

    wait: bool
    timeout: timedelta
    as_json: bool


def _sync(stores: Stores, cluster: str, new: NewJob, request: Request, asked: Asked) -> None:
    from leaderjobs.engine.waiting import until_ended
    from leaderjobs.model.job import JobState, OnConflict

    job, created = stores.jobs.enqueue(new, request.on_conflict)
    if not asked.as_json:
        replaced = request.on_conflict is OnConflict.REPLACE and job.state is not JobState.RUNNING
        what = "enqueued" if created else "is replaced" if replaced else "is already there with this key"
        click.echo(f"job {job.id} ({job.target}) {what}: {job.state.value}")
    if asked.wait:
        job = until_ended(stores, cluster, job, asked.timeout)
        if not asked.as_json:
            click.echo(f"job {job.id} ({job.target}) {job.state.value}: {job.progress.rows} rows")
    if asked.as_json:
        import msgspec

        click.echo(msgspec.json.encode({"created": created, "job": job}).decode())
    if asked.wait and job.state.value != "completed":
        raise LeaderJobsError(
            f"job {job.id} ({job.target}) ended {job.state.value}: {job.error or 'no reason'}"
        )


def _operation(
    stores: Stores, planner: Planner, cluster: str, name: OperationName, request: Request, asked: Asked
) -> None:
    from leaderjobs.cli.effects import headline
    from leaderjobs.cli.printing import document
    from leaderjobs.engine.planner import When
    from leaderjobs.engine.waiting import until_ended
    from leaderjobs.model.effect import EffectState

    when = When(request.priority, request.at, request.delay)
    planned = planner.plan(name.connection, name.operation, request.arguments, when)
    effect = planned.effect
    if not asked.as_json:
        what = "is planned" if planned.created else f"is already there: {headline(effect)}"
        click.echo(f"effect {effect.id} ({effect.business_key}) {what}")
    if asked.wait and not effect.state.final:
        until_ended(stores, cluster, stores.jobs.get(planned.job), asked.timeout)
        effect = stores.effects.get(effect.id)
        if not asked.as_json:
            click.echo(f"effect {effect.id} ({effect.business_key}): {headline(effect)}")
    if asked.as_json:
        click.echo(document({"created": planned.created, "job": planned.job or None, "effect": effect}))
    if asked.wait and effect.state is not EffectState.SUCCEEDED:
        raise LeaderJobsError(
            f"effect {effect.id} ({effect.business_key}) is {headline(effect)}; "
            f"see: leaderjobs effects show {str(effect.id)[:8]}"
        )
