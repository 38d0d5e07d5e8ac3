"""A connection of the caller's, used as the stores use ours: what they write belongs to his transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeAlias, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from leaderjobs.errors import UsageError
from leaderjobs.store.pool import Connection, Database, Parameters, rows_of

CallersConnection: TypeAlias = psycopg.Connection[Any]
"""Of any row factory, in autocommit, in a transaction or about to begin one; used on the caller's thread."""


class Borrowed(Database):
    """A `Database` of one connection that is somebody else's: nothing is begun, committed, bounded or closed.

    What psycopg raises is passed on as it is, because the caller must see what has become of his transaction.
    """

    def __init__(self, connection: CallersConnection) -> None:
        """UsageError for a connection on which nothing can be done any more."""
        if not isinstance(connection, psycopg.Connection):
            raise UsageError(f"connection is a {type(connection).__name__}; allowed: a psycopg.Connection")
        if connection.closed:
            raise UsageError("connection is closed; give one that is open")
        if connection.info.transaction_status is TransactionStatus.INERROR:
            raise UsageError("the transaction of connection has failed; roll it back first")
        self._connection = connection

    def __repr__(self) -> str:
        """Not where it leads to."""
        return "Borrowed()"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Statements on the caller's connection, in whatever transaction that is in."""
        yield cast("Connection", _Plain(self._connection))

    def rows(self, query: LiteralString, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """What one statement returns."""
        return rows_of(_Plain(self._connection).execute(query, parameters))


class _Plain:
    """As much of a connection as a statement needs: rows by name, and nothing prepared by name."""

    def __init__(self, connection: CallersConnection) -> None:
        self._connection = connection

    def execute(
        self, query: LiteralString, parameters: Parameters | None = None
    ) -> psycopg.Cursor[dict[str, Any]]:
        return self._connection.cursor(row_factory=dict_row).execute(query, parameters, prepare=False)
