"""Reading back what has landed, for whoever compares it with the provider's books."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from leaderjobs.store import queries
from leaderjobs.store.pool import Database

_FETCH = 2000
_SQL = queries.load("rows")


class Rows:
    """The destination tables of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def documents(self, schema: str, stream: str, connection: str) -> Iterator[tuple[str, str]]:
        """(id, document as JSON text) of every live row of a connection, in no order, from one snapshot."""
        query = sql.SQL(_SQL["documents"]).format(
            table=sql.Identifier(schema, stream),
            cluster=sql.Literal(self._cluster),
            connection=sql.Literal(connection),
        )
        with (
            self._database.session() as session,
            session.transaction(),
            session.cursor(name="documents") as cursor,
        ):
            cursor.itersize = _FETCH
            for row in cursor.execute(query):
                yield row["id"], row["doc"]
