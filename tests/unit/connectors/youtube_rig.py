"""What YouTube's tests share: settings that reach a sandbox, and a table with the sandbox's truth beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.youtube.connector import YouTubeConnector
from leaderjobs.connectors.youtube.settings import ReportSettings, YouTubeSettings
from leaderjobs.model.stream import Stream
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.sandbox.youtube.shelf import Channel
from leaderjobs.testing import Clock, Context, Table
from leaderjobs.values import Duration, Secret
from tests.unit.connectors.harness import BOUND

WALKED = ("uploads", "videos", "comments")
"""Streams that come in passes over the channels."""
REPORTS = {
    "daily": ReportSettings(metrics=("views", "estimatedMinutesWatched")),
    "by_country": ReportSettings(dimensions=("day", "country"), metrics=("views", "estimatedRevenue")),
}


def with_key(sandbox: YouTubeSandbox, **other: Any) -> YouTubeSettings:
    """The API key, and every channel that there is."""
    values: dict[str, Any] = {
        "api_key": Secret(literal=sandbox.api_key),
        "channels": tuple(sandbox.channel_ids),
        "base_url": sandbox.url,
        "page_size": 10,
        "timeout": Duration(seconds=BOUND),
    }
    return YouTubeSettings(**(values | other))


def with_grant(sandbox: YouTubeSandbox, **other: Any) -> YouTubeSettings:
    """The user's own channel, and reports."""
    values: dict[str, Any] = {
        "client_id": Secret(literal=sandbox.client_id),
        "client_secret": Secret(literal=sandbox.client_secret),
        "refresh_token": Secret(literal=sandbox.refresh_token),
        "token_uri": f"{sandbox.url}/token",
        "base_url": sandbox.url,
        "analytics_base_url": sandbox.url,
        "reports": REPORTS,
        "page_size": 10,
        "timeout": Duration(seconds=BOUND),
    }
    return YouTubeSettings(**(values | other))


@contextmanager
def youtube(options: YouTubeSettings) -> Iterator[YouTubeConnector]:
    """A connector that is closed at the end."""
    made = YouTubeConnector("channel", options, Paces(elapsed=Clock()))
    try:
        yield made
    finally:
        made.close()


def stream_of(options: YouTubeSettings, name: str) -> Stream:
    return next(each for each in YouTubeConnector.streams_of("channel", options) if each.name == name)


def table(name: str, options: YouTubeSettings | None = None) -> Table:
    """An empty one of a stream; `options` where it is a report's."""
    streams = YouTubeConnector.streams if options is None else (stream_of(options, name),)
    return Table(next(each for each in streams if each.name == name))


def move_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """A function that puts everybody's wall clock forward, the sandbox's too."""
    real, moved = clock.now, [timedelta(0)]
    monkeypatch.setattr(clock, "now", lambda: real() + moved[0])

    def move(by: timedelta) -> None:
        moved[0] += by

    return move


def sync(sandbox: YouTubeSandbox, *tables: Table, context: Context | None = None, **options: Any) -> None:
    """One job: a new connector reads every table's stream to the end."""
    with youtube(with_key(sandbox, **options)) as connector:
        for each in tables:
            each.sync(connector, each.stream.name, context)


def first_read(sandbox: YouTubeSandbox) -> Channel:
    """The channel that a pass begins with."""
    return min(sandbox.shelf.channels, key=lambda channel: channel.id)
