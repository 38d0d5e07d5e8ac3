"""What every coordinator promises of sessions, members and the line (leaderjobs/coordination/base.py), over memory and a real ZooKeeper."""

from __future__ import annotations

import pytest

from leaderjobs.coordination.base import Coordinator, CoordinatorEvent
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import ReplicaPosition
from tests.contract.backends import CONNECT, SESSION, Backend, info, lead, member, ready, settle
from tests.support import eventually

CHANGED = CoordinatorEvent.CHANGED
LOST = CoordinatorEvent.LOST


def is_member(coordinator: Coordinator, name: str) -> bool:
    return name in [one.id for one in coordinator.members()]


# -- session and members ------------------------------------------------------------------------------------


def test_everybody_sees_the_same_origin_and_it_outlives_them(backend: Backend) -> None:
    first, second = backend.member("a"), backend.member("b")
    origin = first.origin()
    assert len(origin) == 32
    assert second.origin() == origin
    first.close()
    second.close()
    assert backend.member("c").origin() == origin


def test_the_granted_timeout_is_told(backend: Backend) -> None:
    assert backend.member("a").session_timeout == SESSION


def test_two_clusters_do_not_see_each_other(backend: Backend) -> None:
    shop, bank = backend.member("a"), backend.member("a", cluster="bank")
    assert shop.origin() != bank.origin()
    shop.join(member("a"))
    lead(shop, "a")
    bank.campaign(0)
    assert bank.members() == []
    assert bank.leader(0) is None
    assert bank.first_in_line(0)


def test_two_partitions_have_leaders_of_their_own(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    first, second = lead(a, "a", 0), lead(b, "b", 1)
    assert first.token != second.token
    told = [a.leader(partition) for partition in (0, 1)]
    assert [leader and leader.id for leader in told] == ["a", "b"]
    a.heartbeat(first, info("a"), {})
    b.heartbeat(second, info("b"), {})


def test_members_are_listed_by_since(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    a.join(member("a", minute=5))
    b.join(member("b", minute=2))
    assert a.members() == [member("b", minute=2), member("a", minute=5)]


def test_joining_again_replaces_what_was_said(backend: Backend) -> None:
    a = backend.member("a")
    a.join(member("a"))
    a.join(member("a", minute=7))
    assert a.members() == [member("a", minute=7)]


def test_a_node_that_is_no_member_is_left_out_and_unknown_words_are_passed_over(backend: Backend) -> None:
    a = backend.member("a")
    a.join(member("a"))
    backend.write(backend.paths.member("other"), b"not json")
    newer = b'{"id":"n","guid":"n","host":"h","pid":"3","version":"9","since":"2026-01-01T00:00:00Z","hue":1}'
    backend.write(backend.paths.member("newer"), newer)
    assert [one.id for one in a.members()] == ["n", "a"]


def test_a_member_is_gone_when_it_closes(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    b.join(member("b"))
    assert is_member(a, "b")
    b.close()
    assert not is_member(a, "b")


def test_a_member_joins_again_in_a_new_session(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    b.join(member("b"))
    backend.expire(b)
    backend.events[b].expect(LOST)
    assert not is_member(a, "b")
    b.connect(CONNECT)
    b.join(member("b"))
    assert is_member(a, "b")


def test_a_member_takes_the_place_of_its_node_of_an_earlier_session(backend: Backend) -> None:
    a = backend.member("a")
    backend.write(backend.paths.member("guid-a"), b"{}")
    a.join(member("a"))
    assert a.members() == [member("a")]
    a.close()
    assert backend.member("b").members() == []


def test_a_replica_position_is_published_and_kept_over_sessions(backend: Backend) -> None:
    a = backend.member("a")
    a.acknowledge(ReplicaPosition(3))
    a.join(member("a"))
    assert a.members()[0].replica == ReplicaPosition(3)
    for position in range(4, 20):
        a.acknowledge(ReplicaPosition(position))
    eventually(lambda: a.members()[0].replica == ReplicaPosition(19))
    a.connect(CONNECT)
    a.join(member("a"))
    assert a.members()[0].replica == ReplicaPosition(19)


def test_acknowledging_without_a_node_is_no_error(backend: Backend) -> None:
    a = backend.member("a")
    a.join(member("a"))
    backend.remove(backend.paths.member("guid-a"))
    a.acknowledge(ReplicaPosition(1))
    settle()
    assert a.members() == []


def test_a_closed_coordinator_answers_nobody(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    a.close()
    a.close()
    for call in (a.members, lambda: a.campaign(0), lambda: a.leader(0), lambda: a.withdraw(0)):
        with pytest.raises(CoordinatorUnavailable):
            call()
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    assert backend.events[a].count(LOST) == 0


def test_closing_one_that_never_connected_is_no_error(backend: Backend) -> None:
    never = backend.make("never", "shop")
    backend.events[never] = lambda _: None  # type: ignore[assignment]
    with pytest.raises(CoordinatorUnavailable):
        never.leader(0)
    never.close()


# -- the line -----------------------------------------------------------------------------------------------


def test_nobody_is_first_without_standing_in_line(backend: Backend) -> None:
    a = backend.member("a")
    assert not a.first_in_line(0)
    assert a.claim(0, info("a")) is None
    a.withdraw(0)


def test_first_come_first_in_line(backend: Backend) -> None:
    a, b, c = (backend.member(name) for name in "abc")
    for one in (a, b, c):
        one.campaign(0)
    assert [one.first_in_line(0) for one in (a, b, c)] == [True, False, False]
    a.withdraw(0)
    assert [one.first_in_line(0) for one in (a, b, c)] == [False, True, False]
    b.close()
    assert c.first_in_line(0)


def test_standing_in_line_twice_is_standing_once(backend: Backend) -> None:
    a = backend.member("a")
    a.campaign(0)
    a.campaign(0)
    assert len(backend.candidates()) == 1


def test_a_candidate_whose_creation_was_never_acknowledged_is_found_again(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    b.campaign(0)
    b.withdraw(0)
    backend.lose_answer(a, to="guid-a_n_")
    with pytest.raises(CoordinatorUnavailable):
        a.campaign(0)
    assert len(backend.candidates()) == 1
    eventually(lambda: ready(a))
    b.campaign(0)
    a.campaign(0)
    assert len(backend.candidates()) == 2
    assert a.first_in_line(0)


def test_a_candidate_whose_creation_was_never_acknowledged_can_be_withdrawn(backend: Backend) -> None:
    a = backend.member("a")
    a.campaign(0)
    a.withdraw(0)
    backend.lose_answer(a, to="guid-a_n_")
    with pytest.raises(CoordinatorUnavailable):
        a.campaign(0)
    eventually(lambda: ready(a))
    a.withdraw(0)
    assert backend.candidates() == []


def test_a_death_wakes_the_next_in_line_once_and_nobody_else(backend: Backend) -> None:
    line = [backend.member(name) for name in "abcd"]
    for one in line:
        one.campaign(0)
    for _ in range(3):
        assert [one.first_in_line(0) for one in line] == [True, False, False, False]
    line[0].close()
    backend.events[line[1]].expect(CHANGED)
    settle()
    assert [backend.events[one].count(CHANGED) for one in line[1:]] == [1, 0, 0]


def test_a_death_in_the_middle_joins_the_line_up(backend: Backend) -> None:
    a, b, c = (backend.member(name) for name in "abc")
    for one in (a, b, c):
        one.campaign(0)
        one.first_in_line(0)
    b.close()
    backend.events[c].expect(CHANGED)
    assert not c.first_in_line(0)
    backend.events[c].clear()
    a.close()
    backend.events[c].expect(CHANGED)
    assert c.first_in_line(0)


def test_a_candidate_that_was_deleted_is_told_and_stands_again(backend: Backend) -> None:
    a = backend.member("a")
    a.campaign(0)
    assert a.first_in_line(0)
    backend.remove(backend.paths.candidate(0, backend.candidates()[0]))
    backend.events[a].expect(CHANGED)
    assert a.claim(0, info("a")) is None
    assert not a.first_in_line(0)
    a.campaign(0)
    assert a.first_in_line(0)


def test_the_head_waits_for_a_leader_node_that_is_still_there(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    b.campaign(0)
    backend.remove(backend.paths.candidate(0, claim.candidate))
    assert not b.first_in_line(0)
    assert b.claim(0, info("b")) is None
    a.resign(claim)
    backend.events[b].expect(CHANGED)
    assert b.first_in_line(0)
