"""The sections about third parties: `[connections.NAME]` and `[operations.CONNECTION.NAME]`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from leaderjobs.config.decode import Reader, fields_of
from leaderjobs.config.environment import variable_of
from leaderjobs.config.settings import ConnectionSettings
from leaderjobs.config.shown import shown
from leaderjobs.errors import ConfigError

# No dot: `enqueue CONNECTION.NAME` ends at the last one.
OPERATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
OPERATION_NAME_ALLOWED = "1 to 64 letters, digits, underscores and hyphens, beginning with a letter or digit"


def connector_of(reader: Reader, name: str, environ: Mapping[str, str]) -> str:
    """Which connector a connection uses; needed before its other keys mean anything."""
    from leaderjobs.connectors import registry

    path = ("connections", name)
    variable = variable_of((*path, "connector"))
    value = environ.get(variable) or reader.table(*path).get("connector")
    if value is None:
        raise reader.fail(path, f": connector is missing; allowed: {_connectors()}")
    if not isinstance(value, str) or not registry.may_be(value):
        if environ.get(variable):
            raise ConfigError(f"{variable} = {shown(value)}: allowed: {_connectors()}")
        raise reader.fail((*path, "connector"), f" = {shown(value)}: allowed: {_connectors()}")
    try:
        registry.settings_type(value)
    except ConfigError as error:
        if environ.get(variable):
            raise ConfigError(f"{variable}: {error}") from None
        raise reader.fail((*path, "connector"), f": {error}") from None
    return value


def connection_keys(connector: str) -> list[str]:
    """What `[connections.NAME]` of this connector may hold."""
    return ["connector", *(field.key for field in fields_of(_settings_type(connector)))]


def connections(reader: Reader, connectors: Mapping[str, str]) -> dict[str, ConnectionSettings]:
    """Every connection by its name, with the operations that are declared for it."""
    operations = _operations(reader, connectors)
    return {
        name: ConnectionSettings(
            name,
            connector,
            reader.build(_settings_type(connector), ("connections", name)),
            operations.get(name, {}),
        )
        for name, connector in connectors.items()
    }


def streams_of(connection: ConnectionSettings) -> tuple[str, ...]:
    """The names of a connection's streams, in the order in which they are read."""
    from leaderjobs.connectors import registry

    found = registry.streams(connection.connector, connection.name, connection.options)
    return tuple(stream.name for stream in found)


def _connectors() -> str:
    from leaderjobs.connectors import registry

    return ", ".join(f'"{known}"' for known in registry.names()) + ', or "module:Class"'


def _settings_type(connector: str) -> type[msgspec.Struct]:
    from leaderjobs.connectors import registry

    return registry.settings_type(connector)


def _operations(reader: Reader, connectors: Mapping[str, str]) -> dict[str, dict[str, msgspec.Struct]]:
    """`[operations.CONNECTION.NAME]`, by connection; variables of the environment do not reach in here."""
    found: dict[str, dict[str, msgspec.Struct]] = {}
    if not reader.table("operations"):
        return found
    from leaderjobs.connectors import registry

    kind = registry.operation_type()
    declaring = [name for name, connector in connectors.items() if registry.declares(connector)]
    for connection in reader.table("operations"):
        if connection not in declaring:
            allowed = ", ".join(declaring) or 'none; write a connection with connector = "rest" first'
            raise reader.fail(
                ("operations", connection), f": not a connection that takes operations; allowed: {allowed}"
            )
        for name in reader.table("operations", connection):
            path = ("operations", connection, name)
            reader.table(*path)
            if OPERATION_NAME.fullmatch(name) is None:
                raise reader.fail(path, f": bad name; allowed: {OPERATION_NAME_ALLOWED}")
            reader.known_only(path, [field.key for field in fields_of(kind)])
            found.setdefault(connection, {})[name] = reader.build(kind, path)
    return found
