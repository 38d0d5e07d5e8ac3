"""`leaderjobs connectors`: which third parties can be pulled from, what they have and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT
from leaderjobs.cli.printing import document, table

if TYPE_CHECKING:
    from leaderjobs.model.stream import Stream

DECLARED = "as configured"


@click.group()
def command() -> None:
    """Show the connectors there are, their streams and settings."""


@command.command("list")
@OUTPUT
def list_(output: str) -> None:
    """List the connectors, those of installed packages included."""
    from leaderjobs.connectors import registry

    found = [(name, tuple(stream.name for stream in registry.own_streams(name))) for name in registry.names()]
    if output == "json":
        click.echo(document([{"connector": name, "streams": streams} for name, streams in found]))
        return
    table(("connector", "streams"), [(name, ", ".join(streams) or DECLARED) for name, streams in found])


@command.command()
@click.argument("name")
@OUTPUT
def show(name: str, output: str) -> None:
    """Show the streams of connector NAME, with key, cursor and cost of a sync, and its settings."""
    from leaderjobs.config import described
    from leaderjobs.connectors import registry

    streams, settings = registry.own_streams(name), list(described(registry.settings_type(name)))
    if output == "json":
        shown = [
            {
                "name": stream.name,
                "key": stream.key,
                "cursor": stream.cursor,
                "windowed": stream.windowed,
                "cost": stream.cost,
                "comment": stream.comment,
                "columns": [column.name for column in stream.columns],
            }
            for stream in streams
        ]
        told = [setting._asdict() for setting in settings]
        click.echo(document({"connector": name, "streams": shown, "settings": told}))
        return
    click.echo(f"connector    {name}\n\nstreams")
    if streams:
        table(("stream", "key", "cursor", "span", "cost of a sync"), [_row(stream) for stream in streams])
    else:
        click.echo(f"{DECLARED}: see the settings\n")
    click.echo("settings of [connections.NAME]")
    table(("setting", "allowed", "default"), settings)


def _row(stream: Stream) -> tuple[str, ...]:
    return (
        stream.name,
        ", ".join(stream.key),
        stream.cursor.value,
        "--since, --until" if stream.windowed else "",
        stream.cost,
    )
