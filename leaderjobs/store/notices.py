"""What hooks are to be told; `leaderjobs.after_ended` writes it in the transaction that ends a job."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from leaderjobs.model.notice import HookEvent, Notice
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced

_SQL = queries.load("notices")


@dataclass(frozen=True, slots=True)
class Pending:
    """A notice that somebody has not been told yet."""

    notice: Notice
    told: frozenset[str]
    """Hooks that were told, want no such notice, or were given up."""
    age: timedelta
    """By the database's clock."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A target whose jobs fail: its last ended job was discarded."""

    target: str
    since: datetime
    job: int
    """The one that opened it."""


class Notices:
    """The notices of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def pending(self, hooks: Collection[str], limit: int) -> list[Pending]:
        """Up to `limit` notices of which one of `hooks` was not told, the oldest first."""
        wanted = {"cluster": self._cluster, "hooks": list(hooks), "limit": limit}
        found = []
        for row in self._database.rows(_SQL["pending"], wanted):
            told, age = frozenset(row.pop("told")), row.pop("age")
            found.append(Pending(Notice(**{**row, "event": HookEvent(row["event"])}), told, age))
        return found

    def told(self, connections: TermConnections, term: Term, ids: Collection[int], hook: str) -> None:
        """Note that a hook needs to hear of these no more."""
        with fenced(connections, term) as connection:
            connection.execute(_SQL["told"], {"cluster": self._cluster, "ids": list(ids), "hook": hook})

    def prune(self, connections: TermConnections, term: Term, age: timedelta, most: int) -> int:
        """Delete notices older than `age`, at most `most`; how many."""
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["prune"], {"cluster": self._cluster, "age": age, "most": most})
        return cursor.rowcount

    def breaches(self) -> list[Breach]:
        """The open ones, the longest first."""
        return [Breach(**row) for row in self._database.rows(_SQL["breaches"], {"cluster": self._cluster})]
