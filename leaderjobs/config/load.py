"""From a file and an environment to checked `Settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from leaderjobs.config import rules, urls
from leaderjobs.config.connected import connection_keys, connections, connector_of, streams_of
from leaderjobs.config.decode import Reader, decode, fields_of
from leaderjobs.config.environment import overlay
from leaderjobs.config.schedules import SCHEDULE_KEYS, schedule
from leaderjobs.config.settings import (
    NAME_ALLOWED,
    ClusterSettings,
    ConnectionSettings,
    HookSettings,
    Name,
    RetentionSettings,
    Settings,
    SyncSettings,
)
from leaderjobs.config.shown import shown
from leaderjobs.config.source import Document, read
from leaderjobs.values import hide_passwords, secrets_in

if TYPE_CHECKING:
    from leaderjobs.config.environment import Path as KeyPath

SECTIONS = ("cluster", "connections", "syncs", "operations", "schedules", "limits", "hooks", "retention")
SYNC_KEYS = tuple(each.key for each in fields_of(SyncSettings) if each.key != "name")


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check the whole configuration; a missing default file means all defaults.

    `path` is what the user named, and must exist. Raises ConfigError, of one line and without secrets,
    and nothing else.
    """
    document = read(path, environ)
    reader = Reader(document)
    reader.known_only((), SECTIONS)
    for section in ("connections", "syncs", "schedules", "hooks"):
        _check_names(reader, section)
    connectors = {name: connector_of(reader, name, environ) for name in reader.table("connections")}
    keys = _keys(reader, connectors)
    for section_path, allowed in keys.items():
        reader.known_only(section_path, allowed)
    reader.overlay = overlay(environ, keys)
    cluster = _cluster(reader)
    connected = connections(reader, connectors)
    syncs = {name: _sync(reader, name, connected) for name in reader.table("syncs")}
    schedules = {
        name: schedule(reader, name, cluster.name, syncs, connected) for name in reader.table("schedules")
    }
    targets = list(dict.fromkeys((*syncs, *schedules)))
    hooks = {name: rules.hook(reader, name, targets, connected) for name in reader.table("hooks")}
    return Settings(
        document.path,
        cluster,
        connected,
        syncs,
        schedules,
        rules.limits(reader, connected),
        hooks,
        reader.build(RetentionSettings, ("retention",)),
        tuple(_warnings(document, cluster, connected.values(), hooks.values(), reader)),
    )


def _keys(reader: Reader, connectors: Mapping[str, str]) -> dict[KeyPath, list[str]]:
    """What every section that is there may hold, by its place."""
    reader.known_only(("limits",), rules.LIMITED)
    keys: dict[KeyPath, list[str]] = {
        (section,): [field.key for field in fields_of(kind)]
        for section, kind in (("cluster", ClusterSettings), ("retention", RetentionSettings))
    }
    keys |= {("connections", name): connection_keys(connector) for name, connector in connectors.items()}
    for section, allowed in (
        ("syncs", SYNC_KEYS),
        ("schedules", SCHEDULE_KEYS),
        ("hooks", rules.HOOK_KEYS),
    ):
        keys |= {(section, name): list(allowed) for name in reader.table(section)}
    keys |= {path: list(rules.LIMIT_KEYS) for path in rules.limit_paths(reader)}
    return keys


def _check_names(reader: Reader, section: str) -> None:
    for name in reader.table(section):
        reader.table(section, name)
        try:
            decode(name, Name, lax=False)
        except ValueError:
            raise reader.fail((section, name), f": bad name; allowed: {NAME_ALLOWED}") from None


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
    known_streams = streams_of(connections[sync.connection])
    if not known_streams:
        having = [name for name, found in connections.items() if streams_of(found)]
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
    document: Document,
    cluster: ClusterSettings,
    connections: Iterable[ConnectionSettings],
    hooks: Iterable[HookSettings],
    reader: Reader,
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
    literal += [("hooks", hook.name, "secret") for hook in hooks if hook.secret and hook.secret.literal]
    written = [path for path in literal if path not in reader.overlay]
    if written:
        yield (
            f"{document.where(written[0])}: {'.'.join(written[0])} is a literal secret in a file that "
            f"everybody may read; run: chmod 600 {document.path}"
        )
