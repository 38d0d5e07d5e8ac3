"""What connector tests share: a context that never waits, a table that lands batches, settings for a sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.plaid import PlaidConnector, PlaidSettings
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.sandbox.plaid import PlaidSandbox
from leaderjobs.values import Duration, Rate, Secret

BOUND = 10.0
"""Seconds that a request may take before a test gives up on it."""


class Clock:
    """A deadline clock that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Context:
    """A ReadContext that records waits instead of spending them, and stops the work on request."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.waits: list[timedelta] = []
        self.checks = 0
        self.stop_with: Exception | None = None

    def check(self) -> None:
        self.checks += 1
        if self.stop_with is not None:
            raise self.stop_with

    def wait(self, delay: timedelta) -> None:
        if self.stop_with is not None:
            raise self.stop_with
        self.waits.append(delay)
        self.clock.seconds += delay.total_seconds()


class Table:
    """A stream's table, its staged pages and its marker, moved only by whole batches as Landing says."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.rows: dict[str, dict[str, Any]] = {}
        self.staged: list[Batch] = []
        self.cursor: Cursor | None = None
        self.landings: list[Landing] = []
        self.received = 0

    def commit(self, batch: Batch) -> None:
        match batch.landing:
            case Landing.UPSERT:
                self._land(batch)
            case Landing.REPLACE:
                self.rows.clear()
                self._land(batch)
            case Landing.STAGE:
                self.staged.append(batch)
            case Landing.APPLY:
                for page in [*self.staged, batch]:
                    self._land(page)
                self.staged.clear()
            case Landing.RESTART:
                self.staged.clear()
        self.landings.append(batch.landing)
        self.received += batch.rows
        # Through JSON, as a marker goes through the database.
        self.cursor = json.loads(json.dumps(batch.cursor))

    def take(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.commit(batch)

    def sync(self, connector: Connector, stream: str, context: Context | None = None) -> None:
        """Read to the end from where the marker stands."""
        self.take(connector.read(stream, self.cursor, context or Context()))

    def _land(self, batch: Batch) -> None:
        document = json.loads(batch.body, parse_float=Decimal)
        for member in batch.upserts:
            for row in document[member]:
                self.rows[row[self.key]] = row
        for gone in document[batch.deletes] if batch.deletes else ():
            self.rows.pop(gone[self.key], None)


def settings(sandbox: PlaidSandbox, **other: object) -> PlaidSettings:
    """Settings that reach the sandbox's first Item, at full speed unless told otherwise."""
    values: dict[str, Any] = {
        "base_url": sandbox.url,
        "client_id": Secret(literal=sandbox.client_id),
        "secret": Secret(literal=sandbox.secret),
        "access_token": Secret(literal=sandbox.access_token),
        "page_size": 10,
        "rate_limit": Rate(1_000_000, timedelta(seconds=1)),
        "timeout": Duration(seconds=BOUND),
    }
    return PlaidSettings(**(values | other))


def plaid(sandbox: PlaidSandbox, *, clock: Clock | None = None, **other: Any) -> PlaidConnector:
    """A connector to the sandbox; the caller closes it."""
    return PlaidConnector("household", settings(sandbox, **other), Paces(elapsed=clock or Clock()))
