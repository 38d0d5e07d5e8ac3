"""`leaderjobs demo`: the main job on this machine, shown live, judged at the end."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console, RenderableType

    from leaderjobs.demo.story import Report, Scene

FAILED = 1
_SHOWN_EVENTS = 12


@click.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--transactions", type=click.IntRange(1_000, 1_000_000), default=25_000, show_default=True)
@click.option("--workers", type=click.IntRange(2, 9), default=3, show_default=True)
@click.option(
    "--kills", type=click.IntRange(0, 20), default=1, show_default=True, help="SIGKILLs of the leader."
)
@click.pass_context
def command(context: click.Context, output: str, transactions: int, workers: int, kills: int) -> None:
    """Sync a Plaid stand-in into Postgres, SIGKILL the leader half way, and compare the books.

    Real ZooKeeper, real Postgres, real processes, all in a temporary directory; nothing is left behind.
    Exit 0 only if provider and Postgres agree and every kill was survived.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    with tempfile.TemporaryDirectory(prefix="leaderjobs-") as directory:
        if output == "json":
            report = _play(Path(directory), transactions, workers, kills, lambda _scene: None)
            _print_json(report)
        else:
            report = _play_live(Path(directory), transactions, workers, kills)
    if not report.ok:
        context.exit(FAILED)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _play(
    directory: Path, transactions: int, workers: int, kills: int, show: Callable[[Scene], None]
) -> Report:
    from leaderjobs.demo.rig import Plan, Rig
    from leaderjobs.demo.story import Story

    with Rig(directory, Plan(transactions=transactions)) as rig:
        return Story(rig, workers, kills, show).run()


def _play_live(directory: Path, transactions: int, workers: int, kills: int) -> Report:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    console.print("Starting ZooKeeper, Postgres and a Plaid stand-in on 127.0.0.1 …")
    told = 0
    if not console.is_terminal:  # a pipe gets the story line by line instead of a picture that moves

        def tell(scene: Scene) -> None:
            nonlocal told
            for line in scene.events[told:]:
                console.print(line, markup=False)
            told = len(scene.events)

        report = _play(directory, transactions, workers, kills, tell)
    else:
        with Live(console=console, refresh_per_second=10) as live:
            report = _play(
                directory, transactions, workers, kills, lambda scene: live.update(_picture(scene))
            )
    _print_report(console, report)
    return report


def _picture(scene: Scene) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("member", "role", "pid", "replica lag (batches)"):
        table.add_column(column)
    leader = scene.leader
    for member in sorted(scene.members, key=lambda member: member.id):
        leads = leader is not None and leader.guid == member.guid
        lag = "" if leads else str(max(0, scene.position - member.replica.position))
        role = f"leader, term {leader.number}" if leads and leader else "follower"
        table.add_row(member.id, Text(role, style="bold green" if leads else ""), str(member.pid), lag)
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=scene.pages_expected, completed=scene.pages, width=40),
        f"{scene.pages}/{scene.pages_expected} pages",
        f"{scene.rows:,} rows",
    )
    who = f"{leader.id} leads, term {leader.number}" if leader and leader.number else "nobody leads"
    events = Text("\n".join(scene.events[-_SHOWN_EVENTS:]))
    return Group(Text(who, style="bold"), bar, table, events)


def _print_report(console: Console, report: Report) -> None:
    failovers = ", ".join(f"{seconds:.2f} s" for seconds in report.failover_seconds) or "none"
    lines = {
        "rows at the provider": f"{report.provider_rows:,}",
        "rows in Postgres": f"{report.postgres_rows:,}",
        "pages committed": f"{report.pages_committed:,}",
        "pages pulled twice": f"{report.pages_pulled_twice}",
        "kills": f"{report.kills}",
        "kill to next committed page": failovers,
        "terms": f"{report.terms}",
    }
    console.print()
    for name, value in lines.items():
        console.print(f"{name:<28} {value}", markup=False)
    verdict = "provider and Postgres agree" if report.ok else "FAILED: provider and Postgres do not agree"
    console.print(f"\n[bold {'green' if report.ok else 'red'}]{verdict}[/]")


def _print_json(report: Report) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
