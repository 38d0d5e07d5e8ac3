"""`leaderjobs dev`: the embedded servers that every command on this machine shares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leaderjobs.embedded.dev import DevServers

NOT_RUNNING = 3


@click.group()
def command() -> None:
    """Start, stop or show the embedded ZooKeeper and Postgres."""


@command.command()
def start() -> None:
    """Start both and wait until they serve; what already runs is left alone."""
    from leaderjobs.embedded import dev

    _print(dev.start())


@command.command()
def stop() -> None:
    """Stop both; their data stay."""
    from leaderjobs.embedded import dev

    click.echo("stopped; the data stay" if dev.stop() else "not running")


@command.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def status(click_context: click.Context, output: str) -> None:
    """Show where they are; exit 3 when one of them does not run."""
    from leaderjobs.embedded import dev

    servers = dev.status()
    if output == "json":
        click.echo(json.dumps(_document(servers)))
    elif servers is not None:
        _print(servers)
    else:
        names = " and ".join(dev.missing())
        click.echo(f"not running: {names}; start with: leaderjobs dev start")
    if servers is None:
        click_context.exit(NOT_RUNNING)


def _document(servers: DevServers | None) -> dict[str, object]:
    """Never with the password; the file that holds it is named instead."""
    if servers is None:
        return {"running": False}
    return {
        "running": True,
        "coordinator": servers.coordinator_url,
        "database": servers.shown_database_url,
        "password_file": str(servers.password_file),
        "zookeeper_pid": servers.zookeeper_pid,
        "postgres_pid": servers.postgres_pid,
        "directory": str(servers.directory),
    }


def _print(servers: DevServers) -> None:
    import shlex

    click.echo(f"coordinator  {servers.coordinator_url}  (pid {servers.zookeeper_pid})")
    click.echo(f"database     {servers.shown_database_url}  (pid {servers.postgres_pid})")
    file = shlex.quote(str(servers.password_file))
    click.echo(f"psql         PGPASSWORD=$(cat {file}) psql {servers.shown_database_url}")
