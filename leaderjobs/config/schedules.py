"""The sections `[schedules.NAME]`: when which sync or operation is enqueued by itself."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from leaderjobs.config.decode import Reader, fields_of
from leaderjobs.config.settings import CatchUpWindow, ConnectionSettings, Jitter, Name, SyncSettings
from leaderjobs.config.shown import one_line, shown
from leaderjobs.model.schedule import CatchUp, Overlap, ScheduleSpec
from leaderjobs.values import Duration

if TYPE_CHECKING:
    from leaderjobs.config.environment import Path

MOST_ARGUMENTS = 50
MOST_ARGUMENT_CHARS = 1000
ZONE_ALLOWED = 'a name of the tz database such as "America/New_York" or "UTC"'
Cron = Annotated[
    str, msgspec.Meta(description='a cron expression of 5 fields, or an alias such as "@hourly"')
]
Operation = Annotated[str, msgspec.Meta(description="CONNECTION.OPERATION")]
Zone = Annotated[str, msgspec.Meta(description=ZONE_ALLOWED)]
_EXACTLY_ONE = "exactly one of sync and operation"


class Arguments(dict[str, str]):
    """What an operation is given, as text: a number or a truth value becomes what one types."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a table; ValueError says what is allowed."""
        if isinstance(value, dict) and len(value) <= MOST_ARGUMENTS:
            texts = {name: _text(each) for name, each in value.items()}
            if all(each is not None for each in texts.values()):
                return cls({name: each for name, each in texts.items() if each is not None})
        raise ValueError(
            f"allowed: a table of up to {MOST_ARGUMENTS} texts, such as "
            '{ amount = "10.50", day = "{fire_date}" }'
        )


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """A section `[schedules.NAME]` as it is written; `ScheduleSpec` is what it means."""

    name: str
    cron: Cron
    sync: Name | None = None
    operation: Operation | None = None
    arguments: Arguments = field(default_factory=Arguments)
    time_zone: Zone = "UTC"
    jitter: Jitter = Duration(0)
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: CatchUpWindow = Duration(days=1)
    overlap: Overlap = Overlap.SKIP
    pause_on_failure: bool = False


SCHEDULE_KEYS = tuple(each.key for each in fields_of(ScheduleSettings) if each.key != "name")


def schedule(
    reader: Reader,
    name: str,
    cluster: str,
    syncs: Mapping[str, SyncSettings],
    connections: Mapping[str, ConnectionSettings],
) -> ScheduleSpec:
    """The schedule of that name, its target there and its expression one that fires."""
    path = ("schedules", name)
    found = reader.build(ScheduleSettings, path, given={"name": name})
    target = _target(reader, path, found, syncs, connections)
    _check_zone(reader, (*path, "time_zone"), found.time_zone)
    _check_cron(reader, (*path, "cron"), found, f"{cluster}/{name}")
    return ScheduleSpec(
        name=name,
        target=target,
        cron=found.cron,
        arguments=found.arguments,
        time_zone=found.time_zone,
        jitter=found.jitter,
        catch_up=found.catch_up,
        catch_up_window=found.catch_up_window,
        overlap=found.overlap,
        pause_on_failure=found.pause_on_failure,
    )


def _target(
    reader: Reader,
    path: Path,
    found: ScheduleSettings,
    syncs: Mapping[str, SyncSettings],
    connections: Mapping[str, ConnectionSettings],
) -> str:
    if found.operation is None:
        if found.sync is None:
            raise reader.fail(path, f": sync is missing; allowed: {_EXACTLY_ONE}")
        if found.arguments:
            raise reader.complain(
                (*path, "arguments"), "a table", "nothing for a sync; operations take arguments"
            )
        if found.sync not in syncs:
            raise reader.complain(
                (*path, "sync"), shown(found.sync), f"a sync: {_known(syncs, 'syncs.NAME')}"
            )
        return found.sync
    if found.sync is not None:
        raise reader.complain((*path, "operation"), shown(found.operation), _EXACTLY_ONE)
    connection, _, operation = found.operation.rpartition(".")
    if connection not in connections or not operation:
        allowed = f"CONNECTION.OPERATION of a connection: {_known(connections, 'connections.NAME')}"
        raise reader.complain((*path, "operation"), shown(found.operation), allowed)
    _check_declared(reader, (*path, "operation"), connections[connection], operation)
    return found.operation


def _check_declared(reader: Reader, path: Path, connection: ConnectionSettings, operation: str) -> None:
    """Where the configuration says which operations there are; other connectors say it when asked."""
    from leaderjobs.connectors import registry

    if registry.declares(connection.connector) and operation not in connection.operations:
        known = ", ".join(f"{connection.name}.{each}" for each in connection.operations)
        known = known or f"none; write [operations.{connection.name}.NAME] first"
        raise reader.complain(path, shown(f"{connection.name}.{operation}"), f"an operation: {known}")


def _check_zone(reader: Reader, path: Path, zone: str) -> None:
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        near = difflib.get_close_matches(zone, zoneinfo.available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise reader.complain(path, shown(zone), f"{ZONE_ALLOWED}{hint}") from None


def _check_cron(reader: Reader, path: Path, found: ScheduleSettings, seed: str) -> None:
    from leaderjobs.cron import Expression

    try:
        Expression.parse(found.cron, found.time_zone, seed)
    except ValueError as error:
        said = one_line(str(error)).removeprefix("allowed: ")
        raise reader.complain(path, shown(found.cron), said) from None


def _known(names: Mapping[str, object], section: str) -> str:
    return ", ".join(names) or f"none; write [{section}] first"


def _text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() if len(value) <= MOST_ARGUMENT_CHARS and "\0" not in value:
            return value
        case _:
            return None
