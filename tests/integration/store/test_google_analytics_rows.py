"""Reports of Google Analytics in Postgres: typed columns, and days that are replaced whole."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsConnector
from leaderjobs.model.marker import Marker
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from leaderjobs.testing import Context
from tests.integration.store.rig import Admin, Cluster
from tests.unit.connectors.analytics import analytics, truth

SCHEMA = "google_analytics"


@pytest.fixture
def connector(
    database: Database, admin: Admin
) -> Iterator[tuple[GoogleAnalyticsSandbox, GoogleAnalyticsConnector]]:
    with GoogleAnalyticsSandbox(days=2, rows_per_day=25) as sandbox:
        made = analytics(sandbox)
        Tables(database).ensure(SCHEMA, made.streams)
        yield sandbox, made
        made.close()
    admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def test_rows_land_typed_and_a_day_takes_the_place_of_what_was_there(
    cluster: Cluster, admin: Admin, connector: tuple[GoogleAnalyticsSandbox, GoogleAnalyticsConnector]
) -> None:
    sandbox, made = connector
    led = cluster.lead()
    job = cluster.start(led, "web")
    marker: Marker | None = None
    for change in (0, 6):
        sandbox.remove(change)
        sandbox.modify(change)
        for batch in made.read("pages", marker.cursor if marker else None, Context()):
            marker = cluster.batches.commit(
                led.connections, led.term, job, SCHEMA, made.streams[0], batch, marker
            )
        found = admin.execute(
            "SELECT id, date, page_path, session_source, custom_event_plan, sessions, event_count, total_revenue, "
            "sampled, currency, time_zone, doc FROM google_analytics.pages_current"
        ).fetchall()
        expected = truth(sandbox)
        assert {str(row[0]): row[-1] for row in found} == expected
        for row in found:
            assert _typed(row[1:-1]) == _told(expected[str(row[0])])
    gone = admin.execute(
        "SELECT count(*) FROM google_analytics.pages WHERE deleted_at IS NOT NULL"
    ).fetchone()
    assert gone == (6,)


def _typed(row: tuple[Any, ...]) -> list[Any]:
    return [row[0].isoformat(), *row[1:]]


def _told(row: dict[str, Any]) -> list[Any]:
    texts = [row[name] for name in ("date", "pagePath", "sessionSource", "customEvent:plan")]
    numbers = [Decimal(row[name]) for name in ("sessions", "eventCount", "totalRevenue")]
    return [*texts, *numbers, row["sampled"], row["currency"], row["time_zone"]]
