"""The form in which markers travel to followers: a few shards, each a small JSON document.

A shard carries who wrote it (`origin`, `token`, `term`) and its own rising `flush`, so that a reader
that meets an older copy, on its own disk or at a server that lags, can tell. Cursors and rows do not
travel: a replica shows how far things are, Postgres says where to go on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from leaderjobs.model.marker import Marker

SHARDS = 8
"""Fixed, so that every term writes the same nodes: 8 × 32 KB hold about 2,000 streams."""
MOST_SHARD_BYTES = 32 * 1024
"""Far below ZooKeeper's 1 MB node limit, and 8 of them fit one heartbeat of 256 KB."""


class MarkerCopy(msgspec.Struct, frozen=True, array_like=True):
    """What a follower knows of one marker."""

    connection: str
    stream: str
    sequence: int
    rows: int
    committed_at: datetime


class Shard(msgspec.Struct, frozen=True):
    """One node's content; `left_out` counts markers that did not fit (the oldest)."""

    origin: str
    token: int
    term: int
    flush: int
    markers: tuple[MarkerCopy, ...]
    left_out: int = 0

    def newer_than(self, other: Shard | None) -> bool:
        """Whether this copy replaces `other`; tokens only compare within one origin."""
        if other is None or self.origin != other.origin:
            return True
        return (self.token, self.flush) > (other.token, other.flush)


def name_of(connection: str, stream: str) -> str:
    """The shard that a marker belongs to; the same on every member and version."""
    return f"shard-{zlib.crc32(f'{connection}/{stream}'.encode()) % SHARDS}"


def all_names() -> list[str]:
    """Every shard's name."""
    return [f"shard-{number}" for number in range(SHARDS)]


def copy_of(marker: Marker) -> MarkerCopy:
    """The part of a marker that travels."""
    return MarkerCopy(marker.connection, marker.stream, marker.sequence, marker.rows, marker.committed_at)


def encode(origin: str, token: int, term: int, flush: int, copies: Iterable[MarkerCopy]) -> bytes:
    """A shard within its size bound: where it would be larger, the markers that moved last are kept."""
    newest_first = sorted(copies, key=lambda copy: copy.committed_at, reverse=True)
    kept: list[MarkerCopy] = []
    room = MOST_SHARD_BYTES - 256
    for copy in newest_first:
        room -= len(msgspec.json.encode(copy)) + 1
        if room < 0:
            break
        kept.append(copy)
    shard = Shard(origin, token, term, flush, tuple(kept), len(newest_first) - len(kept))
    return msgspec.json.encode(shard)


def decode(data: bytes) -> Shard | None:
    """The shard in `data`; None when it is not one (empty, or written by something else)."""
    try:
        return msgspec.json.decode(data, type=Shard)
    except msgspec.MsgspecError:
        return None
