"""What every coordinator promises of markers, and when its data is lost (leaderjobs/coordination/base.py), over memory and a real ZooKeeper."""

from __future__ import annotations

import pytest

from leaderjobs.coordination.base import CoordinatorEvent
from leaderjobs.errors import LeadershipLost
from tests.contract.backends import CONNECT, Backend, Shards, info, lead, member

RESUMED = CoordinatorEvent.RESUMED
LOST = CoordinatorEvent.LOST


# -- markers ------------------------------------------------------------------------------------------------


def test_whoever_watches_shards_is_told_what_is_there_and_the_latest_afterwards(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"early": b"1"})
    shards, others = Shards(), Shards()
    b.watch_shards(0, shards)
    b.watch_shards(1, others)
    shards.expect({"early": b"1"})
    for number in range(50):
        a.heartbeat(claim, info("a"), {"early": b"%d" % number, "late": b"%d" % number})
    shards.expect({"early": b"49", "late": b"49"})
    others.expect({})


def test_watched_shards_survive_breaks_and_new_sessions_of_the_watcher(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    shards = Shards()
    b.watch_shards(0, shards)
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"1"})
    shards.expect({"s": b"1"})
    backend.suspend(b)
    a.heartbeat(claim, info("a"), {"s": b"2", "t": b"2"})
    backend.resume(b)
    shards.expect({"s": b"2", "t": b"2"})
    backend.events[b].expect(RESUMED)
    backend.expire(b)
    backend.events[b].expect(LOST)
    b.connect(CONNECT)
    a.heartbeat(claim, info("a"), {"s": b"3"})
    shards.expect({"s": b"3", "t": b"2"})
    b.close()
    b.connect(CONNECT)
    a.heartbeat(claim, info("a"), {"t": b"4"})
    shards.expect({"s": b"3", "t": b"4"})


# -- data that is lost --------------------------------------------------------------------------------------


def test_wiped_data_ends_the_term_and_has_another_origin(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    origin = a.origin()
    claim = lead(a, "a")
    b.campaign(0)
    backend.wipe()
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {"s": b"1"})
    assert not b.first_in_line(0)
    assert a.members() == []
    assert a.leader(0) is None
    b.campaign(0)
    assert b.first_in_line(0)
    assert b.origin() != origin
    a.connect(CONNECT)
    assert a.origin() == b.origin()


def test_whoever_campaigns_after_another_made_the_data_again_sees_its_origin(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    origin = b.origin()
    backend.wipe()
    a.campaign(0)
    b.join(member("b"))
    b.campaign(0)
    assert a.origin() == b.origin() != origin


def test_shards_are_watched_through_a_wipe(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    shards = Shards()
    b.watch_shards(0, shards)
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"1"})
    shards.expect({"s": b"1"})
    backend.wipe()
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"2"})
    shards.expect({"s": b"2"})
