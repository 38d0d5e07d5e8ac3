"""What the tests of Google Analytics share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsConnector
from leaderjobs.errors import LeaderJobsError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.testing import Context, Table
from tests.unit.connectors.analytics import analytics, table

DAY = timedelta(days=1)
REPORTS = "/v1beta/properties/424242:runReport"
CHECKS = "/v1beta/properties/424242:checkCompatibility"
METADATA = "/v1beta/properties/424242/metadata"
TOKENS = "/token"
NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
"""In New York; the day before, summer time began."""
APPLY, REPLACE, RESTART, STAGE = Landing.APPLY, Landing.REPLACE, Landing.RESTART, Landing.STAGE


class Now:
    """The wall clock, which moves only when told."""

    def __init__(self) -> None:
        self.at = NOON
        self.real = clock.now

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def connected(sandbox: GoogleAnalyticsSandbox, **options: Any) -> Iterator[GoogleAnalyticsConnector]:
    made = analytics(sandbox, **options)
    try:
        yield made
    finally:
        made.close()


def sync(
    sandbox: GoogleAnalyticsSandbox,
    found: Table,
    context: Context | None = None,
    most: int | None = None,
    after: Callable[[Batch], None] = lambda _: None,
    **options: Any,
) -> Context:
    """A new process reads to the end, or commits `most` pages and dies; `after` each page something happens."""
    context = context or Context()
    with connected(sandbox, **options) as made:
        for batch in islice(made.read(found.stream.name, found.cursor, context), most):
            found.commit(batch)
            after(batch)
    return context


def failing(
    sandbox: GoogleAnalyticsSandbox, expected: type[LeaderJobsError], **options: Any
) -> LeaderJobsError:
    """The error that ends a sync from the beginning."""
    with pytest.raises(LeaderJobsError) as caught:
        sync(sandbox, table(), **options)
    assert type(caught.value) is expected
    assert "\n" not in str(caught.value)
    return caught.value
