"""`leaderjobs enqueue`: put a sync into the queue, by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.errors import LeaderJobsError, UsageError
from leaderjobs.model.job import DEFAULT_PRIORITY, PRIORITIES

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.config import Settings
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import Job, NewJob

MOST_KEY_CHARACTERS = 200
_LOOK_EVERY = timedelta(milliseconds=500)


def _instant(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise click.BadParameter(
            f"{value!r}: allowed: an instant with its zone, such as 2026-11-24T08:00:00Z"
        )
    return parsed.astimezone(UTC)


def _duration(_context: click.Context, _option: click.Parameter, value: str | None) -> timedelta | None:
    from leaderjobs.values import Duration

    if value is None:
        return None
    try:
        return Duration.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from None


def _key(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not 0 < len(value) <= MOST_KEY_CHARACTERS or not value.isprintable()):
        raise click.BadParameter(f"allowed: 1 to {MOST_KEY_CHARACTERS} printable characters")
    return value


@click.command()
@click.argument("sync")
@click.option(
    "--key", callback=_key, help="At most one unfinished job has this key; asking again returns it."
)
@click.option("--at", callback=_instant, metavar="T", help="Not before this instant (with its zone).")
@click.option(
    "--in", "delay", callback=_duration, metavar="D", help="Not before this long from now (15s, 2h)."
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
    callback=_duration,
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
    sync: str,
    key: str | None,
    at: datetime | None,
    delay: timedelta | None,
    priority: int,
    wait: bool,
    timeout: timedelta,
    output: str,
) -> None:
    """Enqueue SYNC, a name from [syncs] of the configuration."""
    from leaderjobs import app

    if at is not None and delay is not None:
        raise UsageError("--at and --in exclude each other; give one of them")
    settings = context.settings()
    new = _new_job(settings, sync, key, at, delay, priority)
    with app.opened_stores(settings) as stores:
        job, created = stores.jobs.enqueue(new)
        if output == "table":
            what = "enqueued" if created else "is already there with this key"
            click.echo(f"job {job.id} ({job.target}) {what}: {job.state.value}")
        if wait:
            job = _wait(stores, settings.cluster.name, job, timeout)
            if output == "table":
                click.echo(f"job {job.id} ({job.target}) {job.state.value}: {job.progress.rows} rows")
        if output == "json":
            click.echo(_as_json(job, created=created))
    if wait and job.state.value != "completed":
        raise LeaderJobsError(
            f"job {job.id} ({job.target}) ended {job.state.value}: {job.error or 'no reason'}"
        )


def _new_job(
    settings: Settings,
    sync: str,
    key: str | None,
    at: datetime | None,
    delay: timedelta | None,
    priority: int,
) -> NewJob:
    from leaderjobs.model.job import NewJob

    found = settings.syncs.get(sync)
    if found is None:
        known = ", ".join(sorted(settings.syncs)) or "none is configured"
        raise UsageError(f"no sync is called {sync!r}; known: {known}")
    return NewJob(
        target=found.name,
        connection=found.connection,
        streams=tuple(found.streams),
        key=key,
        at=at,
        delay=delay,
        priority=priority,
        max_attempts=found.max_attempts,
    )


def _wait(stores: Stores, cluster: str, job: Job, timeout: timedelta) -> Job:
    """The job once it is final; UsageError never, LeaderJobsError when the time is up."""
    from leaderjobs import clock
    from leaderjobs.store.jobs import Waker

    deadline = clock.elapsed() + timeout.total_seconds()
    waker = Waker(stores.database, cluster)
    try:
        while not job.state.final:
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


def _as_json(job: Job, *, created: bool) -> str:
    import msgspec

    return msgspec.json.encode({"created": created, "job": job}).decode()
