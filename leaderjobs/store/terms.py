"""The fence: which term's writes count. How it holds is told in the package's docstring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import errors

from leaderjobs import clock
from leaderjobs.errors import FencedOut, StoreUnavailable, UnknownOrigin
from leaderjobs.store import queries
from leaderjobs.store.pool import SHORT_STATEMENT, Database, milliseconds, piped, rows_of

COMMIT_PATIENCE = timedelta(milliseconds=200)
"""How long a raise waits for a commit in flight before it evicts it; then it waits again."""
RAISE_PATIENCE = timedelta(seconds=10)
"""After this long a raise gives up; only a backend that may not be terminated makes it that long."""
_SQL = queries.load("terms")


@dataclass(frozen=True, slots=True)
class StoredTerm:
    """The newest term of a partition, as the fence knows it."""

    partition: int
    number: int
    token: int
    origin: str
    member: str
    raised_at: datetime


class Terms:
    """The terms of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def raise_fence(self, partition: int, token: int, origin: str, member: str) -> int:
        """Begin a term and return its number; from then on no older term's write commits, nor holds a lock.

        FencedOut when the stored token is not lower: a newer term leads. UnknownOrigin when the tokens seen
        so far are of other data of the coordinator. StoreUnavailable when Postgres is away or the lock was
        not to be had within RAISE_PATIENCE; whether the raise landed is then unknown, and raising again
        with the same token is refused, so the claim must be given up.
        """
        who = {
            "cluster": self._cluster,
            "partition": partition,
            "token": token,
            "origin": origin,
            "member": member,
        }
        raised = self._decide("raise", "evict_for_raise", who)
        if not raised:
            raise self._refusal(partition, token, origin)
        number = int(raised[0]["number"])
        self._database.rows(_SQL["evict_older"], {**who, "number": number})
        return number

    def current(self, partition: int) -> StoredTerm | None:
        """The newest term of a partition; None when nobody ever led it."""
        found = self._database.rows(_SQL["current"], {"cluster": self._cluster, "partition": partition})
        return StoredTerm(**found[0]) if found else None

    def adopt(self, origin: str) -> int:
        """Take tokens of `origin` from now on; the number of partitions that changed over.

        Ends every term that leads now: none of its writes commits afterwards. The numbers go on rising.
        """
        adopted = self._decide("adopt", "evict_for_adopt", {"cluster": self._cluster, "origin": origin})
        for term in adopted:
            self._database.rows(_SQL["evict_older"], {"cluster": self._cluster, **term})
        return len(adopted)

    def _decide(self, statement: str, evict: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        """Run a statement that locks terms; where a transaction stands in the way, end it and try again."""
        deadline = clock.elapsed() + RAISE_PATIENCE.total_seconds()
        while True:
            found = self._try(_SQL[statement], parameters)
            if found is not None:
                return found
            if clock.elapsed() >= deadline:
                raise StoreUnavailable(
                    f"a transaction holds the fence of cluster {self._cluster} and cannot be ended; "
                    "end it with pg_terminate_backend, or give this user the role pg_signal_backend"
                )
            if not self._database.rows(_SQL[evict], parameters):
                # Nothing that this statement may change is there any more: it would be refused.
                return []

    def _try(self, statement: LiteralString, parameters: Mapping[str, object]) -> list[dict[str, Any]] | None:
        """The rows of the statement; None when the lock was not to be had in time, and nothing happened."""
        with self._database.session() as connection:
            try:
                with piped(connection, SHORT_STATEMENT, milliseconds(COMMIT_PATIENCE, SHORT_STATEMENT)):
                    cursor = connection.execute(statement, parameters)
            except errors.LockNotAvailable:
                return None
            return rows_of(cursor)

    def _refusal(self, partition: int, token: int, origin: str) -> FencedOut | UnknownOrigin:
        stored = self.current(partition)
        if stored is not None and stored.origin != origin:
            return UnknownOrigin(
                f"the coordinator holds other data (origin {origin}) than the fence knows ({stored.origin}); "
                "if that is meant, run: leaderjobs db adopt-coordinator"
            )
        leads = f"{stored.member} with token {stored.token}" if stored else "unknown"
        return FencedOut(f"a newer term leads: {leads}; token {token} is not higher")
