"""`leaderjobs leader`: who leads, and asking it to hand over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from leaderjobs.errors import LeaderJobsError

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.coordination.base import Coordinator

_LOOK_EVERY = 0.1
_PATIENCE = 60.0


class NoLeader(LeaderJobsError):
    """The coordinator answers, but nobody leads."""

    exit_code = 3


@click.group()
def command() -> None:
    """Show the leader, or ask it to resign."""


@command.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def show(context: Context, output: str) -> None:
    """Print who leads; exit 3 when nobody does."""
    import msgspec

    from leaderjobs import app
    from leaderjobs.coordination.base import PARTITION

    with app.observer(context.settings()) as session:
        leader = session.leader(PARTITION)
    if output == "json":
        click.echo(msgspec.json.encode(leader).decode())
    if leader is None:
        raise NoLeader("no member leads; start one with: leaderjobs run")
    if output == "table":
        click.echo(
            f"{leader.id} leads since {leader.since:%Y-%m-%d %H:%M:%S}Z: "
            f"term {leader.number}, token {leader.token}"
        )


@command.command()
@click.pass_obj
def resign(context: Context) -> None:
    """Ask the leader to drain and hand over; waits until it has.

    It goes to the end of the line, so another member leads next; when it is alone it leads again, in a
    new term.
    """
    from leaderjobs import app
    from leaderjobs.coordination.base import PARTITION

    with app.observer(context.settings()) as session:
        leader = session.leader(PARTITION)
        if leader is None:
            raise NoLeader("no member leads, so nobody can resign")
        session.request_resign(PARTITION, leader.token)
        successor = _wait_for_change(session, PARTITION, leader.token)
    click.echo(f"{leader.id} resigned (term {leader.number})" + (f"; {successor} leads" if successor else ""))


def _wait_for_change(session: Coordinator, partition: int, token: int) -> str:
    """The next leader's id, once its fence is raised; empty when none came in time."""
    pause = threading.Event()
    resigned = False
    for _ in range(int(_PATIENCE / _LOOK_EVERY)):
        leader = session.leader(partition)
        resigned = resigned or leader is None or leader.token != token
        if leader is not None and leader.token != token and leader.number > 0:
            return leader.id
        pause.wait(_LOOK_EVERY)
    if resigned:
        return ""
    raise LeaderJobsError(f"the leader has not resigned within {_PATIENCE:g} s; it may still be draining")
