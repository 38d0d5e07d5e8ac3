"""What the sandbox's YouTube answers to each path, once a request is admitted."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeAlias, TypeVar

import msgspec

from leaderjobs.sandbox.faults import FaultKind
from leaderjobs.sandbox.youtube.answers import YouTubeRefusal, bad_parameter, stale_token
from leaderjobs.sandbox.youtube.days import DIMENSIONS, METRICS, Days
from leaderjobs.sandbox.youtube.shelf import Channel, Json, Shelf, Thread, Video, resource

Query: TypeAlias = dict[str, str]
Kinds: TypeAlias = frozenset[FaultKind]
T = TypeVar("T")
_PAGED = frozenset({"part", "maxResults", "pageToken"})
_FILTERS = {
    "channels": frozenset({"id", "forHandle", "mine"}),
    "playlistItems": frozenset({"id", "playlistId"}),
    "videos": frozenset({"id"}),
    "commentThreads": frozenset({"id", "videoId", "allThreadsRelatedToChannelId"}),
}
_MORE = {"commentThreads": frozenset({"order", "textFormat"})}
_PARTS = frozenset({"id", "snippet", "contentDetails", "statistics", "status", "replies"})
_REPORT = frozenset(
    {"ids", "startDate", "endDate", "dimensions", "metrics", "sort", "maxResults", "startIndex", "filters"}
)
_MOST_IDS = 50


class Calls:
    """The paths of both APIs; whoever calls it holds the sandbox's lock."""

    def __init__(self, shelf: Shelf, days: Days) -> None:
        """Nothing has been asked yet."""
        self._shelf = shelf
        self._days = days
        self._turned = False
        """Several channels come in no order that a client may count on: it is another each time."""
        self.generation = 0
        """Of page tokens; those of an older one are refused."""
        self.held_back: frozenset[str] = frozenset()
        """Resources that pages leave out, though they count: a page may be empty and not the last."""
        self.asked: Counter[tuple[str, int, int]] = Counter()
        """How often each page of each list was given, by what there was then."""
        self._lists: dict[str, Callable[[Query, Kinds, bool], Json]] = {
            "channels": self._channels,
            "playlistItems": self._playlist,
            "videos": self._videos,
            "commentThreads": self._comments,
        }

    def answer(self, path: str, query: Query, kinds: Kinds, *, owner: bool) -> bytes:
        """The body of a 200; YouTubeRefusal for anything else."""
        if path == "/v2/reports":
            return self._report(query)
        name = path.removeprefix("/youtube/v3/")
        if name not in self._lists:
            raise YouTubeRefusal(404, "notFound", f"no such method: {name}")
        filters = _FILTERS[name]
        unknown = set(query) - _PAGED - filters - _MORE.get(name, frozenset())
        if unknown:
            raise bad_parameter("unexpectedParameter", min(unknown))
        if not query.get("part") or not set(query["part"].split(",")) <= _PARTS:
            raise bad_parameter("missingRequiredParameter", "part")
        if len(filters & set(query)) != 1:
            raise bad_parameter("missingRequiredParameter", "one filter")
        return msgspec.json.encode(self._lists[name](query, kinds, owner))

    def all_of(self, stream: str, *, owner: bool) -> list[Json]:
        """Everything that one of our streams should hold, as complete resources."""
        shelf = self._shelf
        match stream:
            case "channels":
                return [self._channel(channel) for channel in shelf.channels]
            case "uploads":
                return [video.entry() for video in shelf.all_videos()]
            case "videos":
                return [video.render() for video in shelf.all_videos() if self._seen(video, owner)]
            case "comments":
                return [thread.render() for thread in shelf.all_threads()]
            case _:
                raise ValueError(f"no such stream: {stream}")

    def _channels(self, query: Query, _kinds: Kinds, owner: bool) -> Json:  # noqa: FBT001 - as all of them
        if "mine" in query:
            if not owner:
                raise YouTubeRefusal(401, "authorizationRequired", "The request uses mine without a user.")
            found = self._shelf.channels[:1]
        else:
            names = (query.get("id") or query.get("forHandle") or "").split(",")
            found = [channel for name in names if (channel := self._shelf.channel(name)) is not None]
            self._turned = not self._turned
            found = found[::-1] if self._turned else found
        listed = _envelope("channel", [_only(self._channel(channel), query) for channel in found], len(found))
        # YouTube leaves `items` out where no channel is found.
        return listed if found else {name: value for name, value in listed.items() if name != "items"}

    def _playlist(self, query: Query, kinds: Kinds, _owner: bool) -> Json:  # noqa: FBT001
        channel = self._shelf.channel(query.get("playlistId", ""))
        videos = self._shelf.videos(channel) if channel is not None else []
        if channel is None or not videos:  # YouTube makes the playlist with the first upload.
            text = "The playlist identified with the request's playlistId parameter cannot be found."
            raise YouTubeRefusal(404, "playlistNotFound", text, domain="youtube.playlistItem")
        return self._page(channel.uploads, videos, Video.entry, query, kinds)

    def _videos(self, query: Query, kinds: Kinds, owner: bool) -> Json:  # noqa: FBT001
        names = query["id"].split(",")
        if len(names) > _MOST_IDS or "maxResults" in query or "pageToken" in query:
            raise bad_parameter("invalidFilters", "id")
        found = [video for name in names if (video := self._shelf.video(name)) is not None]
        items = [_only(video.render(), query) for video in found if self._seen(video, owner)]
        if FaultKind.DUPLICATE_ID in kinds and items:
            items.insert(0, _outdated(items[0]))
        return _envelope("video", items, len(items))

    def _comments(self, query: Query, kinds: Kinds, _owner: bool) -> Json:  # noqa: FBT001
        if query.get("order", "time") != "time" or query.get("textFormat", "html") not in {
            "html",
            "plainText",
        }:
            raise bad_parameter("invalidFilters", "order, textFormat")
        about = query.get("allThreadsRelatedToChannelId") or query.get("videoId") or ""
        video = self._shelf.video(about)
        channel = self._shelf.channel(video.channel if video else about)
        if channel is None:
            reason = "videoNotFound" if "videoId" in query else "channelNotFound"
            raise YouTubeRefusal(404, reason, f"no {about}", domain="youtube.commentThread")
        if not channel.comments:
            text = "The video identified by the videoId parameter has disabled comments."
            raise YouTubeRefusal(403, "commentsDisabled", text, domain="youtube.commentThread")
        threads = [each for each in self._shelf.threads(channel) if video is None or each.video == video.id]
        return self._page(about, threads, Thread.render, query, kinds)

    def _page(
        self, name: str, of: Sequence[T], render: Callable[[T], Json], query: Query, kinds: Kinds
    ) -> Json:
        comments = render is Thread.render
        size = _number(query, "maxResults", 20 if comments else 5, 100 if comments else 50)
        token = query.get("pageToken", "")
        start = self._opened(name, token) if token else 0
        rendered = [_only(render(each), query) for each in of[start : start + size]]
        page = [item for item in rendered if item["id"] not in self.held_back]
        self.asked[name, start, self._shelf.version] += 1
        if FaultKind.DUPLICATE_ID in kinds and page:
            page.insert(0, _outdated(page[0]))
        # The total of comment threads is that of the page, at the real one too.
        listed = _envelope(
            "commentThread" if comments else "playlistItem", page, len(page) if comments else len(of)
        )
        if FaultKind.EQUAL_CURSORS in kinds:
            return listed | {"nextPageToken": token or self._sealed(name, size)}
        if start + size < len(of):
            return listed | {"nextPageToken": self._sealed(name, start + size)}
        return listed

    def _sealed(self, name: str, start: int) -> str:
        said = f"{self.generation}:{name}:{start}".encode()
        digest = hashlib.blake2b(said, digest_size=6).digest()
        return base64.urlsafe_b64encode(digest + b"%d" % start).decode().rstrip("=")

    def _opened(self, name: str, token: str) -> int:
        """Where a page token leads; refused where it is not of this list and generation."""
        try:
            start = int(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[6:])
        except ValueError:
            raise stale_token() from None
        if self._sealed(name, start) != token:
            raise stale_token()
        return start

    def _report(self, query: Query) -> bytes:
        if not set(query) <= _REPORT or query.get("ids") != "channel==MINE":
            raise bad_parameter("badRequest", "ids")
        dimensions, metrics = query.get("dimensions", "").split(","), query.get("metrics", "").split(",")
        if not set(dimensions) <= set(DIMENSIONS) or not set(metrics) <= set(METRICS):
            raise YouTubeRefusal(400, "badRequest", "The query is not supported.")
        if not set(query.get("sort", "day").split(",")) <= {*dimensions, *metrics}:
            raise bad_parameter("badRequest", "sort")
        country = query.get("filters", "").removeprefix("country==")
        first, last = (date.fromisoformat(query[name]) for name in ("startDate", "endDate"))
        rows = self._days.table(dimensions, metrics, first, last, country)
        start = _number(query, "startIndex", 1, len(rows) + 1_000_000) - 1
        rows = rows[start : start + _number(query, "maxResults", 200, 200)]
        headers = [
            {"name": name, "columnType": "DIMENSION", "dataType": DIMENSIONS[name]} for name in dimensions
        ] + [{"name": name, "columnType": "METRIC", "dataType": METRICS[name]} for name in metrics]
        table = {"kind": "youtubeAnalytics#resultTable", "columnHeaders": headers}
        return msgspec.json.encode(table | ({"rows": rows} if rows else {}))

    def _channel(self, channel: Channel) -> Json:
        public = [video for video in self._shelf.videos(channel) if not video.private]
        return channel.render(len(public))

    def _seen(self, video: Video, owner: bool) -> bool:  # noqa: FBT001
        own = owner and bool(self._shelf.channels) and video.channel == self._shelf.channels[0].id
        return own or not video.private


def _envelope(kind: str, items: Sequence[Json], total: int) -> Json:
    info = {"totalResults": total, "resultsPerPage": len(items)}
    listed = resource(f"youtube#{kind}ListResponse", "", pageInfo=info, items={"": list(items)})
    return {"kind": listed["kind"], "etag": listed["etag"], "items": list(items), "pageInfo": info}


def _only(item: Json, query: Query) -> Json:
    """The parts of a resource that were asked for."""
    wanted = {"kind", "etag", "id", *query["part"].split(",")}
    return {name: value for name, value in item.items() if name in wanted}


def _outdated(item: Json) -> Json:
    return item | {"etag": "outdated"}


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise bad_parameter("invalidValue", name)
    return int(text)
