"""How far every stream has come; moved only with the page it stands for (`batches`)."""

from __future__ import annotations

from leaderjobs.model.marker import Marker
from leaderjobs.store import queries
from leaderjobs.store.pool import Database

_SQL = queries.load("markers")


class Markers:
    """The markers of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def load(self, connection: str, stream: str) -> Marker | None:
        """Where a stream goes on; None when nothing of it was ever committed."""
        parameters = {"cluster": self._cluster, "connection": connection, "stream": stream}
        found = self._database.rows(_SQL["load"], parameters)
        return Marker(**found[0]) if found else None

    def all(self) -> list[Marker]:
        """Every marker, as of one moment."""
        return [Marker(**row) for row in self._database.rows(_SQL["all"], {"cluster": self._cluster})]

    def position(self) -> int:
        """The sum of all sequences: how many batches were ever committed."""
        found = self._database.rows(_SQL["position"], {"cluster": self._cluster})
        return int(found[0]["position"])

    def reset(self, connection: str, stream: str) -> bool:
        """Forget where a stream goes on, and what is under way of it; False when nothing was known.

        Its rows stay. An attempt that is at work on it is refused its next page, and begins anew.
        """
        place = {"cluster": self._cluster, "connection": connection, "stream": stream}
        with self._database.transaction() as opened:
            found = opened.execute(_SQL["reset"], place).fetchone()
            opened.execute(_SQL["drop_pile"], place)
        return found is not None
