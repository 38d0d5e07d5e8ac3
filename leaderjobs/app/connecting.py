"""Connectors made from the configuration, and what commands do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from leaderjobs import logs
from leaderjobs.app.servers import opened_stores
from leaderjobs.errors import TransientError
from leaderjobs.values import secrets_in

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.connectors.base import Connector
    from leaderjobs.engine.checks import Checked
    from leaderjobs.engine.planner import Planner
    from leaderjobs.engine.reconcile import Report
    from leaderjobs.engine.stores import Stores


def connector_maker(current: Callable[[], Settings]) -> Callable[[str], Connector]:
    """Make connectors of configured connections; TransientError for a name that this member does not know.

    Transient, because while a new configuration is rolled out some members know a connection that others
    do not yet. `current` is asked every time, so a connector has the settings of when it was made; how fast
    requests may go out is counted on. What the secrets are now is kept out of the log from here on.
    """
    from leaderjobs.connectors.pacing import Paces

    paces = Paces()

    def make(connection: str) -> Connector:
        from leaderjobs.config.settings import LimitSettings
        from leaderjobs.connectors import registry

        settings = current()
        found = settings.connections.get(connection)
        if found is None:
            raise TransientError(
                f"connection {connection} is not in this member's configuration; "
                f"add [connections.{connection}]"
            )
        for value in msgspec.structs.asdict(found.options).values():
            for secret in secrets_in(value):
                logs.redact(secret.reveal())
        limits, none = settings.limits, LimitSettings()
        paces.limit(
            found.name,
            found.connector,
            limits.connections.get(found.name, none).requests,
            limits.providers.get(found.connector, none).requests,
        )
        return registry.make(found.connector, found.name, found.options, paces, found.operations)

    return make


@contextmanager
def planner(settings: Settings, built: Stores) -> Iterator[Planner]:
    """What turns a wish for an operation into a planned effect."""
    from leaderjobs.engine.planner import Planner

    made = Planner(built.effects, connector_maker(lambda: settings))
    try:
        yield made
    finally:
        made.close()


def reconcile(settings: Settings, connection: str, span: timedelta) -> Report:
    """What ledger and provider disagree on, for one connection."""
    from leaderjobs.engine.reconcile import reconcile as compare

    settings.connection(connection)
    connector = connector_maker(lambda: settings)(connection)
    try:
        with opened_stores(settings) as built:
            return compare(built.effects, connector, connection, span)
    finally:
        connector.close()


def check_connections(settings: Settings, connection: str | None) -> list[Checked]:
    """How every configured connection is, or the one that is named."""
    from leaderjobs.engine.checks import check_all

    wanted = settings.connections.values() if connection is None else [settings.connection(connection)]
    return check_all([(found.name, found.connector) for found in wanted], connector_maker(lambda: settings))
