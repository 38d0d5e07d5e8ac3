"""Names and contents of the nodes, the same for every backend; `base` has the map.

Contents are JSON that a newer or older leaderjobs can read: unknown members are passed over, and what
cannot be read at all is None, never an exception in the middle of an election.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from leaderjobs.errors import ConfigError
from leaderjobs.model.member import LeaderInfo, Member

MOST_SHARD_BYTES: Final = 256 * 1024
"""Of all shards in one heartbeat: a quarter of ZooKeeper's limit for a whole packet (jute.maxbuffer)."""

_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GUID = re.compile(r"[A-Za-z0-9-]{1,64}")
_SHARD = re.compile(r"[a-z0-9-]{1,64}")
_CANDIDATE = re.compile(r"([A-Za-z0-9-]+)_n_(-?\d+)")


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute paths below `root` (empty, or `/a/b`) for one cluster."""

    root: str
    cluster: str

    def __post_init__(self) -> None:
        """Refuse a cluster name that cannot be one path segment."""
        if not _CLUSTER.fullmatch(self.cluster):
            raise ConfigError(
                f"cluster name {self.cluster!r} is not allowed: use up to 100 letters, digits and . _ -"
            )

    @property
    def base(self) -> str:
        """The node that everything of this cluster is below."""
        return f"{self.root}/{self.cluster}"

    @property
    def origin(self) -> str:
        """Holds the random id of this coordinator's data."""
        return f"{self.base}/origin"

    @property
    def members(self) -> str:
        """Parent of one node per member."""
        return f"{self.base}/members"

    def member(self, guid: str) -> str:
        """The node of one member."""
        return f"{self.members}/{guid}"

    def partition(self, partition: int) -> str:
        """Parent of everything about one partition."""
        return f"{self.base}/partitions/{partition}"

    def candidates(self, partition: int) -> str:
        """Parent of the line of those who would lead."""
        return f"{self.partition(partition)}/candidates"

    def candidate(self, partition: int, name: str) -> str:
        """One place in line."""
        return f"{self.candidates(partition)}/{name}"

    def leader(self, partition: int) -> str:
        """Exists for as long as somebody leads; its creation stamp is the token."""
        return f"{self.partition(partition)}/leader"

    def shards(self, partition: int) -> str:
        """Parent of the published markers."""
        return f"{self.partition(partition)}/markers"

    def shard(self, partition: int, name: str) -> str:
        """One group of published markers."""
        return f"{self.shards(partition)}/{name}"

    def resign(self, partition: int) -> str:
        """Holds the token of the leader that a person wants to resign."""
        return f"{self.partition(partition)}/resign"

    def parents(self) -> Iterable[str]:
        """What must exist before a member can join, outermost first."""
        return (*_steps(self.base), self.members, f"{self.base}/partitions")

    def parents_of(self, partition: int) -> Iterable[str]:
        """What must exist besides before anyone can stand in line for `partition`."""
        return (self.partition(partition), self.candidates(partition), self.shards(partition))


def _steps(path: str) -> Iterable[str]:
    segments = path.strip("/").split("/")
    return ("/" + "/".join(segments[: count + 1]) for count in range(len(segments)))


# -- the line ----------------------------------------------------------------------------------------------


def candidate_prefix(guid: str) -> str:
    """What the server appends a sequence number to."""
    return f"{guid}_n_"


def guid_of(candidate: str) -> str | None:
    """Whose place in line this is; None for a node that is no candidate."""
    found = _CANDIDATE.fullmatch(candidate)
    return found[1] if found else None


def in_line(names: Iterable[str]) -> list[str]:
    """The candidates, first come first; names that are none are left out.

    ZooKeeper's counter is a signed 32-bit integer that wraps: after 2147483647 comes -2147483648, whose
    text sorts before everything. So two numbers are compared by the sign of their wrapped difference
    (serial number arithmetic, RFC 1982), right as long as a line is shorter than 2^31.
    """
    numbered = [(int(found[2]), name) for name in names if (found := _CANDIDATE.fullmatch(name))]
    return [name for _, name in sorted(numbered, key=functools.cmp_to_key(_compare))]


def _compare(one: tuple[int, str], other: tuple[int, str]) -> int:
    return (one[0] - other[0] + 2**31) % 2**32 - 2**31


# -- contents ----------------------------------------------------------------------------------------------


def encode(value: Member | LeaderInfo) -> bytes:
    """JSON of a node's content."""
    return msgspec.json.encode(value)


def decode_member(data: bytes) -> Member | None:
    """A member's node, or None when it cannot be read as one."""
    try:
        return msgspec.json.decode(data, type=Member, strict=False)
    except msgspec.MsgspecError:
        return None


def decode_leader(data: bytes) -> LeaderInfo | None:
    """A leader's node, or None when it cannot be read as one."""
    try:
        return msgspec.json.decode(data, type=LeaderInfo, strict=False)
    except msgspec.MsgspecError:
        return None


def decode_token(data: bytes) -> int | None:
    """The token in a request to resign, or None when there is none in it."""
    return int(data) if re.fullmatch(rb"\d{1,19}", data) else None


def check_guid(guid: str) -> str:
    """`guid` itself; ValueError when it cannot be part of a node's name."""
    if not _GUID.fullmatch(guid):
        raise ValueError(f"guid {guid!r} is not allowed: use up to 64 of A-Z a-z 0-9 -")
    return guid


def check_shards(shards: Mapping[str, bytes]) -> None:
    """ValueError for a shard name that is not allowed, or more data than one heartbeat carries."""
    for name in shards:
        if not _SHARD.fullmatch(name):
            raise ValueError(f"shard name {name!r} is not allowed: use up to 64 of a-z 0-9 -")
    size = sum(len(data) for data in shards.values())
    if size > MOST_SHARD_BYTES:
        raise ValueError(
            f"{size} bytes of shards in one heartbeat, at most {MOST_SHARD_BYTES} fit: send fewer"
        )
