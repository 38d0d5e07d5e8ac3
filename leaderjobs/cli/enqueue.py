"""`leaderjobs enqueue`: put a sync or an operation into the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import click

from leaderjobs.cli.arguments import duration, instant, pairs
from leaderjobs.errors import LeaderJobsError, UsageError
from leaderjobs.model.job import DEFAULT_PRIORITY, PRIORITIES

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.config import Settings
    from leaderjobs.engine.planner import Planner, When
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import Job

MOST_KEY_CHARACTERS = 200
_LOOK_EVERY = timedelta(milliseconds=500)


def _key(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not 0 < len(value) <= MOST_KEY_CHARACTERS or not value.isprintable()):
        raise click.BadParameter(f"allowed: 1 to {MOST_KEY_CHARACTERS} printable characters")
    return value


@click.command()
@click.argument("target")
@click.argument("arguments", nargs=-1, callback=pairs, metavar="[NAME=VALUE]...")
@click.option(
    "--key", callback=_key, help="At most one unfinished sync has this key; asking again returns it."
)
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
@click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 when it failed.")
@click.option(
    "--timeout",
    callback=duration,
    default="24h",
    show_default=True,
    metavar="D",
    help="Stop waiting after this.",
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
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
    wait: bool,
    timeout: timedelta,
    output: str,
) -> None:
    """Enqueue TARGET: a sync of the configuration, or an operation as CONNECTION.OPERATION.

    An operation takes its arguments as NAME=VALUE, and takes effect once: asking again for the same thing
    returns the effect that is there, and asking for it with other arguments is refused.
    """
    from leaderjobs import app
    from leaderjobs.engine.planner import When

    if at is not None and delay is not None:
        raise UsageError("--at and --in exclude each other; give one of them")
    settings = context.settings()
    asked = Asked(arguments, key, When(priority, at, delay), wait, timeout, as_json=output == "json")
    if target in settings.syncs:
        if arguments:
            raise UsageError(
                f"{target} is a sync; only operations take arguments, such as {_first(arguments)}=…"
            )
        with app.opened_stores(settings) as stores:
            _sync(stores, settings, target, asked)
        return
    connection, _, operation = target.rpartition(".")
    if connection not in settings.connections:
        known = ", ".join(sorted(settings.syncs)) or "none is configured"
        raise UsageError(
            f"no sync is called {target!r}; known: {known}; an operation is written CONNECTION.OPERATION"
        )
    if key is not None:
        raise UsageError("--key is for syncs; an operation's arguments say what it must do once")
    with app.opened_stores(settings) as stores, app.planner(settings, stores) as planner:
        _operation(stores, planner, settings.cluster.name, (connection, operation), asked)


class Asked(NamedTuple):
    """What stands beside the target."""

    arguments: dict[str, str]
    key: str | None
    when: When
    wait: bool
    timeout: timedelta
    as_json: bool


def _first(arguments: dict[str, str]) -> str:
    return next(iter(arguments))


def _sync(stores: Stores, settings: Settings, name: str, asked: Asked) -> None:
    from leaderjobs.model.job import NewJob

    found = settings.syncs[name]
    new = NewJob(
        target=found.name,
        connection=found.connection,
        streams=tuple(found.streams),
        key=asked.key,
        at=asked.when.at,
        delay=asked.when.delay,
        priority=asked.when.priority,
        max_attempts=found.max_attempts,
    )
    job, created = stores.jobs.enqueue(new)
    if not asked.as_json:
        what = "enqueued" if created else "is already there with this key"
        click.echo(f"job {job.id} ({job.target}) {what}: {job.state.value}")
    if asked.wait:
        job = _wait(stores, settings.cluster.name, job, asked.timeout)
        if not asked.as_json:
            click.echo(f"job {job.id} ({job.target}) {job.state.value}: {job.progress.rows} rows")
    if asked.as_json:
        import msgspec

        click.echo(msgspec.json.encode({"created": created, "job": job}).decode())
    if asked.wait and job.state.value != "completed":
        raise LeaderJobsError(
            f"job {job.id} ({job.target}) ended {job.state.value}: {job.error or 'no reason'}"
        )


def _operation(stores: Stores, planner: Planner, cluster: str, target: tuple[str, str], asked: Asked) -> None:
    from leaderjobs.cli.effects import document, headline
    from leaderjobs.model.effect import EffectState

    planned = planner.plan(*target, asked.arguments, asked.when)
    effect = planned.effect
    if not asked.as_json:
        what = "is planned" if planned.created else f"is already there: {headline(effect)}"
        click.echo(f"effect {effect.id} ({effect.business_key}) {what}")
    if asked.wait and not effect.state.final:
        _wait(stores, cluster, stores.jobs.get(planned.job), asked.timeout)
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


def _wait(stores: Stores, cluster: str, job: Job, timeout: timedelta) -> Job:
    """The job once it is final or uncertain; LeaderJobsError when the time is up."""
    from leaderjobs import clock
    from leaderjobs.model.job import JobState
    from leaderjobs.store.jobs import Waker

    deadline = clock.elapsed() + timeout.total_seconds()
    waker = Waker(stores.database, cluster)
    try:
        while not job.state.final and job.state is not JobState.UNCERTAIN:
            if clock.elapsed() >= deadline:
                raise LeaderJobsError(
                    f"job {job.id} is still {job.state.value} after {timeout}; it goes on: "
                    "see leaderjobs status"
                )
            waker.wait(_LOOK_EVERY)
            job = stores.jobs.get(job.id)
    finally:
        waker.close()
    return job
