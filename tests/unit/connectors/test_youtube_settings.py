"""What a YouTube connection may be told, and what a marker of its may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors.youtube.connector import YouTubeConnector
from leaderjobs.connectors.youtube.place import OVERLAP, Place
from leaderjobs.connectors.youtube.settings import ReportSettings, YouTubeSettings
from leaderjobs.errors import FatalError
from leaderjobs.model.stream import ColumnType, CursorKind
from leaderjobs.values import Duration, Secret

CHANNEL = "UC" + "a" * 22
KEY: dict[str, Any] = {"api_key": Secret(literal="k"), "channels": (CHANNEL,)}
GRANT: dict[str, Any] = {
    name: Secret(literal="s") for name in ("client_id", "client_secret", "refresh_token")
}
VIEWS = ReportSettings(metrics=("views",))
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [
        KEY,
        KEY | {"channels": ("@leader.jobs-1", "@ラーメン", CHANNEL)},
        GRANT,
        GRANT | {"channels": (CHANNEL,), "reports": {"views": VIEWS}},
        KEY | {"refresh_every": Duration(days=29), "page_size": 50, "daily_quota": 1_000_000},
    ],
)
def test_what_is_allowed(given: dict[str, Any]) -> None:
    YouTubeSettings(**given)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "give api_key, or client_id"),
        (KEY | GRANT, "not both"),
        ({"client_id": Secret(literal="c"), "channels": (CHANNEL,)}, "give all three"),
        (KEY | {"channels": ()}, "channels: allowed"),
        (KEY | {"channels": ("https://youtube.com/@x",)}, "channels: allowed"),
        (KEY | {"channels": ("UCshort",)}, "channels: allowed"),
        (KEY | {"channels": (f"{CHANNEL},{CHANNEL}",)}, "channels: allowed"),
        (KEY | {"reports": {"views": VIEWS}}, "reports: allowed: with client_id"),
        (GRANT | {"reports": {"videos": VIEWS}}, "reports: allowed: up to 50 names"),
        (GRANT | {"reports": {"By-Country": VIEWS}}, "reports: allowed: up to 50 names"),
        (KEY | {"daily_quota": 0}, "daily_quota: allowed"),
        (KEY | {"quota_reserve": 10_000}, "quota_reserve: allowed"),
        (KEY | {"page_size": 51}, "page_size: allowed: 1 to 50"),
        (KEY | {"refresh_every": Duration(days=30)}, "refresh_every: allowed"),
        (KEY | {"look_back": Duration(days=366)}, "look_back: allowed"),
        (KEY | {"timeout": Duration(0)}, "timeout: allowed"),
        (KEY | {"base_url": "http://youtube.example"}, "^base_url: allowed"),
        (KEY | {"analytics_base_url": "http://youtube.example"}, "^analytics_base_url: allowed"),
        (GRANT | {"token_uri": "http://youtube.example"}, "^token_uri: allowed"),
    ],
)
def test_what_is_not_allowed_is_said_with_what_is(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        YouTubeSettings(**given)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"metrics": ()}, "metrics: allowed"),
        ({"metrics": ("views", "views")}, "metrics: allowed"),
        ({"metrics": ("views",), "dimensions": ("country",)}, 'dimensions: allowed: a list that has "day"'),
        ({"metrics": ("views",), "dimensions": ("day", "day")}, "dimensions: allowed"),
        ({"metrics": ("day",)}, "metrics: allowed"),
        ({"metrics": ("views&ids=x",)}, "metrics: allowed"),
        ({"metrics": ("views",), "filters": "country"}, "filters: allowed"),
    ],
)
def test_what_a_report_may_not_be(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ReportSettings(**given)


def test_a_report_is_a_stream_with_a_column_for_each_of_its_names() -> None:
    report = ReportSettings(
        dimensions=("day", "insightTrafficSourceType"), metrics=("estimatedMinutesWatched",)
    )
    options = YouTubeSettings(**GRANT, reports={"traffic": report})
    *_, stream = YouTubeConnector.streams_of("channel", options)
    assert (stream.name, stream.key, stream.windowed) == (
        "traffic",
        ("day", "insightTrafficSourceType"),
        True,
    )
    assert stream.cursor is CursorKind.WINDOW
    assert [(each.name, each.type) for each in stream.columns] == [
        ("day", ColumnType.DATE),
        ("insight_traffic_source_type", ColumnType.TEXT),
        ("estimated_minutes_watched", ColumnType.NUMERIC),
    ]
    assert stream.columns[0].indexed


def test_a_place_survives_its_marker() -> None:
    place = Place().begun("abc", CHANNEL, NOW, None).on("token", 40)
    read = msgspec.json.decode(msgspec.json.encode(place.cursor()), type=dict[str, object])
    assert Place.parse(read) == place
    assert Place.parse(place.ended().cursor()) == place.ended()
    assert Place.parse(None) == Place.parse({}) == Place()
    assert len(msgspec.json.encode(place.cursor())) < 300


@pytest.mark.parametrize(
    "cursor",
    [
        {"first": "", "next": ""},
        {"channels": ""},
        {"channels": "abc", "walked": "yesterday"},
        {"channels": "abc", "walked": "2026-01-01T00:00:00"},
        {"channels": "abc", "page": -1},
        {"channels": "abc", "token": 7},
        {"channels": "abc", "more": True},
    ],
)
def test_a_marker_that_is_none_of_ours_is_refused(cursor: dict[str, object]) -> None:
    with pytest.raises(FatalError, match="the marker holds"):
        Place.parse(cursor)


def test_a_pass_is_full_when_it_is_the_first_is_due_or_is_about_other_channels() -> None:
    week = timedelta(days=7)
    first = Place().begun("abc", CHANNEL, NOW, week)
    assert first.full
    after = first.ended()
    assert not after.begun("abc", CHANNEL, NOW + timedelta(days=6), week).full
    assert after.begun("abc", CHANNEL, NOW + week, week).full
    assert after.begun("xyz", CHANNEL, NOW, week).full
    assert after.begun("abc", CHANNEL, NOW, None).full
    partial = after.begun("abc", CHANNEL, NOW + timedelta(days=6), week).ended()
    assert (partial.walked, partial.seen) == (NOW, NOW + timedelta(days=6))


def test_rows_are_known_when_all_came_well_before_the_last_pass() -> None:
    place = Place().begun("abc", CHANNEL, NOW, None).ended()
    old, new = NOW - OVERLAP - timedelta(seconds=1), NOW - OVERLAP
    assert place.knows([old, old])
    assert not place.knows([old, new])
    assert not place.knows([old, None])
    assert not place.knows([])
    assert not Place().knows([old])
