"""Connectors by the name in `connector = "…"`; each module is imported when its name is first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import ConfigError
from leaderjobs.model.stream import Stream

_NAMES = ("plaid", "rest", "stripe")
_DECLARING = frozenset({"rest"})
_Make: TypeAlias = Callable[[str, Any, Paces, Mapping[str, Any]], Connector]


class _Entry(NamedTuple):
    settings: type[msgspec.Struct]
    streams: tuple[Stream, ...]
    make: _Make


def names() -> tuple[str, ...]:
    """Every connector there is, without importing one."""
    return _NAMES


def settings_type(name: str) -> type[msgspec.Struct]:
    """What `[connections.NAME]` may hold beside `connector`; ConfigError for an unknown name."""
    return _load(name).settings


def streams(name: str) -> tuple[Stream, ...]:
    """The connector's streams in the order in which a sync without a choice reads them."""
    return _load(name).streams


def declares(name: str) -> bool:
    """Whether the configuration says what the connector's operations are: `[operations.CONNECTION.…]`."""
    return name in _DECLARING


def operation_type() -> type[msgspec.Struct]:
    """What `[operations.CONNECTION.NAME]` may hold."""
    from leaderjobs.connectors.rest_settings import RestOperationSettings

    return RestOperationSettings


def preload(name: str) -> None:
    """Import all that `make` and its connector need, so that a take-over does not wait for it."""
    _load(name)
    importlib.import_module("leaderjobs.connectors.http")


def make(
    name: str,
    connection: str,
    options: msgspec.Struct,
    paces: Paces,
    declared: Mapping[str, msgspec.Struct] | None = None,
) -> Connector:
    """A connector for one connection; opens no socket.

    `options` is an instance of its `settings_type`; `declared` are instances of `operation_type` by the
    operation's name, for a connector that `declares`. ConfigError for one whose Python cannot be had.
    """
    return _load(name).make(connection, options, paces, declared or {})


def _load(name: str) -> _Entry:
    match name:
        case "plaid":
            from leaderjobs.connectors.plaid import PlaidConnector, PlaidSettings

            return _Entry(PlaidSettings, PlaidConnector.streams, _without(PlaidConnector))
        case "rest":
            from leaderjobs.connectors.rest import RestConnector
            from leaderjobs.connectors.rest_settings import RestSettings

            return _Entry(
                RestSettings,
                RestConnector.streams,
                lambda connection, options, _paces, declared: RestConnector(connection, options, declared),
            )
        case "stripe":
            from leaderjobs.connectors.stripe import StripeConnector, StripeSettings

            return _Entry(StripeSettings, StripeConnector.streams, _without(StripeConnector))
        case _:
            raise ConfigError(f"connector {name!r} is unknown; allowed: {', '.join(_NAMES)}")


def _without(kind: Callable[[str, Any, Paces], Connector]) -> _Make:
    """For a connector whose operations are its own."""
    return lambda connection, options, paces, _declared: kind(connection, options, paces)
