"""The sections `[limits.…]` and `[hooks.NAME]`: how much may run and be sent, and who is told what broke."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from leaderjobs.config.decode import Reader, fields_of
from leaderjobs.config.settings import (
    HOOK_URL_ALLOWED,
    ConnectionSettings,
    HookSettings,
    LimitSettings,
    LimitsSettings,
)
from leaderjobs.config.shown import shown

if TYPE_CHECKING:
    from leaderjobs.config.environment import Path

LIMIT_KEYS = tuple(each.key for each in fields_of(LimitSettings))
HOOK_KEYS = tuple(each.key for each in fields_of(HookSettings) if each.key != "name")
LIMITED = ("connections", "providers")
_EXACTLY_ONE = "exactly one of url and command"
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[!-~]*)?(\?[!-~]*)?")


def limit_paths(reader: Reader) -> Iterator[Path]:
    """Where the limits are that the file sets."""
    for kind in LIMITED:
        for name in reader.table("limits", kind):
            yield "limits", kind, name


def limits(reader: Reader, connections: Mapping[str, ConnectionSettings]) -> LimitsSettings:
    """`[limits.connections.NAME]` and `[limits.providers.CONNECTOR]`, each of something that is there."""
    from leaderjobs.connectors import registry

    if not reader.table("limits"):
        return LimitsSettings()
    used = dict.fromkeys(each.connector for each in connections.values())
    allowed: dict[str, Collection[str]] = {
        "connections": connections,
        "providers": dict.fromkeys((*used, *registry.names())),
    }
    found: dict[str, dict[str, LimitSettings]] = {kind: {} for kind in LIMITED}
    for path in limit_paths(reader):
        _, kind, name = path
        if name not in allowed[kind]:
            reader.known_only(("limits", kind), list(allowed[kind]) or ["none is configured"])
        found[kind][name] = reader.build(LimitSettings, path)
        if found[kind][name] == LimitSettings():
            raise reader.fail(path, f": limits nothing; allowed: {', '.join(LIMIT_KEYS)}")
    return LimitsSettings(found["connections"], found["providers"])


def hook(reader: Reader, name: str, targets: Collection[str], connections: Collection[str]) -> HookSettings:
    """The hook of that name; `targets` are the syncs and schedules, an operation is CONNECTION.OPERATION."""
    path = ("hooks", name)
    found = reader.build(HookSettings, path, given={"name": name})
    if found.url is None and not found.command:
        raise reader.fail(path, f": url is missing; allowed: {_EXACTLY_ONE}")
    if found.url is not None and found.command:
        raise reader.complain((*path, "command"), shown(list(found.command)), _EXACTLY_ONE)
    if found.url is None and found.secret is not None:
        raise reader.complain(
            (*path, "secret"), "***", "nothing beside a command; it signs what is posted to url"
        )
    if found.url is not None and not _URL.fullmatch(found.url):
        # A webhook's path is often all the secret it has.
        raise reader.complain((*path, "url"), "***", HOOK_URL_ALLOWED)
    for target in found.targets:
        if target not in targets and target.rpartition(".")[0] not in connections:
            there = ", ".join(targets) or "none is configured"
            known = f"syncs and schedules: {there}; and operations as CONNECTION.OPERATION"
            raise reader.complain((*path, "targets"), shown(list(found.targets)), known)
    return found
