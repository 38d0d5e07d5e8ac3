"""Every column of our streams reads a member that the provider's official description has."""

from __future__ import annotations

import pytest

from leaderjobs.connectors.plaid.streams import ACCOUNTS, TRANSACTIONS
from leaderjobs.connectors.stripe.streams import SOURCES
from leaderjobs.connectors.youtube.streams import CHANNELS, COMMENTS, UPLOADS, VIDEOS
from leaderjobs.model.stream import Stream
from tests.contract.official import Description

STREAMS = [
    ("plaid", "POST /accounts/get", "accounts", ACCOUNTS),
    ("plaid", "POST /transactions/sync", "added", TRANSACTIONS),
    ("youtube", "GET /youtube/v3/channels", "items", CHANNELS),
    ("youtube", "GET /youtube/v3/playlistItems", "items", UPLOADS),
    ("youtube", "GET /youtube/v3/videos", "items", VIDEOS),
    ("youtube", "GET /youtube/v3/commentThreads", "items", COMMENTS),
    *(("stripe", f"GET {source.path}", "data", source.stream) for source in SOURCES),
]


@pytest.mark.parametrize(
    ("name", "operation", "member", "stream"),
    STREAMS,
    ids=lambda value: value.name if isinstance(value, Stream) else "",
)
def test_its_key_and_columns_are_members_of_the_rows(
    name: str, operation: str, member: str, stream: Stream
) -> None:
    official = Description.load(name)
    method, path = operation.split(" ")
    for column in [*((key,) for key in stream.key), *(column.path for column in stream.columns)]:
        assert official.has(method, path, (member, *column)), f"{stream.name}: {'.'.join(column)}"
