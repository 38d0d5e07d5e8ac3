"""Connectors by the name in `connector = "…"`; each module is imported when its name is first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import ConfigError
from leaderjobs.model.stream import Stream

_NAMES = ("plaid",)


def names() -> tuple[str, ...]:
    """Every connector there is, without importing one."""
    return _NAMES


def settings_type(name: str) -> type[msgspec.Struct]:
    """What `[connections.NAME]` may hold beside `connector`; ConfigError for an unknown name."""
    return _load(name)[0]


def streams(name: str) -> tuple[Stream, ...]:
    """The connector's streams in the order in which a sync without a choice reads them."""
    return _load(name)[1]


def preload(name: str) -> None:
    """Import all that `make` and its connector need, so that a take-over does not wait for it."""
    _load(name)
    importlib.import_module("leaderjobs.connectors.http")


def make(name: str, connection: str, options: msgspec.Struct, paces: Paces) -> Connector:
    """A connector for one connection; `options` is an instance of its `settings_type`. Opens no socket."""
    return _load(name)[2](connection, options, paces)


def _load(
    name: str,
) -> tuple[type[msgspec.Struct], tuple[Stream, ...], Callable[[str, Any, Paces], Connector]]:
    if name == "plaid":
        from leaderjobs.connectors.plaid import PlaidConnector, PlaidSettings

        return PlaidSettings, PlaidConnector.streams, PlaidConnector
    raise ConfigError(f"connector {name!r} is unknown; allowed: {', '.join(_NAMES)}")
