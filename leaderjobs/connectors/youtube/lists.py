"""The lists of the Data API, a page at a time: channels, uploads, videos, comment threads.

An answer without its `kind` is none of YouTube's; `items` may be missing where there are none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

import msgspec

from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.youtube.api import DATA, YouTubeApi, decoded
from leaderjobs.errors import FatalError

CHANNELS_PATH = f"{DATA}channels"
UPLOADS_PATH = f"{DATA}playlistItems"
VIDEOS_PATH = f"{DATA}videos"
COMMENTS_PATH = f"{DATA}commentThreads"
MOST_ITEMS = 50
"""Of a page of anything but comment threads, and ids in one request."""
MOST_THREADS = 100
MOST_PAGE_ITEMS = 1000
"""More in one answer is out of contract."""
Item = TypeVar("Item")
_NO_ITEMS = b'{"items":[]}'


class _Playlists(msgspec.Struct, frozen=True):
    uploads: str = ""


class _ChannelDetails(msgspec.Struct, rename="camel", frozen=True):
    related_playlists: _Playlists = _Playlists()


class _ChannelCounts(msgspec.Struct, rename="camel", frozen=True):
    video_count: str = ""


class _Channel(msgspec.Struct, rename="camel", frozen=True):
    id: str
    content_details: _ChannelDetails = _ChannelDetails()
    statistics: _ChannelCounts = _ChannelCounts()


class _Channels(msgspec.Struct, frozen=True):
    kind: str
    items: list[msgspec.Raw] = []


class _Info(msgspec.Struct, rename="camel", frozen=True):
    total_results: int = 0


class _Dated(msgspec.Struct, rename="camel", frozen=True):
    published_at: str = ""


class _VideoRef(msgspec.Struct, rename="camel", frozen=True):
    video_id: str


class _Entry(msgspec.Struct, rename="camel", frozen=True):
    id: str
    content_details: _VideoRef
    snippet: _Dated = _Dated()


class _Entries(msgspec.Struct, rename="camel", frozen=True):
    kind: str
    items: list[_Entry] | None = None
    next_page_token: str = ""
    page_info: _Info = _Info()


class _Video(msgspec.Struct, frozen=True):
    id: str


class _Videos(msgspec.Struct, frozen=True):
    kind: str
    items: list[_Video] | None = None


class _RawItems(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw] = []


class _Comment(msgspec.Struct, frozen=True):
    snippet: _Dated


class _ThreadSnippet(msgspec.Struct, rename="camel", frozen=True):
    top_level_comment: _Comment


class _Thread(msgspec.Struct, frozen=True):
    id: str
    snippet: _ThreadSnippet


class _Threads(msgspec.Struct, rename="camel", frozen=True):
    kind: str
    items: list[_Thread] | None = None
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that exists; `raw` is it as YouTube shows it."""

    id: str
    uploads: str
    """Its playlist of uploads; empty where it has none."""
    videos: int | None
    raw: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a channel's list, ready to land."""

    body: bytes = _NO_ITEMS
    rows: int = 0
    token: str = ""
    """Of the next page; empty: there is none."""
    instants: tuple[datetime | None, ...] = ()
    """When each row came; None where YouTube does not say."""
    deletes: str | None = None
    total: int = 0
    """How much is in the list now; 0: YouTube does not say."""


Wanted: TypeAlias = Sequence[str]
"""Ids and handles; none: those of the user who granted access."""


class Lists:
    """The lists of one connection."""

    def __init__(self, api: YouTubeApi, page_size: int) -> None:
        """`page_size` is of uploads and videos."""
        self._api = api
        self._page_size = page_size

    def channels(self, wanted: Wanted, context: ReadContext) -> list[Channel]:
        """Those of the wanted that exist, in the order of their ids; FatalError where there is none at all.

        YouTube answers in whatever order, and a pass that is gone on with needs the one it began with.
        """
        found: dict[str, Channel] = {}
        missing: list[str] = []
        for query, names in _requests(wanted):
            some = {channel.id: channel for channel in self._channels(query, context)}
            missing += _absent(names, some)
            found |= some
        if not found:
            raise FatalError(f"YouTube has no channel {', '.join(missing[:5])}; check channels")
        for name in missing:
            context.log(f"YouTube has no channel {name}: what there was of it counts as deleted")
        return [found[channel] for channel in sorted(found)]

    def uploads(self, channel: Channel, token: str, context: ReadContext) -> Page:
        """A page of the playlist of uploads, newest first."""
        if not channel.uploads:
            return Page()
        query = self._playlist(channel, "snippet,contentDetails", token)
        page, body = self._api.get(UPLOADS_PATH, query, _Entries, context)
        items = _bounded(UPLOADS_PATH, page.items)
        instants = tuple(_instant(item.snippet.published_at) for item in items)
        total = page.page_info.total_results
        return Page(_body(page.items, body), len(items), page.next_page_token, instants, total=total)

    def videos(self, channel: Channel, token: str, context: ReadContext) -> Page:
        """The videos of a page of uploads; those that it still names but nobody may see are gone."""
        if not channel.uploads:
            return Page()
        query = self._playlist(channel, "contentDetails", token)
        listed, _ = self._api.get(UPLOADS_PATH, query, _Entries, context)
        entries = _bounded(UPLOADS_PATH, listed.items)
        ids = list(dict.fromkeys(entry.content_details.video_id for entry in entries))
        if not ids:
            return Page(token=listed.next_page_token, total=listed.page_info.total_results)
        query = {"part": "snippet,contentDetails,statistics,status", "id": ",".join(ids)}
        answered, body = self._api.get(VIDEOS_PATH, query, _Videos, context)
        videos = _bounded(VIDEOS_PATH, answered.items)
        seen = {video.id for video in videos}
        gone = [{"id": video_id} for video_id in ids if video_id not in seen]
        if gone:
            items = decoded(VIDEOS_PATH, body, _RawItems).items
            body = msgspec.json.encode({"items": items, "gone": gone})
        rows = len(videos) + len(gone)
        deletes, total = "gone" if gone else None, listed.page_info.total_results
        return Page(body, rows, listed.next_page_token, deletes=deletes, total=total)

    def comments(self, channel: Channel, token: str, context: ReadContext) -> Page:
        """A page of the threads about a channel and its videos, newest first."""
        query = {
            "part": "snippet,replies",
            "allThreadsRelatedToChannelId": channel.id,
            "order": "time",
            "textFormat": "plainText",
            "maxResults": min(2 * self._page_size, MOST_THREADS),
            **_at(token),
        }
        page, body = self._api.get(COMMENTS_PATH, query, _Threads, context)
        items = _bounded(COMMENTS_PATH, page.items)
        said = [item.snippet.top_level_comment.snippet for item in items]
        instants = tuple(_instant(each.published_at) for each in said)
        return Page(_body(page.items, body), len(items), page.next_page_token, instants)

    def missing(self, wanted: Wanted) -> list[str]:
        """One request outside of any read: which of the wanted channels, of the first 50, do not exist."""
        query, names = next(_requests(wanted))
        answer = self._api.ask_once(CHANNELS_PATH, query | {"part": "id"}, _Channels)
        return _absent(names, {decoded(CHANNELS_PATH, raw, _Channel).id for raw in answer.items})

    def _channels(self, query: Mapping[str, object], context: ReadContext) -> Iterator[Channel]:
        answer, _ = self._api.get(CHANNELS_PATH, query, _Channels, context)
        for raw in _bounded(CHANNELS_PATH, answer.items):
            said = decoded(CHANNELS_PATH, raw, _Channel)
            count = said.statistics.video_count
            videos = int(count) if count.isascii() and count.isdigit() else None
            yield Channel(said.id, said.content_details.related_playlists.uploads, videos, raw.copy())

    def _playlist(self, channel: Channel, part: str, token: str) -> dict[str, object]:
        page = {"playlistId": channel.uploads, "maxResults": self._page_size}
        return {"part": part, **page, **_at(token)}


def _requests(wanted: Wanted) -> Iterator[tuple[dict[str, object], list[str]]]:
    """The queries for channels, each with the names it is about: many ids in one, every handle in its own."""
    part = {"part": "snippet,contentDetails,statistics,status", "maxResults": MOST_ITEMS}
    if not wanted:
        yield {**part, "mine": "true"}, ["of this user"]
    ids = [name for name in wanted if name.startswith("UC")]
    for start in range(0, len(ids), MOST_ITEMS):
        some = ids[start : start + MOST_ITEMS]
        yield {**part, "id": ",".join(some)}, some
    for name in wanted:
        if not name.startswith("UC"):
            yield {**part, "forHandle": name}, [name]


def _absent(names: Sequence[str], found: Collection[str]) -> list[str]:
    """Of the names that one request was about, those that it did not find; a handle is alone in its own."""
    if names[0].startswith("UC"):
        return [name for name in names if name not in found]
    return [] if found else list(names)


def _at(token: str) -> dict[str, object]:
    return {"pageToken": token} if token else {}


def _bounded(path: str, items: list[Item] | None) -> list[Item]:
    found = items or []
    if len(found) > MOST_PAGE_ITEMS:
        raise FatalError(f"YouTube's answer to {path} has more than {MOST_PAGE_ITEMS} items")
    return found


def _body(items: object, body: bytes) -> bytes:
    """The answer as it came; it must have the array that a batch names."""
    return body if items is not None else _NO_ITEMS


def _instant(text: str) -> datetime | None:
    """An instant as YouTube writes it; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
