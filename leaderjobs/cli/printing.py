"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

MOST_PIPED_COLUMNS = 1000


def document(value: object) -> str:
    """As JSON; bytes are base64."""
    import msgspec

    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: object) -> timedelta:
    """A duration as the configuration reads it is a timedelta to everybody else."""
    if isinstance(value, timedelta):
        return timedelta(value.days, value.seconds, value.microseconds)
    raise NotImplementedError(type(value).__name__)


def moment(at: datetime | None) -> str:
    """An instant for people, in UTC; empty for None."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def span(seconds: float) -> str:
    """A span of time for people: its two largest units."""
    if seconds < 10:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    left, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; `none` where there is no row."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo("none")
        return
    made = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    # What a pipe gets is not folded: a line is a row.
    width = None if sys.stdout.isatty() else MOST_PIPED_COLUMNS
    Console(highlight=False, width=width).print(made, markup=False)
