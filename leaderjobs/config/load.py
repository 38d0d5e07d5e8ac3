"""From a file and an environment to checked `Settings`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from leaderjobs.config import urls
from leaderjobs.config.decode import Reader, decode, fields_of
from leaderjobs.config.environment import overlay, variable_of
from leaderjobs.config.settings import (
    NAME_ALLOWED,
    ClusterSettings,
    ConnectionSettings,
    Name,
    Settings,
    SyncSettings,
)
from leaderjobs.config.shown import shown
from leaderjobs.config.source import Document, read
from leaderjobs.errors import ConfigError
from leaderjobs.values import hide_passwords, secrets_in

if TYPE_CHECKING:
    from leaderjobs.config.environment import Path as KeyPath

SECTIONS = ("cluster", "connections", "syncs", "operations")
SYNC_KEYS = ("connection", "streams", "max_attempts")
# No dot: `enqueue CONNECTION.NAME` ends at the last one.
OPERATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
OPERATION_NAME_ALLOWED = "1 to 64 letters, digits, underscores and hyphens, beginning with a letter or digit"


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check the whole configuration; a missing default file means all defaults.

    `path` is what the user named, and must exist. Raises ConfigError, of one line and without secrets,
    and nothing else.
    """
    document = read(path, environ)
    reader = Reader(document)
    reader.known_only((), SECTIONS)
    for section in ("connections", "syncs"):
        _check_names(reader, section)
    connectors = {name: _connector(reader, name, environ) for name in reader.table("connections")}
    keys: dict[KeyPath, list[str]] = {("cluster",): [field.key for field in fields_of(ClusterSettings)]}
    for name, connector in connectors.items():
        options = [field.key for field in fields_of(_settings_type(connector))]
        keys["connections", name] = ["connector", *options]
    for name in reader.table("syncs"):
        keys["syncs", name] = list(SYNC_KEYS)
    for section_path, allowed in keys.items():
        reader.known_only(section_path, allowed)
    reader.overlay = overlay(environ, keys)
    cluster = _cluster(reader)
    operations = _operations(reader, connectors)
    connections = {
        name: ConnectionSettings(
            name,
            connector,
            reader.build(_settings_type(connector), ("connections", name)),
            operations.get(name, {}),
        )
        for name, connector in connectors.items()
    }
    syncs = {name: _sync(reader, name, connections) for name in reader.table("syncs")}
    warnings = tuple(_warnings(document, cluster, connections.values(), reader))
    return Settings(document.path, cluster, connections, syncs, warnings=warnings)


def _check_names(reader: Reader, section: str) -> None:
    for name in reader.table(section):
        reader.table(section, name)
        try:
            decode(name, Name, lax=False)
        except ValueError:
            raise reader.fail((section, name), f": bad name; allowed: {NAME_ALLOWED}") from None


def _connector(reader: Reader, name: str, environ: Mapping[str, str]) -> str:
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


def _connectors() -> str:
    from leaderjobs.connectors import registry

    return ", ".join(f'"{known}"' for known in registry.names()) + ', or "module:Class"'


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


def _settings_type(connector: str) -> type[msgspec.Struct]:
    from leaderjobs.connectors import registry

    return registry.settings_type(connector)


def _streams(connection: ConnectionSettings) -> tuple[str, ...]:
    from leaderjobs.connectors import registry

    found = registry.streams(connection.connector, connection.name, connection.options)
    return tuple(stream.name for stream in found)


def _cluster(reader: Reader) -> ClusterSettings:
    cluster = reader.build(ClusterSettings, ("cluster",))
    checks = (
        ("coordinator", cluster.coordinator, urls.is_coordinator, urls.COORDINATOR_ALLOWED),
        ("database", cluster.database, urls.is_database, urls.DATABASE_ALLOWED),
    )
    for key, secret, good, allowed in checks:
        if secret is not None and secret.literal is not None and not good(secret.literal):
            path = ("cluster", key)
            raise reader.complain(path, urls.shown_url(secret.literal), allowed)
    return cluster


def _sync(reader: Reader, name: str, connections: Mapping[str, ConnectionSettings]) -> SyncSettings:
    path = ("syncs", name)
    sync = reader.build(SyncSettings, path, given={"name": name})
    if sync.connection not in connections:
        known = ", ".join(connections) or "none; write [connections.NAME] first"
        raise reader.complain((*path, "connection"), shown(sync.connection), f"a connection: {known}")
    known_streams = _streams(connections[sync.connection])
    if not known_streams:
        having = [name for name, found in connections.items() if _streams(found)]
        allowed = f"a connection with streams: {', '.join(having) or 'none is configured'}"
        raise reader.complain((*path, "connection"), shown(sync.connection), allowed)
    for at, stream in enumerate(sync.streams):
        if stream not in known_streams:
            allowed = f"streams of the connector: {', '.join(known_streams)}"
            raise reader.complain((*path, "streams"), shown(list(sync.streams)), allowed)
        if stream in sync.streams[:at]:
            raise reader.complain((*path, "streams"), shown(list(sync.streams)), "each stream once")
    return dataclasses.replace(sync, streams=sync.streams or known_streams)


def _warnings(
    document: Document, cluster: ClusterSettings, connections: Iterable[ConnectionSettings], reader: Reader
) -> Iterable[str]:
    if not document.world_readable:
        return
    literal: list[KeyPath] = [
        ("cluster", key)
        for key, secret in (("coordinator", cluster.coordinator), ("database", cluster.database))
        if secret and secret.literal and hide_passwords(secret.literal) != secret.literal
    ]
    for connection in connections:
        for field in fields_of(type(connection.options)):
            value = getattr(connection.options, field.name)
            if any(secret.literal is not None for secret in secrets_in(value)):
                literal.append(("connections", connection.name, field.key))
    written = [path for path in literal if path not in reader.overlay]
    if written:
        yield (
            f"{document.where(written[0])}: {'.'.join(written[0])} is a literal secret in a file that "
            f"everybody may read; run: chmod 600 {document.path}"
        )
