"""`leaderjobs status`: print the report that `engine/status` collects, once or again and again."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT, duration
from leaderjobs.cli.printing import document
from leaderjobs.errors import UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.model.report import StatusReport

UNHEALTHY = 3
FASTEST = timedelta(milliseconds=100)
SLOWEST = timedelta(hours=1)
_SECOND_LOOK_AFTER = 1.0
"""Seconds: a follower is always a moment behind a busy leader; a lag that counts is still there later."""


@click.command()
@OUTPUT
@click.option(
    "--check", is_flag=True, help="Exit 3 without a leader, with a lagging follower or a server down."
)
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C; JSON is one line a look.")
@click.option("--every", callback=duration, default="1s", show_default=True, metavar="D", help="Of --watch.")
@click.pass_context
def command(click_context: click.Context, *, output: str, check: bool, watch: bool, every: timedelta) -> None:
    """Show members, leader, queue, schedules, markers and problems."""
    from leaderjobs import app

    if watch and check:
        raise UsageError("--watch and --check exclude each other; give one of them")
    if not FASTEST <= every <= SLOWEST:
        raise UsageError('--every: allowed: "100ms" to "1h"')
    context: Context = click_context.obj
    settings = context.settings()
    if watch:
        from leaderjobs.cli import watch as live

        live.run(settings, every, as_json=output == "json")
        return
    report = app.status(settings, _prepare if output == "table" else lambda: None)
    if check and {problem.code for problem in report.problems if problem.unhealthy} == {"follower_lags"}:
        threading.Event().wait(_SECOND_LOOK_AFTER)
        report = app.status(settings)
    if output == "json":
        click.echo(document(report))
    else:
        _print(report)
    if check and not report.healthy:
        click_context.exit(UNHEALTHY)


def _prepare() -> None:
    """Load what prints while the servers are asked."""
    from rich.console import Console

    from leaderjobs.cli import status_page

    del Console, status_page


def _print(report: StatusReport) -> None:
    from rich.console import Console

    from leaderjobs import clock
    from leaderjobs.cli import status_page as page

    console, now = Console(highlight=False), clock.now()
    for line in page.head(report):
        console.print(line, markup=False)
    for table in (
        page.members(report),
        page.queues(report),
        page.running(report),
        page.holds(report, now),
        page.next_fires(report, now),
        page.markers(report),
        page.quotas(report),
    ):
        if table.row_count:
            console.print()
            console.print(table, markup=False)
    for problem in page.problems(report):
        console.print()
        console.print(problem, markup=False, soft_wrap=True)
