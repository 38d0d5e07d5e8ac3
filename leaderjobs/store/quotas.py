"""What is used of providers' allowances, counted durably: a successor goes on counting where we were."""

from __future__ import annotations

from leaderjobs.errors import QuotaExhausted
from leaderjobs.model.quota import Quota, QuotaUse
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced, rows_of
from leaderjobs.store.text import storable

_SQL = queries.load("quotas")


class Quotas:
    """The allowances known to one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def spend(self, connections: TermConnections, term: Term, quota: Quota, units: int) -> None:
        """Count `units` as used; QuotaExhausted, and nothing is counted, where they would go over the limit.

        A transaction of its own, before the request: one that is never sent counts too, which errs on the
        side of the provider.
        """
        with fenced(connections, term) as connection:
            connection.execute(_SQL["prune"], {"cluster": self._cluster})
            spent = connection.execute(_SQL["spend"], {**self._place(quota), "units": units})
        if not rows_of(spent):
            raise QuotaExhausted(
                f"{quota.name}: all of {quota.limit} is used until {quota.resets_at:%Y-%m-%d %H:%M}Z",
                until=quota.resets_at,
            )

    def observe(self, connections: TermConnections, term: Term, quota: Quota, used: int) -> None:
        """Keep the provider's own word on what is used."""
        with fenced(connections, term) as connection:
            connection.execute(_SQL["observe"], {**self._place(quota), "used": max(0, used)})

    def all(self) -> list[QuotaUse]:
        """Those whose period is not over, by name."""
        return [QuotaUse(**row) for row in self._database.rows(_SQL["all"], {"cluster": self._cluster})]

    def _place(self, quota: Quota) -> dict[str, object]:
        return {
            "cluster": self._cluster,
            "name": storable(quota.name),
            "allowed": quota.limit,
            "resets_at": quota.resets_at,
        }
