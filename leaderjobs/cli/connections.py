"""`leaderjobs connections`: what a person does about an account at a third party."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leaderjobs.errors import LeaderJobsError

if TYPE_CHECKING:
    from leaderjobs.cli import Context


@click.group()
def command() -> None:
    """Look after the accounts at third parties."""


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
