"""YouTube in Postgres: counts of 64 bits in NUMERIC columns, walks that sweep, days that are replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from leaderjobs.connectors.youtube.connector import YouTubeConnector
from leaderjobs.connectors.youtube.settings import ReportSettings
from leaderjobs.model.marker import Marker
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from leaderjobs.testing import Context
from tests.integration.store.rig import Admin, Cluster
from tests.unit.connectors.youtube_rig import with_grant, youtube

SCHEMA = "youtube"
REPORT = ReportSettings(dimensions=("day", "country"), metrics=("views", "estimatedRevenue"))


@pytest.fixture
def connected(database: Database, admin: Admin) -> Iterator[tuple[YouTubeSandbox, YouTubeConnector]]:
    with YouTubeSandbox(videos=25, threads=25) as sandbox:
        start = sandbox.days.through - timedelta(days=3)
        with youtube(with_grant(sandbox, reports={"countries": REPORT}, start_date=start)) as connector:
            Tables(database).ensure(SCHEMA, connector.streams)
            yield sandbox, connector
    admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def test_what_is_at_youtube_is_in_typed_columns_and_what_is_gone_there_is_deleted(
    cluster: Cluster, admin: Admin, connected: tuple[YouTubeSandbox, YouTubeConnector]
) -> None:
    sandbox, connector = connected
    led = cluster.lead()
    job = cluster.start(led, "tube")
    markers: dict[str, Marker | None] = {}

    def sync() -> None:
        for stream in connector.streams:
            marker = markers.get(stream.name)
            for batch in connector.read(stream.name, marker.cursor if marker else None, Context()):
                marker = cluster.batches.commit(led.connections, led.term, job, SCHEMA, stream, batch, marker)
            markers[stream.name] = marker

    def docs(stream: str) -> dict[str, object]:
        found = admin.execute(f"SELECT id, doc::text FROM youtube.{stream}_current").fetchall()
        return {str(key): json.loads(str(doc), parse_float=Decimal) for key, doc in found}

    sync()
    for stream in ("channels", "uploads", "videos", "comments"):
        assert docs(stream) == sandbox.rows(stream)
    assert docs("countries") == _report(sandbox)
    sandbox.remove(5)
    sandbox.modify(5)
    last = sandbox.days.through
    sandbox.days.drop(last, "AT")
    sandbox.days.drop(last - timedelta(days=1))
    sync()
    assert docs("videos") == sandbox.rows("videos")
    assert docs("countries") == _report(sandbox)
    found = admin.execute("SELECT id, views, likes, made_for_kids FROM youtube.videos_current").fetchall()
    for key, *values in found:
        counts = sandbox.rows("videos")[str(key)]["statistics"]
        assert values == [Decimal(counts["viewCount"]), Decimal(counts["likeCount"]), False]
    days = admin.execute("SELECT DISTINCT day FROM youtube.countries_current ORDER BY day").fetchall()
    assert days == [(last - timedelta(days=number),) for number in (3, 2, 0)]


def _report(sandbox: YouTubeSandbox) -> dict[str, object]:
    first = (sandbox.days.through - timedelta(days=3)).isoformat()
    rows = sandbox.report_rows(REPORT.dimensions, REPORT.metrics)
    return {key: row for key, row in rows.items() if row["day"] >= first}
