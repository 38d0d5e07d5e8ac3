"""`leaderjobs jobs`: what is in the queue, why it is where it is, and what it said."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.cli import jobs_bulk
from leaderjobs.cli.arguments import OUTPUT
from leaderjobs.cli.jobs_bulk import JOB_ID, filtered, selection
from leaderjobs.cli.printing import document, moment, span, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leaderjobs.cli import Context
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.history import AttemptRecord, JobLine
    from leaderjobs.model.job import Job

MOST_SHOWN = 1000
MOST_ERROR_CHARS = 60
"""Of a table; `jobs show` and JSON have all of it."""
LINES_AT_ONCE = 500
LOOK_EVERY = timedelta(seconds=1)


@click.group()
def command() -> None:
    """List, explain, retry, cancel and delete jobs; show what they said."""


for each in (jobs_bulk.retry, jobs_bulk.cancel, jobs_bulk.prune):
    command.add_command(each)


@command.command("list")
@selection
@click.option("--limit", type=click.IntRange(1, MOST_SHOWN), default=100, show_default=True)
@OUTPUT
@click.pass_obj
def list_(context: Context, /, *, limit: int, output: str, **wanted: object) -> None:
    """List jobs, the newest first."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        found = stores.job_admin.find(filtered(wanted), limit)
    if output == "json":
        click.echo(document(found))
        return
    rows = [
        (
            str(job.id),
            job.target,
            job.state.value,
            f"{job.attempt}/{job.max_attempts}",
            moment(job.scheduled_at),
            moment(job.finished_at),
            str(job.progress.rows or ""),
            _shortened(job.error or ""),
        )
        for job in found
    ]
    table(("id", "target", "state", "attempt", "due", "ended", "rows", "error"), rows)


@command.command()
@click.argument("job_id", metavar="ID", type=JOB_ID)
@OUTPUT
@click.pass_obj
def show(context: Context, job_id: int, output: str) -> None:
    """Show job ID: everything that is known of it, and every attempt."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        job = stores.jobs.get(job_id)
        cancelled_by = stores.job_admin.cancelled_by(job_id)
        attempts = stores.history.attempts(job_id)
    if output == "json":
        click.echo(document({"job": job, "cancelled_by": cancelled_by, "attempts": attempts}))
        return
    for name, value in _facts(job, cancelled_by).items():
        if value:
            click.echo(f"{name:<12}{value}")
    for attempt in attempts:
        click.echo(_attempt_lines(attempt))


@command.command()
@click.argument("job_id", metavar="ID", type=JOB_ID)
@OUTPUT
@click.pass_obj
def why(context: Context, job_id: int, output: str) -> None:
    """Say in one line why job ID is not running, or what it is doing."""
    from leaderjobs import app

    reason = app.why_job(context.settings(), job_id)
    if output == "json":
        click.echo(document(reason))
    else:
        click.echo(reason.message)


@command.command()
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@OUTPUT
@click.pass_obj
def logs(context: Context, job_id: int, *, follow: bool, output: str) -> None:
    """Show what the connector said while job ID ran; JSON has one object a line."""
    from leaderjobs import app

    settings = context.settings()
    with app.opened_stores(settings) as stores:
        for line in _lines(stores, settings.cluster.name, stores.jobs.get(job_id), follow=follow):
            if output == "json":
                click.echo(document(line))
            else:
                click.echo(f"{moment(line.at)} {line.attempt:>3}  {line.line}")


def _lines(stores: Stores, cluster: str, job: Job, *, follow: bool) -> Iterator[JobLine]:
    """Every line that is kept of the job, and with `follow` those that come until it has ended."""
    from leaderjobs.model.job import JobState
    from leaderjobs.store.waker import Waker

    waker = Waker(stores.database, cluster)
    after = 0
    try:
        while True:
            # Read before the lines, so that none of an ended job is missed.
            job = stores.jobs.get(job.id)
            while found := stores.history.lines(job.id, after, LINES_AT_ONCE):
                yield from found
                after = found[-1].n
            if not follow or job.state.final or job.state is JobState.UNCERTAIN:
                return
            waker.wait(LOOK_EVERY)
    finally:
        waker.close()


def _facts(job: Job, cancelled_by: str) -> dict[str, str]:
    progress = job.progress
    rows = f"{progress.rows:,} rows in {progress.pages:,} pages"
    if progress.total is not None:
        rows += f"; {progress.stream_rows:,} of {progress.total:,} of {progress.stream}"
    elif progress.stream:
        rows += f", the last of {progress.stream}"
    window = job.window
    return {
        "job": str(job.id),
        "target": job.target,
        "streams": ", ".join(job.streams),
        "part": "everything again"
        if job.full
        else f"from {moment(window.since) or 'the beginning'} up to {moment(window.until) or 'now'}"
        if window
        else "",
        "state": job.state.value,
        "error": job.error or "",
        "effect": f"{job.effect}; see: leaderjobs effects show {str(job.effect)[:8]}" if job.effect else "",
        "key": job.key or "",
        "schedule": f"{job.schedule}, fire time {moment(job.fire_time) or 'none'}" if job.schedule else "",
        "priority": str(job.priority),
        "attempt": f"{job.attempt} of {job.max_attempts}",
        "time limit": span(job.time_limit.total_seconds()) if job.time_limit else "",
        "created": moment(job.created_at),
        "due": moment(job.scheduled_at),
        "started": f"{moment(job.started_at)} in term {job.term} by {job.member}" if job.started_at else "",
        "ended": moment(job.finished_at),
        "cancelled": f"{moment(job.cancel_requested_at)} by {cancelled_by}"
        if job.cancel_requested_at
        else "",
        "progress": rows if progress.pages else "",
    }


def _attempt_lines(attempt: AttemptRecord) -> str:
    took = "" if attempt.duration is None else f", {span(attempt.duration.total_seconds())}"
    who = f"in term {attempt.term} by {attempt.member}"
    head = f"attempt {attempt.attempt:<4}{moment(attempt.started_at)} {who}: {attempt.outcome}{took}"
    return f"{head}\n{'':<12}{attempt.error}" if attempt.error else head


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_ERROR_CHARS else text[: MOST_ERROR_CHARS - 1] + "…"
