"""YouTube: the videos of a channel by its playlist of uploads, listed whole each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.youtube.connector import YouTubeConnector
from leaderjobs.connectors.youtube.settings import ReportSettings, YouTubeSettings
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault
from leaderjobs.sandbox.google.tokens import PATH
from leaderjobs.sandbox.youtube.sandbox import DATA, YouTubeSandbox
from leaderjobs.testing import LEAST_PAGES, Can, Clock
from leaderjobs.values import Duration, Secret
from tests.contract.connectors.stand_in import EVERYTHING, StandIn

_DAILY = ReportSettings(dimensions=("day", "country"), metrics=("views", "estimatedRevenue"))
_PLAIN = b'"favoriteCount":"0"'
_DRIFTED = b'"favoriteCount":0,"madeUp":12345678901234567890'


class YouTubeStandIn(StandIn):
    name = "youtube"
    stream = "videos"
    can = EVERYTHING - {Can.EMPTY_PAGE} | {Can.QUOTA}
    descriptions = ("youtube", "youtube_analytics")
    troubled = DATA
    tokens = frozenset({PATH})
    numbers = ("12345678901234567890",)

    def __init__(self) -> None:
        self.sandbox: YouTubeSandbox = YouTubeSandbox(videos=10 * LEAST_PAGES - 5, threads=25)
        self._drifts = False

    def connect(self, **options: Any) -> Connector:
        sandbox = self.sandbox
        values: dict[str, Any] = {
            "client_id": Secret(literal=sandbox.client_id),
            "client_secret": Secret(literal=sandbox.client_secret),
            "refresh_token": Secret(literal=sandbox.refresh_token),
            "token_uri": sandbox.url + PATH,
            "reports": {"daily": _DAILY},
            "start_date": sandbox.today() - timedelta(days=6),
            "page_size": 10,
            "base_url": sandbox.url,
            "analytics_base_url": sandbox.url,
            "timeout": Duration(seconds=10),
        }
        return YouTubeConnector("channel", YouTubeSettings(**(values | options)), Paces(elapsed=Clock()))

    @property
    def secrets(self) -> tuple[str, ...]:
        tokens = self.sandbox.tokens
        return (tokens.client_secret, tokens.refresh_token, *tokens._live)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        rows = self.sandbox.rows(stream, owner=True)
        if not self._drifts:
            return rows
        text = json.dumps(rows, separators=(",", ":")).encode()
        return json.loads(text.replace(_PLAIN, _DRIFTED))  # type: ignore[no-any-return] # what it was before

    def add(self, count: int) -> None:
        self.sandbox.add(count)

    def modify(self, count: int) -> None:
        self.sandbox.modify(count)

    def remove(self, count: int) -> None:
        self.sandbox.remove(count)

    def pages_asked_twice(self) -> int:
        return int(self.sandbox.state()["pages_asked_twice"])

    def change_shapes(self) -> None:
        self._drifts = True
        answer = self.sandbox.answer

        def drifted(request: Request, faults: tuple[Fault, ...]) -> Reply:
            reply = answer(request, faults)
            return Reply(reply.status, reply.body.replace(_PLAIN, _DRIFTED), reply.headers)

        self.sandbox.answer = drifted  # type: ignore[method-assign] # the sandbox is ours alone
