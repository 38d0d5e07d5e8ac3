"""The parts of a status report, as lines and tables for people."""

from __future__ import annotations

from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from leaderjobs.cli.printing import moment, span
from leaderjobs.model.report import StatusReport

_NUMBERS = {
    *("lag", "pid", "sequence", "rows", "pages", "of", "rows/s", "left", "used", "limit", "in"),
    *("scheduled", "available", "running", "retryable", "uncertain"),
}


def head(report: StatusReport) -> list[str]:
    """Who leads and how much there is to do."""
    leader = report.leader
    leads = (
        f"{leader.id}, term {leader.term}, token {leader.token}, "
        f"trusted for {leader.trusted_for_seconds:.1f} s"
        if leader
        else "nobody"
    )
    counts = ", ".join(f"{count} {state}" for state, count in report.jobs.items() if count)
    return [
        f"cluster      {report.cluster}",
        f"coordinator  {report.coordinator.kind}, {report.coordinator.state}",
        f"database     {report.database.state}",
        f"leader       {leads}",
        f"jobs         {counts or 'none'}",
    ]


def problems(report: StatusReport) -> list[Text]:
    """One line for each, the unhealthy ones marked."""
    return [
        Text(
            f"{'PROBLEM' if problem.unhealthy else 'note'}: {problem.message}",
            style="bold red" if problem.unhealthy else "",
        )
        for problem in report.problems
    ]


def members(report: StatusReport) -> Table:
    """Who is here, and how far behind."""
    table = _table("members", "id", "role", "lag", "host", "pid", "version", "since")
    for member in report.members:
        lag = "" if member.lag is None else f"{member.lag.markers} / {member.lag.seconds:.1f} s"
        _row(
            table,
            *(member.id, member.role, lag, member.host, member.pid, member.version, moment(member.since)),
        )
    return table


def queues(report: StatusReport) -> Table:
    """What has not ended, by connection."""
    states = ("scheduled", "available", "running", "retryable", "uncertain")
    table = _table("queue", "connection", *states)
    for queue in report.queues:
        _row(table, queue.connection, *(getattr(queue, state) or "" for state in states))
    return table


def running(report: StatusReport) -> Table:
    """What the leader works on, and how far it is."""
    columns = ("job", "target", "attempt", "stream", "pages", "rows", "of", "rows/s", "left")
    table = _table("running", *columns)
    for job in report.running:
        progress = job.progress
        _row(
            table,
            job.id,
            job.target,
            job.attempt,
            progress.stream,
            progress.pages,
            progress.rows,
            "" if progress.total is None else progress.total - progress.stream_rows + progress.rows,
            "" if progress.rows_per_second is None else f"{progress.rows_per_second:.0f}",
            "" if progress.seconds_left is None else span(round(progress.seconds_left)),
        )
    return table


def holds(report: StatusReport, now: datetime) -> Table:
    """Connections that wait, and until when."""
    table = _table("holds", "connection", "until", "in", "code", "why")
    for hold in report.holds:
        until = moment(hold.until)
        _row(table, hold.connection, until, _until(hold.until, now), hold.code, hold.message)
    return table


def next_fires(report: StatusReport, now: datetime) -> Table:
    """Which schedules fire next."""
    table = _table("next fires", "schedule", "target", "fires at", "in")
    for fire in report.next_fires:
        _row(table, fire.schedule, fire.target, moment(fire.fire_time), _until(fire.fire_time, now))
    return table


def quotas(report: StatusReport) -> Table:
    """What is used of providers' allowances."""
    table = _table("quotas", "name", "used", "limit", "renewed at")
    for quota in report.quotas:
        _row(table, quota.name, quota.used, quota.limit, moment(quota.resets_at))
    return table


def markers(report: StatusReport) -> Table:
    """How far every stream has come."""
    table = _table("markers", "connection", "stream", "sequence", "rows", "committed at")
    for marker in report.markers:
        place = (marker.connection, marker.stream, marker.sequence, marker.rows)
        _row(table, *place, moment(marker.committed_at))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(str(cell)) for cell in cells))


def _until(instant: datetime, now: datetime) -> str:
    return span(max(0, round((instant - now).total_seconds())))
