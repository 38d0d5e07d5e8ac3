"""Connections that wait for a person or a quota: nothing of theirs starts until the hold is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leaderjobs.store import queries
from leaderjobs.store.pool import Database

_SQL = queries.load("holds")


@dataclass(frozen=True, slots=True)
class StoredHold:
    """Why a connection waits; at `until` one job probes whether it still must."""

    connection: str
    code: str
    message: str
    since: datetime
    until: datetime
    person: bool
    """Whether a person must act; else it passes by itself at `until`."""


class Holds:
    """The holds of one cluster; a leader sets them by `Queue.turn` with a `Hold`. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def all(self) -> list[StoredHold]:
        """Every hold, also one whose probe is due, the longest first."""
        return [StoredHold(**row) for row in self._database.rows(_SQL["all"], {"cluster": self._cluster})]

    def release(self, connection: str) -> bool:
        """End a hold: its waiting jobs are due at once and the leader is woken; False when there was none."""
        return bool(
            self._database.rows(_SQL["release"], {"cluster": self._cluster, "connection": connection})
        )
