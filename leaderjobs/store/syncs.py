"""The syncs of the configuration that leads, kept for whoever enqueues by SQL."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.types.json import Jsonb

from leaderjobs.model.sync import Sync
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import TermConnections, fenced

_SQL = queries.load("syncs")


class Syncs:
    """What `leaderjobs.enqueue` knows of one cluster. Any thread."""

    def __init__(self, cluster: str) -> None:
        """Nothing is written before the first call."""
        self._cluster = cluster

    def publish(self, connections: TermConnections, term: Term, syncs: Iterable[Sync]) -> None:
        """Make `syncs` all that is known, under the fence: a member that led before cannot undo it later."""
        wanted = [
            {
                "name": sync.name,
                "connection": sync.connection,
                "streams": sync.streams,
                "known": sync.known,
                "windowed": sync.windowed,
                "max_attempts": sync.max_attempts,
                "time_limit": None if sync.time_limit is None else sync.time_limit.total_seconds(),
            }
            for sync in syncs
        ]
        with fenced(connections, term) as connection:
            connection.execute(_SQL["publish"], {"cluster": self._cluster, "syncs": Jsonb(wanted)})
