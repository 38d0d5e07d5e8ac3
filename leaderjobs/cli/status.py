"""`leaderjobs status`: print the report that `engine/status` collects."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from leaderjobs.cli import Context
    from leaderjobs.model.report import StatusReport

UNHEALTHY = 3
_NUMBERS = {"lag", "pid", "sequence", "rows", "pages", "of", "rows/s", "left", "used", "limit"}
_SECOND_LOOK_AFTER = 1.0
"""Seconds: a follower is always a moment behind a busy leader; a lag that counts is still there later."""


@click.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--check", is_flag=True, help="Exit 3 without a leader, with a lagging follower or a server down."
)
@click.pass_context
def command(click_context: click.Context, output: str, check: bool) -> None:
    """Show members, leader, queue, markers and problems."""
    from leaderjobs import app

    context: Context = click_context.obj
    settings = context.settings()
    report = app.status(settings)
    if check and {problem.code for problem in report.problems if problem.unhealthy} == {"follower_lags"}:
        threading.Event().wait(_SECOND_LOOK_AFTER)
        report = app.status(settings)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report)
    if check and not report.healthy:
        click_context.exit(UNHEALTHY)


def _print(report: StatusReport) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    leader = report.leader
    leads = (
        f"{leader.id}, term {leader.term}, token {leader.token}, "
        f"trusted for {leader.trusted_for_seconds:.1f} s"
        if leader
        else "nobody"
    )
    console.print(f"cluster      {report.cluster}", markup=False)
    console.print(f"coordinator  {report.coordinator.kind}, {report.coordinator.state}", markup=False)
    console.print(f"database     {report.database.state}", markup=False)
    console.print(f"leader       {leads}", markup=False)
    counts = ", ".join(f"{count} {state}" for state, count in report.jobs.items() if count)
    console.print(f"jobs         {counts or 'none'}", markup=False)
    for table in (_members(report), _running(report), _markers(report), _quotas(report)):
        if table.row_count:
            console.print()
            console.print(table, markup=False)
    for problem in report.problems:
        console.print(
            f"\n{'PROBLEM' if problem.unhealthy else 'note'}: {problem.message}", markup=False, soft_wrap=True
        )


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


def _members(report: StatusReport) -> Table:
    from rich.text import Text

    table = _table("members", "id", "role", "lag", "host", "pid", "version", "since")
    for member in report.members:
        lag = "" if member.lag is None else f"{member.lag.markers} / {member.lag.seconds:.1f} s"
        since = f"{member.since:%Y-%m-%d %H:%M:%S}Z"
        cells = (member.id, member.role, lag, member.host, str(member.pid), member.version, since)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _running(report: StatusReport) -> Table:
    from rich.text import Text

    columns = ("job", "target", "attempt", "stream", "pages", "rows", "of", "rows/s", "left")
    table = _table("running", *columns)
    for job in report.running:
        progress = job.progress
        cells = (
            job.id,
            job.target,
            job.attempt,
            progress.stream,
            progress.pages,
            progress.rows,
            "" if progress.total is None else progress.total - progress.stream_rows + progress.rows,
            "" if progress.rows_per_second is None else f"{progress.rows_per_second:.0f}",
            "" if progress.seconds_left is None else _span(progress.seconds_left),
        )
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _span(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {left:02} s" if minutes else f"{left} s"
    )


def _quotas(report: StatusReport) -> Table:
    from rich.text import Text

    table = _table("quotas", "name", "used", "limit", "renewed at")
    for quota in report.quotas:
        cells = (quota.name, str(quota.used), str(quota.limit), f"{quota.resets_at:%Y-%m-%d %H:%M:%S}Z")
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _markers(report: StatusReport) -> Table:
    from rich.text import Text

    table = _table("markers", "connection", "stream", "sequence", "rows", "committed at")
    for marker in report.markers:
        committed = f"{marker.committed_at:%Y-%m-%d %H:%M:%S}Z"
        cells = (marker.connection, marker.stream, str(marker.sequence), str(marker.rows), committed)
        table.add_row(*(Text(cell) for cell in cells))
    return table
