"""`leaderjobs enqueue`: put a sync or an operation into the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import click

from leaderjobs.cli.arguments import OUTPUT, duration, instant, pairs, words
from leaderjobs.errors import LeaderJobsError, UsageError
from leaderjobs.model.job import DEFAULT_PRIORITY, PRIORITIES

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.config import Settings
    from leaderjobs.engine.planner import Planner, When
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import Job, NewJob

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
@click.option("--streams", callback=words, metavar="NAMES", help="Only these streams of a sync's connection.")
@click.option("--full", is_flag=True, help="Forget the markers of a sync's streams and pull all of it again.")
@click.option(
    "--since", callback=instant, metavar="T", help="Pull from this instant on, besides what is pulled anyway."
)
@click.option("--until", callback=instant, metavar="T", help="Pull up to this instant, which is left out.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 when it failed.")
@click.option(
    "--timeout",
    callback=duration,
    default="24h",
    show_default=True,
    metavar="D",
    help="Stop waiting after this.",
)
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
    part = Part(streams, full, since, until)
    if target in settings.syncs:
        if arguments:
            raise UsageError(
                f"{target} is a sync; only operations take arguments, such as {_first(arguments)}=…"
            )
        new = _new_job(settings, target, asked, part)
        with app.opened_stores(settings) as stores:
            _sync(stores, settings, new, asked)
        return
    connection, _, operation = target.rpartition(".")
    if connection not in settings.connections:
        known = ", ".join(sorted(settings.syncs)) or "none is configured"
        raise UsageError(
            f"no sync is called {target!r}; known: {known}; an operation is written CONNECTION.OPERATION"
        )
    if key is not None or part != Part():
        raise UsageError(
            "--key, --streams, --full, --since and --until are for syncs; an operation's arguments say what "
            "it must do once"
        )
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


class Part(NamedTuple):
    """Which part of a sync is wanted; nothing given: what is new since the last one."""

    streams: tuple[str, ...] | None = None
    full: bool = False
    since: datetime | None = None
    until: datetime | None = None


def _first(arguments: dict[str, str]) -> str:
    return next(iter(arguments))


def _new_job(settings: Settings, name: str, asked: Asked, part: Part) -> NewJob:
    """The job to enqueue; UsageError for a part that cannot be had."""
    from leaderjobs.connectors import registry
    from leaderjobs.model.job import NewJob, Window

    found = settings.syncs[name]
    connection = settings.connections[found.connection]
    known = {
        stream.name: stream
        for stream in registry.streams(connection.connector, connection.name, connection.options)
    }
    streams = part.streams or tuple(found.streams)
    for stream in streams:
        if stream not in known:
            raise UsageError(f"{connection.name} has no stream {stream!r}; it has: {', '.join(known)}")
    window = None
    if part.since or part.until:
        if part.full:
            raise UsageError("--full pulls everything; leave out --since and --until, or --full")
        if part.since and part.until and part.since >= part.until:
            raise UsageError("--since must be before --until")
        without = [stream for stream in streams if not known[stream].windowed]
        if without:
            having = ", ".join(each for each in known if known[each].windowed) or "no stream of it"
            raise UsageError(
                f"{connection.name}.{without[0]} cannot be pulled for a span of time; this can: {having}"
            )
        window = Window(part.since, part.until)
    return NewJob(
        target=found.name,
        connection=found.connection,
        streams=streams,
        key=asked.key,
        at=asked.when.at,
        delay=asked.when.delay,
        priority=asked.when.priority,
        max_attempts=found.max_attempts,
        full=part.full,
        window=window,
    )


def _sync(stores: Stores, settings: Settings, new: NewJob, asked: Asked) -> None:
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
    from leaderjobs.cli.effects import headline
    from leaderjobs.cli.printing import document
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
