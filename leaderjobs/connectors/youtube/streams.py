"""What YouTube's streams are called and which of their values people query.

YouTube writes counts as text, because they are 64-bit; a NUMERIC column reads them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaderjobs.model.stream import Column, ColumnType, CursorKind, Stream

_COUNT = ColumnType.NUMERIC
_TEXT = ColumnType.TEXT
_TIME = ColumnType.TIMESTAMP

CHANNELS = Stream(
    name="channels",
    key=("id",),
    comment="The configured channels as of the last sync; one that is gone at YouTube is deleted",
    cost="1 unit per 50 channels, and 1 per handle",
    columns=(
        Column("title", _TEXT, ("snippet", "title")),
        Column("handle", _TEXT, ("snippet", "customUrl"), "With its @"),
        Column("published_at", _TIME, ("snippet", "publishedAt"), "When the channel was made"),
        Column("country", _TEXT, ("snippet", "country"), "As its owner says"),
        Column("uploads_playlist_id", _TEXT, ("contentDetails", "relatedPlaylists", "uploads")),
        Column(
            "subscribers", _COUNT, ("statistics", "subscriberCount"), "Rounded by YouTube; null where hidden"
        ),
        Column("videos", _COUNT, ("statistics", "videoCount"), "Public ones"),
        Column("views", _COUNT, ("statistics", "viewCount"), "Of all its videos, ever"),
    ),
)

UPLOADS = Stream(
    name="uploads",
    key=("id",),
    comment="Entries of the channels' playlists of uploads; those not met by the last full walk are deleted",
    cursor=CursorKind.NEWER,
    cost="1 unit per channel and per 50 new videos; each refresh_every 1 per 50 videos there are",
    columns=(
        Column("video_id", _TEXT, ("contentDetails", "videoId"), "Key in youtube.videos", indexed=True),
        Column("channel_id", _TEXT, ("snippet", "channelId"), "Key in youtube.channels", indexed=True),
        Column("added_at", _TIME, ("snippet", "publishedAt"), "When it came into the playlist", indexed=True),
        Column("published_at", _TIME, ("contentDetails", "videoPublishedAt"), "When the video was published"),
        Column("title", _TEXT, ("snippet", "title")),
    ),
)

VIDEOS = Stream(
    name="videos",
    key=("id",),
    comment="Videos of the channels with their counts as of the last sync; those nobody may see are deleted",
    cost="2 units per 50 videos",
    columns=(
        Column("channel_id", _TEXT, ("snippet", "channelId"), "Key in youtube.channels", indexed=True),
        Column("published_at", _TIME, ("snippet", "publishedAt"), "When it was published", indexed=True),
        Column("title", _TEXT, ("snippet", "title")),
        Column(
            "duration", _TEXT, ("contentDetails", "duration"), "ISO 8601, such as PT4M13S; P0D while live"
        ),
        Column("views", _COUNT, ("statistics", "viewCount")),
        Column("likes", _COUNT, ("statistics", "likeCount"), "Null where they are hidden"),
        Column("comments", _COUNT, ("statistics", "commentCount"), "Null where comments are disabled"),
        Column("privacy", _TEXT, ("status", "privacyStatus"), "public, unlisted, private"),
        Column("made_for_kids", ColumnType.BOOLEAN, ("status", "madeForKids")),
    ),
)

_TOP = ("snippet", "topLevelComment", "snippet")
COMMENTS = Stream(
    name="comments",
    key=("id",),
    comment="Comment threads of the channels and their videos, with up to five replies in doc; "
    "those not met by the last full walk are deleted",
    cursor=CursorKind.NEWER,
    cost="1 unit per channel and per 100 new threads; each refresh_every 1 per 100 threads there are",
    columns=(
        Column(
            "channel_id", _TEXT, ("snippet", "channelId"), "Whose channel or video it is about", indexed=True
        ),
        Column("video_id", _TEXT, ("snippet", "videoId"), "Null for one about the channel", indexed=True),
        Column("author", _TEXT, (*_TOP, "authorDisplayName")),
        Column("author_channel_id", _TEXT, (*_TOP, "authorChannelId", "value")),
        Column("text", _TEXT, (*_TOP, "textDisplay"), "Without markup"),
        Column("likes", _COUNT, (*_TOP, "likeCount")),
        Column(
            "replies", _COUNT, ("snippet", "totalReplyCount"), "How many there are, also beyond those in doc"
        ),
        Column("published_at", _TIME, (*_TOP, "publishedAt"), indexed=True),
        Column("updated_at", _TIME, (*_TOP, "updatedAt"), "Of the comment that began it"),
    ),
)

DATA_STREAMS = (CHANNELS, UPLOADS, VIDEOS, COMMENTS)
"""Of the Data API: what every connection has."""

DAY = "day"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def report_stream(name: str, dimensions: Sequence[str], metrics: Sequence[str]) -> Stream:
    """One report of YouTube Analytics; its rows are objects with a member for each dimension and metric."""
    columns = [
        Column(_snake(each), ColumnType.DATE, (each,), "In Pacific time", indexed=True)
        if each == DAY
        else Column(_snake(each), _TEXT, (each,), f"YouTube's dimension {each}")
        for each in dimensions
    ]
    columns += [Column(_snake(each), _COUNT, (each,), f"YouTube's metric {each}") for each in metrics]
    return Stream(
        name=name,
        key=tuple(dimensions),
        comment=f"YouTube Analytics: {', '.join(metrics)} by {', '.join(dimensions)}; restated for days",
        columns=tuple(columns),
        cursor=CursorKind.WINDOW,
        cost="2 requests per 30 days asked for; none of the Data API's units",
        windowed=True,
    )


def _snake(name: str) -> str:
    """As SQL is written: `estimatedMinutesWatched` becomes `estimated_minutes_watched`."""
    return _HUMP.sub("_", name).lower()
