"""The option of commands that wait for a job to end."""

from __future__ import annotations

import click

from leaderjobs.cli.arguments import duration

TIMEOUT = click.option(
    "--timeout",
    callback=duration,
    default="24h",
    show_default=True,
    metavar="D",
    help="Stop waiting after this.",
)
