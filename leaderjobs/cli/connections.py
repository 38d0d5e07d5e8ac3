"""`leaderjobs connections`: the accounts at third parties, seen from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT
from leaderjobs.cli.printing import document, table
from leaderjobs.errors import LeaderJobsError

if TYPE_CHECKING:
    from leaderjobs.cli import Context

UNHEALTHY = 3


@click.group()
def command() -> None:
    """Check and release the accounts at third parties."""


@command.command()
@click.argument("name", required=False)
@OUTPUT
@click.pass_context
def check(click_context: click.Context, name: str | None, output: str) -> None:
    """Make one cheap call for each connection, or for NAME: ok, auth, permission, quota, network, other.

    Exits 3 when one of them is not ok. The database is not needed.
    """
    from leaderjobs import app

    context: Context = click_context.obj
    found = app.check_connections(context.settings(), name)
    if output == "json":
        click.echo(document(found))
    else:
        rows = [
            (each.connection, each.connector, each.verdict.value, f"{each.seconds:.2f} s", each.message)
            for each in found
        ]
        table(("connection", "connector", "verdict", "took", "message"), rows)
    if not all(each.verdict.value == "ok" for each in found):
        click_context.exit(UNHEALTHY)


@command.command()
@click.argument("name")
@click.pass_obj
def release(context: Context, name: str) -> None:
    """Let the jobs of connection NAME run again, after its user has mended the account."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        if not stores.holds.release(name):
            raise LeaderJobsError(f"connection {name!r} is not held; see leaderjobs status")
    click.echo(f"connection {name} is released; its jobs are due now")
