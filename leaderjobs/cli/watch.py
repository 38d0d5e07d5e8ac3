"""`leaderjobs status --watch`: the same report again and again, as a picture on a terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs import app, clock
from leaderjobs.cli.printing import document

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console, RenderableType

    from leaderjobs.config import Settings
    from leaderjobs.model.report import StatusReport

PATIENCE = timedelta(seconds=1)
"""For one look: a server that takes longer is said not to have answered yet, and the picture goes on."""
REST = 4
"""A look that took long is followed by a pause of so many times as long: looking must not be a load."""
SHOWN_PROBLEMS = 8
Show = Callable[["StatusReport"], None]


def run(settings: Settings, every: timedelta, *, as_json: bool) -> None:
    """Look and show until Ctrl-C or SIGTERM; that is how it ends, so it is no failure.

    The connections stay open from look to look. A server that goes away is shown, and found again.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    pause = threading.Event()
    try:
        with app.looking(settings) as look, _shown(every, as_json=as_json) as show:
            while True:
                began = clock.elapsed()
                show(look.report(PATIENCE))
                took = clock.elapsed() - began
                pause.wait(max(every.total_seconds() - took, min(REST * took, PATIENCE.total_seconds())))
    except KeyboardInterrupt:
        return


@contextmanager
def _shown(every: timedelta, *, as_json: bool) -> Iterator[Show]:
    """How a report is shown: a line of JSON, a picture on the terminal, or page after page."""
    if as_json:
        yield lambda report: click.echo(document(report))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        yield lambda report: _print_page(console, report, every)
        return
    from rich.live import Live

    # The alternate screen: what stood in the terminal is there again afterwards. It is written over line by
    # line and never cleared, so nothing flickers.
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda report: live.update(picture(report, clock.now(), every), refresh=True)


def _print_page(console: Console, report: StatusReport, every: timedelta) -> None:
    console.print(picture(report, clock.now(), every), markup=False)
    console.print()


def picture(report: StatusReport, now: datetime, every: timedelta) -> RenderableType:
    """Everything that moves, the problems on top: a terminal cuts off what it has no lines for."""
    from rich.console import Group
    from rich.text import Text

    from leaderjobs.cli import status_page as page

    problems = page.problems(report)
    hidden = len(problems) - SHOWN_PROBLEMS
    if hidden > 0:
        problems[SHOWN_PROBLEMS:] = [Text(f"and {hidden} more; see: leaderjobs status")]
    tables = (
        page.members(report),
        page.running(report),
        page.queues(report),
        page.holds(report, now),
        page.next_fires(report, now),
    )
    title = Text(f"{now:%Y-%m-%d %H:%M:%S}Z, every {every.total_seconds():g} s; Ctrl-C leaves", style="dim")
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in page.head(report)]
    return Group(title, *lines, *problems, *(table for table in tables if table.row_count))


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
