"""YouTube: channels, uploads, videos and comments by its Data API v3, reports by its Analytics API v2.

The cheap way round: a channel's uploads are a playlist (1 unit per 50), and their videos are asked for by 50
ids (1 unit). A search costs a bucket of its own, is not complete, and is never used.

    channels   all of them, each time
    uploads    newest first until a whole page is known; everything once each `refresh_every`
    videos     everything each time, because the counts change: 1,000 videos are 40 units
    comments   as uploads, 100 threads a page
    reports    the days since the last one received, and `look_back` before it

Google's terms want what is stored refreshed within 30 days: no pass is ever further from the last full one.
Where uploads and comments only bring the newest, what is deleted at YouTube is found by the next full pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.youtube.api import YouTubeApi
from leaderjobs.connectors.youtube.lists import Channel, Lists
from leaderjobs.connectors.youtube.place import Place
from leaderjobs.connectors.youtube.reports import DayPlace, Report
from leaderjobs.connectors.youtube.settings import YouTubeSettings
from leaderjobs.connectors.youtube.streams import (
    CHANNELS,
    COMMENTS,
    DATA_STREAMS,
    UPLOADS,
    VIDEOS,
    report_stream,
)
from leaderjobs.connectors.youtube.walk import Walk
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream


class YouTubeConnector(Connector):
    """Some channels that everybody may see, or those of the user who granted access."""

    name: ClassVar[str] = "youtube"
    settings: ClassVar[type[msgspec.Struct]] = YouTubeSettings
    streams: tuple[Stream, ...] = DATA_STREAMS

    def __init__(self, connection: str, options: YouTubeSettings, paces: Paces) -> None:
        """`paces` are those of the process."""
        self.connection = connection
        self.streams = self.streams_of(connection, options)
        self._options = options
        self._api = YouTubeApi(connection, options, paces)
        self._lists = Lists(self._api, options.page_size)
        self._known: list[Channel] | None = None

    @classmethod
    def streams_of(cls, connection: str, options: Any) -> tuple[Stream, ...]:  # noqa: ANN401 - as the contract
        """Those of the Data API, then one for each report."""
        del connection
        reports = options.reports.items()
        return (
            *DATA_STREAMS,
            *(report_stream(name, report.dimensions, report.metrics) for name, report in reports),
        )

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says."""
        options = self._options
        if stream == CHANNELS.name:
            return self._channels(context)
        if stream in options.reports:
            report = Report(self._api, stream, options.reports[stream], options.look_back, options.start_date)
            return report.read(DayPlace.parse(cursor), context)
        newer = {UPLOADS.name: self._lists.uploads, COMMENTS.name: self._lists.comments}
        if stream in newer:
            walk = Walk(stream, newer[stream], context, every=options.refresh_every)
        elif stream == VIDEOS.name:
            walk = Walk(stream, self._lists.videos, context, every=None)
        else:
            names = ", ".join(found.name for found in self.streams)
            raise FatalError(f"youtube has no stream {stream!r}; it has {names}")
        return self._walked(walk, Place.parse(cursor), context)

    def check(self) -> None:
        """One request for the channels (the first handle): proves the credentials, and that they exist."""
        missing = self._lists.missing(self._options.channels)
        if missing:
            raise FatalError(f"YouTube has no channel {', '.join(missing[:5])}; check channels")

    def close(self) -> None:
        """As the contract says: a request that is out ends at once with Interrupted."""
        self._api.close()

    def _channels(self, context: ReadContext) -> Iterator[Batch]:
        self._known = found = self._lists.channels(self._options.channels, context)
        body = msgspec.json.encode({"items": [channel.raw for channel in found]})
        yield Batch(CHANNELS.name, body, ("items",), None, {}, Landing.REPLACE, len(found))

    def _walked(self, walk: Walk, place: Place, context: ReadContext) -> Iterator[Batch]:
        if self._known is None:
            self._known = self._lists.channels(self._options.channels, context)
        yield from walk.read(place, self._known)
