"""Order in line, names and contents of nodes."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from leaderjobs.coordination import paths as names
from leaderjobs.coordination.paths import Paths
from leaderjobs.errors import ConfigError
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition

AT = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        ["b_n_0000000009", "a_n_0000000010"],
        ["b_n_2147483646", "a_n_2147483647", "z_n_-2147483648", "a_n_-2147483647"],
        ["b_n_-0000000001", "a_n_0000000000", "0_n_0000000001"],
        ["b_n_-000000002", "c_n_-000000001"],
    ],
    ids=["tens", "wrap at 2^31", "up to zero", "negative"],
)
def test_the_line_goes_by_the_wrapped_number_and_not_by_text(line: list[str]) -> None:
    shuffled = random.Random(7).sample(line, len(line))
    assert names.in_line(shuffled) == line


def test_what_is_no_candidate_is_not_in_line() -> None:
    assert names.in_line(["x", "a_n_", "a_n_1x", "a_n_0000000001", "_n_3"]) == ["a_n_0000000001"]


def test_a_candidate_tells_whose_it_is() -> None:
    assert names.guid_of("4f-2a_n_0000000001") == "4f-2a"
    assert names.guid_of("leader") is None


def test_parents_come_outermost_first() -> None:
    paths = Paths("/a/b", "shop")
    assert list(paths.parents()) == ["/a", "/a/b", "/a/b/shop", "/a/b/shop/members", "/a/b/shop/partitions"]
    assert paths.shard(2, "s-1") == "/a/b/shop/partitions/2/markers/s-1"
    assert next(iter(Paths("", "shop").parents())) == "/shop"


@pytest.mark.parametrize("cluster", ["", "a/b", "..", ".", "-a", "ü", "a b", "x" * 101])
def test_a_cluster_name_is_one_plain_segment(cluster: str) -> None:
    with pytest.raises(ConfigError, match="cluster name"):
        Paths("", cluster)


def test_contents_come_back_as_they_were() -> None:
    member = Member("m", "g", "h", 1, "0.1", AT, ReplicaPosition(3, AT))
    leader = LeaderInfo("m", "g", 4, AT, AT, 2.5, 77)
    assert names.decode_member(names.encode(member)) == member
    assert names.decode_leader(names.encode(leader)) == leader


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"null", b'{"id":1}'])
def test_what_cannot_be_read_is_none(data: bytes) -> None:
    assert names.decode_member(data) is None
    assert names.decode_leader(data) is None


def test_only_a_plain_number_is_a_token() -> None:
    assert names.decode_token(b"42") == 42
    assert [names.decode_token(data) for data in (b"", b"-1", b" 1", b"1_0", b"9" * 20)] == [None] * 5


def test_a_guid_is_plain() -> None:
    with pytest.raises(ValueError, match="guid"):
        names.check_guid("a/b")
