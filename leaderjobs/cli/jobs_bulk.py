"""`leaderjobs jobs retry|cancel|prune`: what is done to one job, or to all that filters let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from leaderjobs.cli.arguments import OUTPUT, duration, past
from leaderjobs.cli.asking import DRY_RUN, YES, agreed, person
from leaderjobs.cli.errors import say
from leaderjobs.cli.printing import document
from leaderjobs.cli.waiting import TIMEOUT
from leaderjobs.errors import LeaderJobsError, UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import JobState
    from leaderjobs.store.job_admin import Changed, JobFilter

STATES = (
    *("scheduled", "available", "running", "retryable"),
    *("completed", "discarded", "cancelled", "uncertain"),
)
ENDED = ("completed", "cancelled", "discarded")
PRUNED_UNASKED = ("completed", "cancelled")
JOB_ID = click.IntRange(1, 2**63 - 1)
MOST_IDS = 1000
F = TypeVar("F", bound=Callable[..., Any])
_FILTERS = (
    click.option(
        "--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; repeatable."
    ),
    click.option("--target", metavar="NAME", help="Only of this sync or operation."),
    click.option("--connection", metavar="NAME", help="Only of this connection."),
    click.option("--schedule", metavar="NAME", help="Only those that this schedule made."),
    click.option(
        "--since", callback=past, metavar="T", help="Created since: 2h ago, or an instant with its zone."
    ),
    click.option("--until", callback=past, metavar="T", help="Created before this."),
    click.option("--error", metavar="TEXT", help="Whose last error contains this, whatever its case."),
)


def selection(function: F) -> F:
    """The options that say which jobs are meant; `filtered` reads them."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def filtered(wanted: Mapping[str, Any]) -> JobFilter:
    """What `selection` asked for; `ids` where the command takes them."""
    from leaderjobs.model.job import JobState
    from leaderjobs.store.job_admin import JobFilter

    return JobFilter(**{**wanted, "states": tuple(JobState(state) for state in wanted["states"])})


def _ids(_context: click.Context, _argument: click.Parameter, value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) > MOST_IDS:
        raise click.BadParameter(f"{len(value)} ids: allowed: {MOST_IDS}; use filters for more")
    return value


IDS = click.argument("ids", nargs=-1, type=JOB_ID, callback=_ids, metavar="[ID]...")


@click.command()
@IDS
@selection
@DRY_RUN
@YES
@OUTPUT
@click.pass_obj
def retry(context: Context, /, *, dry_run: bool, yes: bool, output: str, **wanted: object) -> None:
    """Run discarded or cancelled syncs again, with all of their attempts.

    Name them, or give filters; without --state those are about discarded ones. An operation is tried again
    with `leaderjobs effects retry`.
    """
    from leaderjobs import app
    from leaderjobs.model.job import JobState

    meant = _meant(wanted, JobState.DISCARDED)
    with app.opened_stores(context.settings()) as stores:
        asked = Asked("retry", dry_run=dry_run, yes=yes, as_json=output == "json")
        _do(asked, meant, lambda dry: stores.job_admin.retry(meant, dry_run=dry))


@click.command()
@IDS
@selection
@DRY_RUN
@YES
@click.option("--wait", is_flag=True, help="Wait until the jobs that run have ended.")
@TIMEOUT
@OUTPUT
@click.pass_obj
def cancel(
    context: Context,
    /,
    *,
    dry_run: bool,
    yes: bool,
    wait: bool,
    timeout: timedelta,
    output: str,
    **wanted: object,
) -> None:
    """Cancel syncs: those that wait at once, those that run at the end of the page under way.

    Name them, or give filters. An operation is taken back with `leaderjobs effects cancel`.
    """
    from leaderjobs import app
    from leaderjobs.store.job_admin import CANCELLABLE

    meant, who, settings = _meant(wanted, *CANCELLABLE), person(), context.settings()
    with app.opened_stores(settings) as stores:
        asked = Asked("cancel", dry_run=dry_run, yes=yes, as_json=output == "json")
        changed = _do(asked, meant, lambda dry: stores.job_admin.cancel(meant, who, dry_run=dry))
        if wait and not dry_run and changed.asked_to_end:
            _wait(stores, settings.cluster.name, changed, timeout)


@click.command()
@click.option(
    "--older-than", callback=duration, required=True, metavar="D", help="Ended longer ago than this (7d)."
)
@click.option(
    "--state",
    "states",
    type=click.Choice(ENDED),
    multiple=True,
    default=PRUNED_UNASKED,
    show_default=True,
    help="Only these; repeatable.",
)
@DRY_RUN
@YES
@OUTPUT
@click.pass_obj
def prune(
    context: Context, *, older_than: timedelta, states: tuple[str, ...], dry_run: bool, yes: bool, output: str
) -> None:
    """Delete jobs that have ended, and what is known of their attempts; the leader does so by itself.

    Effects, which say what was done at third parties, stay.
    """
    from leaderjobs import app
    from leaderjobs.model.job import JobState

    wanted = [JobState(state) for state in states]
    with app.opened_stores(context.settings()) as stores:
        if not dry_run and not yes:
            counted = stores.job_admin.prune(wanted, older_than, dry_run=True)
            agreed(f"Delete {_counted(counted)}?", yes=False)
        gone = stores.job_admin.prune(wanted, older_than, dry_run=dry_run)
    if output == "json":
        click.echo(document({"dry_run": dry_run, "deleted": gone}))
    else:
        click.echo(f"{'would delete' if dry_run else 'deleted'} {_counted(gone)}")


class Asked(NamedTuple):
    """How a bulk change was asked for."""

    what: str
    dry_run: bool
    yes: bool
    as_json: bool


_DONE = {"retry": ("would retry", "retried"), "cancel": ("would cancel", "cancelled")}


def _do(asked: Asked, meant: JobFilter, change: Callable[[bool], Changed]) -> Changed:
    """Change, or only say what would be; asks first where jobs are not named one by one."""
    if not asked.dry_run and not asked.yes and not meant.ids:
        count = change(True).count
        if count:
            agreed(f"{asked.what.capitalize()} {_jobs(count)}?", yes=False)
    changed = change(asked.dry_run)
    for refusal in changed.refusals:
        named = f"job {refusal.job}" + (f" ({refusal.target})" if refusal.target else "")
        say(f"{named} is left alone: {refusal.reason}")
    if changed.refused > len(changed.refusals):
        say(f"{changed.refused - len(changed.refusals)} more are left alone")
    if asked.as_json:
        click.echo(document({"dry_run": asked.dry_run, **_report(changed)}))
    else:
        done = _DONE[asked.what][not asked.dry_run]
        running = f", {changed.asked_to_end} of them at the end of a page" if changed.asked_to_end else ""
        click.echo(f"{done} {_jobs(changed.count)}{running}")
    if changed.more:
        say("there are more; run it again")
    if meant.ids and changed.refused:
        raise LeaderJobsError(f"{_jobs(changed.refused)} of those named cannot be {_DONE[asked.what][1]}")
    return changed


def _report(changed: Changed) -> dict[str, object]:
    return {
        "count": changed.count,
        "asked_to_end": changed.asked_to_end,
        "jobs": changed.jobs,
        "refused": changed.refused,
        "refusals": changed.refusals,
        "more": changed.more,
    }


def _wait(stores: Stores, cluster: str, changed: Changed, timeout: timedelta) -> None:
    """Until every job that was named has ended; those beyond MOST_NAMED are not waited for."""
    from leaderjobs import clock
    from leaderjobs.engine.waiting import until_ended

    deadline = clock.elapsed() + timeout.total_seconds()
    for job_id in changed.jobs:
        left = timedelta(seconds=max(0.0, deadline - clock.elapsed()))
        job = until_ended(stores, cluster, stores.jobs.get(job_id), left)
        say(f"job {job.id} ({job.target}) is {job.state.value}")


def _meant(wanted: Mapping[str, Any], *unasked: JobState) -> JobFilter:
    """The jobs that are meant; without ids or filters it would be all there are, which nobody means."""
    if not any(wanted.values()):
        raise UsageError("name jobs by their ids, or say which ones with filters such as --target or --state")
    if not wanted["ids"] and not wanted["states"]:
        wanted = {**wanted, "states": unasked}
    return filtered(wanted)


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def _counted(counts: Mapping[Any, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{count:,} {state.value}" for state, count in counts.items() if count)
    return _jobs(total) + (f" ({parts})" if parts else "")
