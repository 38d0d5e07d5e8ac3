"""What there is at the sandbox's YouTube: channels, videos in their order, comment threads.

Everything is a frozen record with the little that tells it from the next; the rest of a resource is made from
it. Counts are text, as YouTube writes what has 64 bits, and some are beyond what a float holds.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]
BEYOND_FLOAT = 2**53 + 1
_FIRST = datetime(2015, 1, 1, tzinfo=UTC)
_STEP = timedelta(minutes=17)
_TITLES = ("Unboxing", 'Café "Zürich" & Söhne', "ラーメン横丁 🍜", "O'Reilly\\Parts", "100% <b>real</b>")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel; its uploads are a playlist of their own."""

    id: str
    number: int
    version: int = 0
    comments: bool = True
    """Whether anybody may comment."""

    @property
    def uploads(self) -> str:
        """Its playlist."""
        return "UU" + self.id[2:]

    @property
    def handle(self) -> str:
        """With its @."""
        return f"@channel{self.number}"

    def render(self, videos: int) -> Json:
        """The `channel` resource."""
        title = f"Channel {self.number}, {_TITLES[self.version % len(_TITLES)]}"
        return resource(
            "youtube#channel",
            self.id,
            snippet={
                "title": title,
                "description": "",
                "customUrl": self.handle,
                "publishedAt": "2012-05-01T09:00:00Z",
                "thumbnails": {},
                "localized": {"title": title, "description": ""},
                "country": "AT",
            },
            contentDetails={"relatedPlaylists": {"likes": "", "uploads": self.uploads}},
            statistics={
                "viewCount": str(BEYOND_FLOAT + self.number),
                "subscriberCount": str(1000 + self.version),
                "hiddenSubscriberCount": False,
                "videoCount": str(videos),
            },
            status={"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "allowed"},
        )


@dataclass(frozen=True, slots=True)
class Video:
    """A video, and its entry in the playlist of uploads."""

    id: str
    channel: str
    number: int
    at: datetime
    version: int = 0
    private: bool = False

    def entry(self) -> Json:
        """The `playlistItem` resource; its position is left at 0, or every upload would change them all."""
        playlist = "UU" + self.channel[2:]
        title = "Private video" if self.private else self._title()
        published = {} if self.private else {"videoPublishedAt": stamp(self.at)}
        identity = base64.b64encode(f"{playlist}.{self.id}".encode()).decode().rstrip("=")
        return resource(
            "youtube#playlistItem",
            identity,
            snippet={
                "publishedAt": stamp(self.at),
                "channelId": self.channel,
                "title": title,
                "description": "",
                "thumbnails": {},
                "channelTitle": "Channel",
                "playlistId": playlist,
                "position": 0,
                "resourceId": {"kind": "youtube#video", "videoId": self.id},
            },
            contentDetails={"videoId": self.id, **published},
        )

    def render(self) -> Json:
        """The `video` resource."""
        return resource(
            "youtube#video",
            self.id,
            snippet={
                "publishedAt": stamp(self.at),
                "channelId": self.channel,
                "title": self._title(),
                "description": "",
                "thumbnails": {},
                "channelTitle": "Channel",
                "categoryId": "22",
                "liveBroadcastContent": "none",
            },
            contentDetails={
                "duration": f"PT{1 + self.number % 50}M{self.number % 60}S",
                "dimension": "2d",
                "definition": "hd",
                "caption": "false",
            },
            statistics={
                "viewCount": str(BEYOND_FLOAT + self.number + self.version),
                "likeCount": str(self.number * 7),
                "favoriteCount": "0",
                "commentCount": str(self.number % 90),
            },
            status={
                "uploadStatus": "processed",
                "privacyStatus": "private" if self.private else "public",
                "license": "youtube",
                "embeddable": True,
                "madeForKids": False,
            },
        )

    def _title(self) -> str:
        return f"{_TITLES[self.number % len(_TITLES)]} {self.number}" + "!" * self.version


@dataclass(frozen=True, slots=True)
class Thread:
    """A comment and its replies."""

    id: str
    channel: str
    video: str
    number: int
    at: datetime
    edited: datetime | None = None
    version: int = 0

    def render(self) -> Json:
        """The `commentThread` resource."""
        about = {"channelId": self.channel, "videoId": self.video}
        text = f"{_TITLES[self.number % len(_TITLES)]}{'?' * self.version}"
        comment = resource(
            "youtube#comment",
            self.id,
            snippet={
                **about,
                "textDisplay": text,
                "textOriginal": text,
                "authorDisplayName": f"@viewer{self.number}",
                "authorProfileImageUrl": "",
                "authorChannelUrl": "",
                "authorChannelId": {"value": channel_id(f"viewer/{self.number}")},
                "canRate": True,
                "viewerRating": "none",
                "likeCount": self.number % 11,
                "publishedAt": stamp(self.at),
                "updatedAt": stamp(self.edited or self.at),
            },
        )
        return resource(
            "youtube#commentThread",
            self.id,
            snippet={
                **about,
                "topLevelComment": comment,
                "canReply": True,
                "totalReplyCount": 0,
                "isPublic": True,
            },
        )


def resource(kind: str, identity: str, **parts: Json) -> Json:
    """A resource with an etag, which is another one where anything in it is."""
    content = msgspec.json.encode(parts)
    digest = hashlib.blake2b(content, digest_size=20).digest()
    etag = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return {"kind": kind, "etag": etag, "id": identity, **parts}


def stamp(instant: datetime) -> str:
    """An instant as YouTube writes it, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def channel_id(seed: str) -> str:
    """An id as those of channels look."""
    return f"UC{_word(seed, 22)}"


def video_id(seed: str) -> str:
    """An id as those of videos look: 11 characters, and case matters."""
    return _word(seed, 11)


def thread_id(seed: str) -> str:
    """An id as those of comments look."""
    return f"Ug{_word(seed, 24)}"


def _word(seed: str, length: int) -> str:
    digest = hashlib.blake2b(seed.encode(), digest_size=24).digest()
    return base64.urlsafe_b64encode(digest).decode()[:length]


def long_ago(number: int) -> datetime:
    """When the `number`-th of those that were there from the beginning came."""
    return _FIRST + number * _STEP


class Shelf:
    """Everything there is; whoever uses it holds the sandbox's lock."""

    def __init__(self, seed: int, channels: int, videos: int, threads: int) -> None:
        """So many videos and threads in each channel."""
        self._seed = seed
        self._made = 0
        self.version = 0
        """Rises with every change."""
        self.channels = [Channel(channel_id(f"{seed}/{number}"), number) for number in range(channels)]
        self._videos: dict[str, Video] = {}
        self._threads: dict[str, Thread] = {}
        for channel in self.channels:
            for number in range(videos):
                self.add_video(channel, long_ago(number))
            of_channel = self.videos(channel)
            for number in range(threads):
                self.add_thread(channel, of_channel[number % videos].id if videos else "", long_ago(number))

    def channel(self, name: str) -> Channel | None:
        """The one with this id, handle or playlist of uploads."""
        return next(
            (found for found in self.channels if name in {found.id, found.handle, found.uploads}), None
        )

    def video(self, name: str) -> Video | None:
        """The one with this id."""
        return self._videos.get(name)

    def videos(self, channel: Channel) -> list[Video]:
        """A channel's, newest first; of equal ones the later made."""
        found = [video for video in self._videos.values() if video.channel == channel.id]
        return sorted(found, key=lambda video: (video.at, video.number), reverse=True)

    def threads(self, channel: Channel) -> list[Thread]:
        """Those about a channel and its videos, newest first."""
        found = [thread for thread in self._threads.values() if thread.channel == channel.id]
        return sorted(found, key=lambda thread: (thread.at, thread.number), reverse=True)

    def add_video(self, channel: Channel, at: datetime) -> str:
        """A new upload; its id."""
        number = self._next()
        made = Video(video_id(f"{self._seed}/video/{number}"), channel.id, number, at)
        self._videos[made.id] = made
        return made.id

    def add_thread(self, channel: Channel, video: str, at: datetime) -> str:
        """A new comment; its id."""
        number = self._next()
        made = Thread(thread_id(f"{self._seed}/thread/{number}"), channel.id, video, number, at)
        self._threads[made.id] = made
        return made.id

    def change(self, changed: Channel | Video | Thread) -> None:
        """Put a record in the place of the one with its id."""
        self._next()
        match changed:
            case Channel():
                self.channels = [changed if each.id == changed.id else each for each in self.channels]
            case Video():
                self._videos[changed.id] = changed
            case Thread():
                self._threads[changed.id] = changed

    def drop(self, identity: str) -> None:
        """A video, a thread or a whole channel is gone."""
        self._next()
        self.channels = [each for each in self.channels if each.id != identity]
        self._videos.pop(identity, None)
        self._threads.pop(identity, None)

    def all_videos(self) -> list[Video]:
        """Of the channels that exist."""
        return [video for channel in self.channels for video in self.videos(channel)]

    def all_threads(self) -> list[Thread]:
        """Of the channels that exist and may be commented on."""
        return [thread for channel in self.channels if channel.comments for thread in self.threads(channel)]

    def _next(self) -> int:
        self.version += 1
        self._made += 1
        return self._made


def newer(video: Video) -> Video:
    """The same video with another title and more views."""
    return replace(video, version=video.version + 1)
