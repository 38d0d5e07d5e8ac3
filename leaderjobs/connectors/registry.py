"""Connectors by the word in `connector = "…"`; each module is imported when its word is first used.

A word is one of ours, the name of an entry point of an installed package (group `leaderjobs.connectors`), or
`module:Class` of a subclass of `Connector`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.documents import text
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import ConfigError
from leaderjobs.model.stream import Stream

ENTRY_POINTS = "leaderjobs.connectors"
_OURS = {
    "google_analytics": "leaderjobs.connectors.google_analytics.connector:GoogleAnalyticsConnector",
    "plaid": "leaderjobs.connectors.plaid.connector:PlaidConnector",
    "rest": "leaderjobs.connectors.rest.connector:RestConnector",
    "singer": "leaderjobs.connectors.singer.connector:SingerConnector",
    "stripe": "leaderjobs.connectors.stripe.connector:StripeConnector",
    "youtube": "leaderjobs.connectors.youtube.connector:YouTubeConnector",
}
_DECLARING = frozenset({"rest"})
_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def names() -> tuple[str, ...]:
    """Every connector that has a name, without importing one: ours, then those of installed packages."""
    return (*_OURS, *sorted(set(_installed()) - set(_OURS)))


def may_be(word: str) -> bool:
    """Whether this can be a connector, as far as that is known without importing it."""
    # Installed packages are looked through last: that takes longer than the rest of a small configuration.
    return word in _OURS or _PLACE.fullmatch(word) is not None or word in _installed()


def settings_type(name: str) -> type[msgspec.Struct]:
    """What `[connections.NAME]` may hold beside `connector`; ConfigError for an unknown connector."""
    return _kind(name).settings


def streams(name: str, connection: str, options: msgspec.Struct) -> tuple[Stream, ...]:
    """A connection's streams in the order in which a sync without a choice reads them."""
    return _kind(name).streams_of(connection, options)


def schema(name: str, connection: str, options: msgspec.Struct) -> str:
    """Where a connection's tables are."""
    return _kind(name).schema_of(connection, options)


def own_streams(name: str) -> tuple[Stream, ...]:
    """The streams that every connection of a connector has; none where the settings say what there is."""
    return cast("tuple[Stream, ...]", getattr(_kind(name), "streams", ()))


def declares(name: str) -> bool:
    """Whether the configuration says what the connector's operations are: `[operations.CONNECTION.…]`."""
    return name in _DECLARING


def operation_type() -> type[msgspec.Struct]:
    """What `[operations.CONNECTION.NAME]` may hold."""
    from leaderjobs.connectors.rest.settings import RestOperationSettings

    return RestOperationSettings


def preload(name: str) -> None:
    """Import all that `make` and its connector need, so that a take-over does not wait for it."""
    _kind(name)
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
    kind = _kind(name)
    if declares(name):
        from leaderjobs.connectors.rest.connector import RestConnector

        made: Connector = RestConnector(connection, cast("Any", options), paces, cast("Any", declared))
    else:
        made = kind(connection, options, paces)
    made.schema = kind.schema_of(connection, options)
    made.pace = paces.of_connection(connection)
    return made


@functools.cache
def _kind(name: str) -> type[Connector]:
    place = _OURS.get(name) or _installed().get(name) or name
    if _PLACE.fullmatch(place) is None:
        raise ConfigError(f"connector {name!r} is unknown; allowed: {', '.join(names())}, or module:Class")
    module, _, attribute = place.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
        raise ConfigError(f"connector {name}: {type(error).__name__}: {text(str(error))}") from None
    if not (isinstance(kind, type) and issubclass(kind, Connector)):
        raise ConfigError(f"connector {name}: it is no subclass of leaderjobs.connectors.base.Connector")
    _check(name, kind)
    return kind


def _check(name: str, kind: type[Connector]) -> None:
    """What the rest of the program takes for granted; said here, where the author sees it."""
    settings = getattr(kind, "settings", None)
    if not (isinstance(settings, type) and issubclass(settings, msgspec.Struct)):
        raise ConfigError(f"connector {name}: its settings are no subclass of msgspec.Struct")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", str(getattr(kind, "name", ""))):
        raise ConfigError(
            f"connector {name}: its name is not a word of small letters, digits and underscores"
        )


@functools.cache
def _installed() -> Mapping[str, str]:
    """`module:Class` of the entry points of installed packages; reading them costs milliseconds, so once."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
