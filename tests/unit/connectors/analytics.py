"""A Google Analytics connector over its sandbox, and the rows that its tables must hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsConnector, GoogleAnalyticsSettings
from leaderjobs.connectors.google_analytics.streams import ReportSettings
from leaderjobs.connectors.pacing import Paces
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.testing import Clock, Table
from leaderjobs.values import Duration, Secret

PAGES = ReportSettings(
    dimensions=("pagePath", "sessionSource", "customEvent:plan"),
    metrics=("sessions", "eventCount", "totalRevenue"),
)
COUNTRIES = ReportSettings(dimensions=("country",), metrics=("sessions", "activeUsers"))


def key(row: dict[str, Any], report: ReportSettings) -> str:
    """The digest of a row's dimensions, told anew: the one in the table must never change."""
    names = ["date", *report.dimensions]
    values = [row["date"].replace("-", ""), *(row[name] for name in report.dimensions)]
    text = "".join(json.dumps(part, ensure_ascii=False, separators=(",", ":")) for part in (names, values))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def truth(
    sandbox: GoogleAnalyticsSandbox, report: ReportSettings = PAGES, since: Any = None
) -> dict[str, dict[str, Any]]:
    rows = sandbox.rows(report.dimensions, report.metrics, since)
    found = [{**row, "key": key(row, report)} for row in rows]
    return {json.dumps([row["property"], row["date"], row["key"]], ensure_ascii=False): row for row in found}


def settings(sandbox: GoogleAnalyticsSandbox, **other: Any) -> GoogleAnalyticsSettings:
    """Settings that reach the sandbox's property through its user's grant, from its first day on."""
    values: dict[str, Any] = {
        "base_url": sandbox.url,
        "property": sandbox.property_id,
        "client_id": Secret(literal=sandbox.client_id),
        "client_secret": Secret(literal=sandbox.client_secret),
        "refresh_token": Secret(literal=sandbox.refresh_token),
        "token_uri": sandbox.url + "/token",
        "reports": {"pages": PAGES},
        "start_date": sandbox.data.days()[0],
        "page_size": 10,
        "timeout": Duration(seconds=10),
    }
    return GoogleAnalyticsSettings(**(values | other))


def by_key(sandbox: GoogleAnalyticsSandbox, **other: Any) -> GoogleAnalyticsSettings:
    """The same through its service account."""
    return msgspec.structs.replace(
        settings(sandbox, **other),
        service_account=Secret(literal=sandbox.tokens.key_file(sandbox.url)),
        client_id=None,
        client_secret=None,
        refresh_token=None,
    )


def analytics(sandbox: GoogleAnalyticsSandbox, **other: Any) -> GoogleAnalyticsConnector:
    """A connector to the sandbox; the caller closes it."""
    return GoogleAnalyticsConnector("web", settings(sandbox, **other), Paces(elapsed=Clock()))


def table(report: ReportSettings = PAGES, name: str = "pages") -> Table:
    """An empty table for one of its reports."""
    from leaderjobs.connectors.google_analytics.streams import Report

    return Table(Report("424242", name, report).stream())
