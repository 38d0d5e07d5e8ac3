"""What is going on, for commands that only look."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from leaderjobs.app.servers import OBSERVER_TIMEOUT, coordinator, servers
from leaderjobs.errors import EmbeddedError

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.engine.status import Look
    from leaderjobs.model.report import StatusReport
    from leaderjobs.store.overview import Overview


@contextmanager
def looking(settings: Settings) -> Iterator[Look]:
    """Something that looks at the cluster as often as it is asked to, over connections that stay open.

    EmbeddedError when the servers are the embedded ones and do not run.
    """
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.status import Look

    found, name = servers(settings, start=False), settings.cluster.name
    with contextlib.ExitStack() as opened:
        session = coordinator(settings, found, timeout=OBSERVER_TIMEOUT)
        opened.callback(session.close)
        session.listen(lambda _event: None)

        def open_overview() -> Overview:
            from leaderjobs.store.overview import Overview
            from leaderjobs.store.pool import Database

            made = Database(found.database, application="leaderjobs status")
            opened.callback(made.close)
            return Overview(made, name)

        yield Look(name, session, open_overview, PARTITION, settings.cluster.max_lag)


def status(settings: Settings, meanwhile: Callable[[], object] = lambda: None) -> StatusReport:
    """What is going on, whatever is down; `meanwhile` is called while the servers are asked."""
    from leaderjobs.engine.status import unreachable

    try:
        with looking(settings) as look:
            look.begin()
            meanwhile()
            return look.report()
    except EmbeddedError as error:
        return unreachable(settings.cluster.name, str(error))
