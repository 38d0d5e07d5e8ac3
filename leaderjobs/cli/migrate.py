"""`leaderjobs migrate`: create or upgrade the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leaderjobs.cli import Context


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL instead of running it.")
@click.pass_obj
def command(context: Context, *, dry_run: bool) -> None:
    """Create the schema `leaderjobs` in the database, or bring it up to this version."""
    from leaderjobs import app
    from leaderjobs.store.migrate import Migrations
    from leaderjobs.store.pool import Database

    found = app.servers(context.settings(), start=True)
    database = Database(found.database, application="leaderjobs migrate")
    try:
        migrations = Migrations(database)
        if dry_run:
            click.echo(migrations.sql(), nl=False)
            return
        applied = migrations.apply()
    finally:
        database.close()
    for each in applied:
        click.echo(f"applied {each.number:04}_{each.name}")
    if not applied:
        click.echo("nothing to do: the schema is up to date")
