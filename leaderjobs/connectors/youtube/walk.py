"""A stream of the Data API: passes over the channels, each of which lists what a channel has.

    page of a full pass      -> WALK    marker {began, channel, the next page's token}
    its last page            -> SWEEP   marker {walked = seen = when it began}
    page of another pass     -> UPSERT  until a whole page is known, in every channel

Page tokens are places counted from the top, and are taken to be good for one run only. So a list from which
something was removed between two pages has moved up, and a row may have slipped past. Then, and where YouTube
refuses a token, its channel's list is read again from the top. There is no RESTART: what the walk has met it
has met, and what it meets twice counts once. Were all channels listed anew, many of them could use up the
day's quota each day and never come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeAlias

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.youtube.errors import NOTHING_THERE, STALE_TOKEN
from leaderjobs.connectors.youtube.lists import Channel, Page
from leaderjobs.connectors.youtube.place import Place, fingerprint
from leaderjobs.connectors.youtube.streams import COMMENTS
from leaderjobs.errors import ConnectorError, FatalError
from leaderjobs.model.batch import Batch, Landing

MOST_RELISTS = 3
"""Lists that one read begins again; then a token that is refused is an error."""
MOST_PAGES = 100_000
"""Of one channel's list."""
MOST_TOKEN_CHARS = 2048
ReadPage: TypeAlias = Callable[[Channel, str, ReadContext], Page]


class Walk:
    """One read of a stream."""

    def __init__(
        self, stream: str, read_page: ReadPage, context: ReadContext, *, every: timedelta | None
    ) -> None:
        """`every`: how often a pass is a full one; None: each is."""
        self._stream = stream
        self._read_page = read_page
        self._context = context
        self._every = every
        self._relisted = 0

    def read(self, place: Place, channels: Sequence[Channel]) -> Iterator[Batch]:
        """Go on with the pass that is under way, or make a new one; to its end."""
        now, ids = clock.now(), [channel.id for channel in channels]
        if place.lost(fingerprint(ids), now):
            place = place.given_up()
            yield Batch(self._stream, b"{}", (), None, place.cursor(), Landing.RESTART, 0)
        total = None
        if place.began is None:
            place = place.begun(fingerprint(ids), ids[0], now, self._every)
            total = self._expected(channels)
        for channel in channels[_position(place.channel, ids) :]:
            following = ids[ids.index(channel.id) + 1 :]
            reading = True
            while reading:
                place, page = self._page(place, channel)
                reading = page.token != "" and (place.full or not place.knows(page.instants))
                landing = _landing(place, last=not reading and not following)
                if reading:
                    place = place.on(page.token, page.total)
                else:
                    place = place.at(following[0]) if following else place.ended()
                yield Batch(
                    self._stream,
                    page.body,
                    ("items",),
                    page.deletes,
                    place.cursor(),
                    landing,
                    page.rows,
                    total=total if landing is not Landing.UPSERT else None,
                )

    def _expected(self, channels: Sequence[Channel]) -> int | None:
        """Rows of a full pass from its beginning; YouTube counts videos, and not the threads about them."""
        if self._stream == COMMENTS.name:
            return None
        return sum(channel.videos or 0 for channel in channels) or None

    def _page(self, place: Place, channel: Channel) -> tuple[Place, Page]:
        """The page at `place`, or at the top of its list where there is no going on from `place`."""
        try:
            page = self._read_page(channel, place.token, self._context)
        except ConnectorError as error:
            if error.code in NOTHING_THERE:
                self._context.log(f"{self._stream} of {channel.id}: {error.code}; nothing is there")
                return place, Page()
            if error.code != STALE_TOKEN or not place.token or self._relisted == MOST_RELISTS:
                raise
            return self._from_the_top(place, channel)
        self._check(place, page, channel)
        if page.total < place.total:
            if self._relisted < MOST_RELISTS:
                return self._from_the_top(place, channel)
            self._context.log(f"{self._stream} of {channel.id} are being removed while they are listed")
        return place, page

    def _from_the_top(self, place: Place, channel: Channel) -> tuple[Place, Page]:
        self._relisted += 1
        return self._page(place.at(channel.id), channel)

    def _check(self, place: Place, page: Page, channel: Channel) -> None:
        if page.token and page.token == place.token:
            raise FatalError(
                f"YouTube says there are more {self._stream}, but its next page is the one asked for"
            )
        if len(page.token) > MOST_TOKEN_CHARS or place.page >= MOST_PAGES:
            raise FatalError(
                f"the {self._stream} of {channel.id} do not end within {MOST_PAGES} pages, "
                f"or have a page token of more than {MOST_TOKEN_CHARS} characters"
            )


def _position(channel: str, ids: Sequence[str]) -> int:
    """Where in the list a pass goes on; the fingerprint has told that these are its channels."""
    if channel not in ids:
        raise FatalError(f"the marker names channel {channel[:40]!r}, which its own pass does not visit")
    return ids.index(channel)


def _landing(place: Place, *, last: bool) -> Landing:
    if not place.full:
        return Landing.UPSERT
    return Landing.SWEEP if last else Landing.WALK
