"""`leaderjobs db`: what is rarely done to the database by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leaderjobs.cli import Context


@click.group()
def command() -> None:
    """Adopt a coordinator whose data was replaced."""


@command.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def adopt_coordinator(context: Context, *, yes: bool) -> None:
    """Accept the fencing tokens of the coordinator as it is now.

    Needed once after its data was lost or it was replaced: its tokens begin anew, so the database refuses
    them. Whoever leads now is ended; members that still use the old coordinator can lead no more.
    """
    from leaderjobs import app
    from leaderjobs.errors import UsageError

    settings = context.settings()
    origin = app.coordinator_origin(settings)
    if not yes and not click.confirm(
        f"Adopt the coordinator's data (origin {origin}) for cluster {settings.cluster.name}?", err=True
    ):
        raise UsageError("nothing was changed")
    with app.opened_stores(settings) as stores:
        adopted = stores.terms.adopt(origin)
    if adopted:
        click.echo(f"adopted origin {origin} for {adopted} partition{'s' if adopted > 1 else ''}")
    else:
        click.echo("nothing to do: the database knows no other coordinator")
