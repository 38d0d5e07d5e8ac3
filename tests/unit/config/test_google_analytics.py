"""Connections to Google Analytics: credentials, and reports as tables of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from leaderjobs.config import Settings
from leaderjobs.connectors import registry
from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsSettings
from leaderjobs.errors import ConfigError

LoadText = Callable[..., Settings]

GOOD = """
[connections.web]
connector = "google_analytics"
service_account = { file = "/run/secrets/google.json" }
property = "123456789"
start_date = 2026-01-31
look_back = "4d"

[connections.web.reports.traffic]
dimensions = ["sessionSource", "customEvent:plan"]
metrics = ["sessions", "totalRevenue"]
currency = "EUR"

[connections.web.reports.traffic.dimension_filter.filter]
fieldName = "country"
stringFilter = { matchType = "EXACT", value = "Germany" }

[connections.web.reports.totals]
metrics = ["activeUsers"]
"""


def options(settings: Settings) -> GoogleAnalyticsSettings:
    found: Any = settings.connections["web"].options
    assert isinstance(found, GoogleAnalyticsSettings)
    return found


def test_each_report_is_a_stream_with_columns_named_as_people_query_them(load_text: LoadText) -> None:
    found = options(load_text(GOOD))
    assert (found.start_date, found.look_back) == (date(2026, 1, 31), timedelta(days=4))
    assert found.reports["traffic"].dimension_filter == {
        "filter": {"fieldName": "country", "stringFilter": {"matchType": "EXACT", "value": "Germany"}}
    }
    traffic, totals = registry.streams("google_analytics", "web", found)
    assert (traffic.name, totals.name) == ("traffic", "totals")
    assert [column.name for column in traffic.columns][:6] == [
        "property",
        "date",
        "session_source",
        "custom_event_plan",
        "sessions",
        "total_revenue",
    ]
    assert [column.name for column in totals.columns if column.indexed] == ["date"]
    assert all(column.comment for column in traffic.columns)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'property = "123456789"',
            'property = "properties/1"',
            'property = "properties/1": allowed: the number of a property',
        ),
        ("service_account =", "#", "service_account is missing; or give client_id"),
        ("2026-01-31", "2015-08-13", "start_date = 2015-08-13: allowed: a day"),
        ("2026-01-31", '"soon"', 'start_date = "soon": allowed: a day, such as 2026-01-31'),
        ('"4d"', '"36h"', 'look_back = "36h": allowed: whole days'),
        ('"4d"', '"0s"', 'look_back = "0s": allowed: whole days'),
        ('"4d"', '"4d"\npage_size = 250001', "page_size = 250001: allowed: 1 to 250000"),
        ('"4d"', '"4d"\nquota_reserve = 91', "quota_reserve = 91: allowed: a percentage"),
        ('"4d"', '"4d"\nbase_url = "http://example.com"', "base_url"),
        ('"4d"', '"4d"\ntimeout = "11m"', "timeout"),
        ('"4d"', '"4d"\ntoken_uri = "http://example.com/token"', "token_uri"),
        ("reports.totals", "reports.Totals", "connections.web.reports = a table: allowed: 1 to 100 tables"),
        ('metrics = ["activeUsers"]', "", "connections.web.reports.totals: metrics is missing"),
        ('["activeUsers"]', "[]", "metrics = []: allowed: 1 to 10 different names"),
        ('["activeUsers"]', '["active users"]', "different names of the Data API"),
        ('["activeUsers"]', '["activeUsers", "activeUsers"]', "different names"),
        ('["activeUsers"]', '["currency"]', "not currency, date"),
        ('["activeUsers"]', '["a:b", "a_b"]', "different names"),
        ('"customEvent:plan"]', '"date"]', "not currency, date"),
        ('"customEvent:plan"]', '"a", "b", "c", "d", "e", "f", "g", "h"]', "dimensions = "),
        ('"customEvent:plan"]', '"sessions"]', "differ from each other"),
        ('"EUR"', '"euro"', 'currency = "euro": allowed: three capital letters'),
        ("currency =", "curency =", "did you mean currency"),
    ],
)
def test_what_is_not_allowed_is_told_with_its_place(
    load_text: LoadText, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load_text(GOOD.replace(old, new, 1))
    assert says in str(caught.value)
    assert "leaderjobs.toml:" in str(caught.value)
