"""`leaderjobs reset`: forget how far a stream has come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from leaderjobs.errors import LeaderJobsError, UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context


@click.command()
@click.argument("connection")
@click.argument("stream")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(context: Context, *, connection: str, stream: str, yes: bool) -> None:
    """Forget the marker of STREAM of CONNECTION: its next sync pulls everything again.

    Its rows stay; those that are gone at the provider are found gone by the next sync where the stream is
    listed whole. A sync that is under way begins anew.
    """
    from leaderjobs import app
    from leaderjobs.connectors import registry

    settings = context.settings()
    found = settings.connection(connection)
    streams = [each.name for each in registry.streams(found.connector, found.name, found.options)]
    if stream not in streams:
        raise UsageError(f"{connection} has no stream {stream!r}; it has: {', '.join(streams) or 'none'}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("there is nobody to ask; give -y to forget the marker without asking")
        click.confirm(f"Pull everything of {connection}.{stream} again?", abort=True)
    with app.opened_stores(settings) as stores:
        if not stores.markers.reset(connection, stream):
            raise LeaderJobsError(f"nothing of {connection}.{stream} was ever pulled; there is no marker")
    click.echo(f"the marker of {connection}.{stream} is forgotten; the next sync pulls everything")
