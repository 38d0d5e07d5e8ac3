"""What is going on, for commands that only look."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from leaderjobs.app.servers import OBSERVER_TIMEOUT, coordinator, servers, stores
from leaderjobs.errors import EmbeddedError

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.report import StatusReport


def status(settings: Settings) -> StatusReport:
    """What is going on, whatever is down."""
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.status import collect, unreachable

    try:
        found = servers(settings, start=False)
    except EmbeddedError as error:
        return unreachable(settings.cluster.name, str(error))
    with contextlib.ExitStack() as opened:
        session = coordinator(settings, found, timeout=OBSERVER_TIMEOUT)
        opened.callback(session.close)
        session.listen(lambda _event: None)

        def open_stores() -> Stores:
            from leaderjobs.store.pool import Database

            made = Database(found.database, application="leaderjobs status")
            opened.callback(made.close)
            return stores(made, settings.cluster.name)

        return collect(settings.cluster.name, session, open_stores, PARTITION, settings.cluster.max_lag)
