"""Google Analytics: a report comes day by day, each of them in pages that are staged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsConnector, GoogleAnalyticsSettings
from leaderjobs.connectors.google_analytics.streams import ReportSettings
from leaderjobs.connectors.pacing import Paces
from leaderjobs.model.job import Window
from leaderjobs.sandbox.google.tokens import PATH
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.testing import Can, Clock
from leaderjobs.values import Duration, Secret
from tests.contract.connectors.stand_in import EVERYTHING, StandIn

DAYS = 2
DIMENSIONS = ("pagePath", "country")
METRICS = ("sessions", "totalRevenue", "eventCount")


class GoogleAnalyticsStandIn(StandIn):
    name = "google_analytics"
    stream = "pages"
    # A page of a report is a place in numbers: where it is empty, there is nothing more to come; and every
    # value is text.
    can = EVERYTHING - {Can.EMPTY_PAGE, Can.DRIFT} | {Can.WINDOW}
    descriptions = ("google_analytics",)
    troubled = "/v1beta/properties/*:runReport"
    tokens = frozenset({PATH})

    def __init__(self) -> None:
        self.sandbox: GoogleAnalyticsSandbox = GoogleAnalyticsSandbox(days=DAYS, rows_per_day=15, zone="UTC")
        self.numbers = (max((row["totalRevenue"] for row in self.rows("pages").values()), key=len),)

    def connect(self, **options: Any) -> Connector:
        sandbox = self.sandbox
        values: dict[str, Any] = {
            "property": sandbox.property_id,
            "reports": {"pages": ReportSettings(dimensions=DIMENSIONS, metrics=METRICS)},
            "start_date": sandbox.today() - timedelta(days=DAYS),
            "client_id": Secret(literal=sandbox.client_id),
            "client_secret": Secret(literal=sandbox.client_secret),
            "refresh_token": Secret(literal=sandbox.refresh_token),
            "token_uri": sandbox.url + PATH,
            "page_size": 10,
            "base_url": sandbox.url,
            "timeout": Duration(seconds=10),
        }
        made = GoogleAnalyticsSettings(**(values | options))
        return GoogleAnalyticsConnector("web", made, Paces(elapsed=Clock()))

    @property
    def secrets(self) -> tuple[str, ...]:
        tokens = self.sandbox.tokens
        return (tokens.client_secret, tokens.refresh_token, *tokens._live)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        assert stream == self.stream
        found = [{**row, "key": _key(row)} for row in self.sandbox.rows(DIMENSIONS, METRICS)]
        return {json.dumps([row["property"], row["date"], row["key"]]): row for row in found}

    def add(self, count: int) -> None:
        self.sandbox.add(count)

    def modify(self, count: int) -> None:
        self.sandbox.modify(count)

    def remove(self, count: int) -> None:
        self.sandbox.remove(count)

    def pages_asked_twice(self) -> int:
        """The property's time zone is asked for by a report without dimensions: that is no page."""
        answered = self.sandbox._answered.items()
        return sum(count - 1 for key, count in answered if not key.startswith(b"[[],"))

    def window(self) -> Window:
        yesterday = datetime.combine(self.sandbox.today() - timedelta(days=1), time(), UTC)
        return Window(yesterday, yesterday + timedelta(days=1))

    def inside(self, row: Mapping[str, Any]) -> bool:
        return bool(row["date"] == (self.sandbox.today() - timedelta(days=1)).isoformat())


def _key(row: Mapping[str, Any]) -> str:
    """A digest of the names and values of all dimensions; were it another one day, all ids would be others."""
    day = row["date"].replace("-", "")
    digest = hashlib.sha256(msgspec.json.encode(["date", *DIMENSIONS]))
    digest.update(msgspec.json.encode([day, *(row[name] for name in DIMENSIONS)]))
    return digest.hexdigest()[:32]
