"""`leaderjobs doctor`: what is assumed, whether it holds, and what to do where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT
from leaderjobs.cli.printing import document, table

if TYPE_CHECKING:
    from leaderjobs.cli import Context

UNHEALTHY = 3


@click.command()
@click.option("--connections", is_flag=True, help="Also make one cheap call to every provider.")
@OUTPUT
@click.pass_context
def command(click_context: click.Context, *, connections: bool, output: str) -> None:
    """Check servers, rights, clocks, secrets and disk, each with its remedy.

    Exits 3 when something failed; warnings alone exit 0. See docs/doctor.md for what each check means.
    """
    from leaderjobs import app

    context: Context = click_context.obj
    found = app.doctor(context.settings(), connections=connections)
    if output == "json":
        click.echo(document(found))
    else:
        rows = [(each.check, each.verdict.value, each.message, each.remedy) for each in found.findings]
        table(("check", "verdict", "what was found", "what to do"), rows)
    if found.failed:
        click_context.exit(UNHEALTHY)
