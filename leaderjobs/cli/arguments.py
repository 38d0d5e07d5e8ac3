"""Option types that several commands share; a bad value is a usage error that says what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

OUTPUT = click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


def words(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A list of names with commas between them."""
    if value is None:
        return None
    found = tuple(word.strip() for word in value.split(",") if word.strip())
    if not found:
        raise click.BadParameter(f"{value!r}: allowed: names with commas between them")
    return found


def instant(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """An instant with its zone, as UTC."""
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise click.BadParameter(
            f"{value!r}: allowed: an instant with its zone, such as 2026-11-24T08:00:00Z"
        )
    return parsed.astimezone(UTC)


def past(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """An instant with its zone, or how long ago; as UTC."""
    from leaderjobs import clock
    from leaderjobs.values import Duration

    if value is None:
        return None
    try:
        return clock.now() - Duration.parse(value)
    except ValueError:
        pass
    try:
        return instant(_context, _option, value)
    except click.BadParameter:
        raise click.BadParameter(
            f"{value!r}: allowed: how long ago, such as 2h, or an instant with its zone, such as "
            "2026-11-24T08:00:00Z"
        ) from None


def duration(_context: click.Context, _option: click.Parameter, value: str | None) -> timedelta | None:
    """A number and a unit."""
    from leaderjobs.values import Duration

    if value is None:
        return None
    try:
        return Duration.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from None


def pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words, each name once."""
    found: dict[str, str] = {}
    for word in values:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{word!r}: allowed: NAME=VALUE, such as amount=1200")
        if name in found:
            raise click.BadParameter(f"{name} is given twice; give it once")
        found[name] = value
    return found
