"""What every coordinator promises (leaderjobs/coordination/base.py), over memory and a real ZooKeeper."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent
from leaderjobs.coordination.paths import MOST_SHARD_BYTES
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import ReplicaPosition
from tests.contract.backends import (
    CONNECT,
    SESSION,
    Backend,
    MemoryBackend,
    Shards,
    ZooKeeperBackend,
    info,
    member,
)
from tests.support import eventually

CHANGED, LOST = CoordinatorEvent.CHANGED, CoordinatorEvent.LOST
SUSPENDED, RESUMED = CoordinatorEvent.SUSPENDED, CoordinatorEvent.RESUMED
SETTLE_SECONDS = 0.2
"""For events that must not come."""


@pytest.fixture(params=["memory", "zookeeper"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "memory":
        made: Backend = MemoryBackend()
    else:
        made = ZooKeeperBackend(request.getfixturevalue("zookeeper_url"))
    with made:
        yield made


def lead(coordinator: Coordinator, name: str, partition: int = 0) -> Claim:
    coordinator.campaign(partition)
    claim = coordinator.claim(partition, info(name))
    assert claim is not None
    return claim


def settle() -> None:
    threading.Event().wait(SETTLE_SECONDS)


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
    eventually(lambda: _ready(a))
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
    eventually(lambda: _ready(a))
    a.withdraw(0)
    assert backend.candidates() == []


def _ready(coordinator: Coordinator) -> bool:
    try:
        coordinator.leader(0)
    except CoordinatorUnavailable:
        return False
    return True


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


# -- the claim ----------------------------------------------------------------------------------------------


def test_one_leads_and_everybody_can_read_who(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    assert b.leader(0) is None
    before = elapsed()
    claim = lead(a, "a")
    assert before <= claim.sent_at <= elapsed()
    b.campaign(0)
    assert b.claim(0, info("b")) is None
    leader = b.leader(0)
    assert leader is not None
    assert (leader.id, leader.token) == ("a", claim.token)


def test_of_two_who_claim_at_once_one_wins(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    both = {a: "a", b: "b"}
    for _ in range(5):
        for one in both:
            one.campaign(0)
        with ThreadPoolExecutor(len(both)) as pool:
            sent = {one: pool.submit(one.claim, 0, info(name)) for one, name in both.items()}
        won = {one: answer.result() for one, answer in sent.items()}
        winners = [(one, claim) for one, claim in won.items() if claim is not None]
        assert len(winners) == 1
        winners[0][0].resign(winners[0][1])


def test_a_claim_whose_answer_was_lost_is_read_back(backend: Backend) -> None:
    a = backend.member("a")
    a.campaign(0)
    backend.lose_answer(a, to="/leader")
    claim = a.claim(0, info("a"))
    assert claim is not None
    assert a.heartbeat(claim, info("a", 1), {"s": b"1"}) >= claim.sent_at
    leader = a.leader(0)
    assert leader is not None
    assert leader.token == claim.token


def test_tokens_rise_also_when_an_older_candidate_follows_a_younger(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    a.campaign(0)
    tokens = []
    for _ in range(5):
        b.campaign(0)
        claim = b.claim(0, info("b"))
        assert claim is not None
        b.resign(claim)
        tokens.append(claim.token)
    older = a.claim(0, info("a"))
    assert older is not None
    tokens.append(older.token)
    assert tokens == sorted(set(tokens))


def test_a_term_that_ended_without_resigning_is_followed_by_one_with_a_new_token(backend: Backend) -> None:
    a = backend.member("a")
    first = lead(a, "a")
    a.campaign(0)
    assert a.first_in_line(0)
    second = a.claim(0, info("a"))
    assert second is not None
    assert second.token > first.token
    with pytest.raises(LeadershipLost):
        a.heartbeat(first, info("a"), {})
    a.heartbeat(second, info("a"), {})


# -- the heartbeat ------------------------------------------------------------------------------------------


def test_a_heartbeat_says_when_it_was_sent_and_carries_info_and_shards(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    shards = Shards()
    b.watch_shards(0, shards)
    claim = lead(a, "a")
    for number in range(1, 4):
        before = elapsed()
        sent_at = a.heartbeat(claim, info("a", number), {"s-1": b"%d" % number, f"s-{number}x": b"x"})
        assert before <= sent_at <= elapsed()
    leader = b.leader(0)
    assert leader is not None
    assert (leader.number, leader.token) == (3, claim.token)
    shards.expect({"s-1": b"3", "s-1x": b"x", "s-2x": b"x", "s-3x": b"x"})


@pytest.mark.parametrize("gone", ["candidate", "leader"])
def test_a_heartbeat_without_its_nodes_is_refused_whole(backend: Backend, gone: str) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"before"})
    path = backend.paths.leader(0) if gone == "leader" else backend.paths.candidate(0, claim.candidate)
    backend.remove(path)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {"s": b"after", "new": b"after"})
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    shards = Shards()
    b.watch_shards(0, shards)
    shards.expect({"s": b"before"})
    settle()
    shards.expect({"s": b"before"})


@pytest.mark.parametrize("gone", ["candidate", "leader"])
def test_whoever_lost_the_lead_to_an_operator_leaves_nothing_that_blocks_the_line(
    backend: Backend, gone: str
) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    b.campaign(0)
    backend.remove(
        backend.paths.leader(0) if gone == "leader" else backend.paths.candidate(0, claim.candidate)
    )
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    a.resign(claim)
    a.campaign(0)
    assert b.first_in_line(0)
    assert b.claim(0, info("b")) is not None


def test_campaigning_again_clears_a_leader_node_without_a_candidate(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    b.campaign(0)
    backend.remove(backend.paths.candidate(0, claim.candidate))
    a.campaign(0)
    assert b.leader(0) is None
    assert b.first_in_line(0)


def test_a_heartbeat_whose_answer_was_lost_raises_and_the_next_goes_on(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"0"})
    backend.lose_answer(a, to="/leader")
    with pytest.raises(CoordinatorUnavailable):
        a.heartbeat(claim, info("a"), {"s": b"1"})
    eventually(lambda: _ready(a))
    before = elapsed()
    assert a.heartbeat(claim, info("a"), {"s": b"1"}) >= before


def test_a_member_that_is_cut_off_knows_nothing_until_it_is_back(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    backend.suspend(a)
    backend.events[a].expect(SUSPENDED)
    before = elapsed()
    with pytest.raises(CoordinatorUnavailable):
        a.heartbeat(claim, info("a"), {})
    with pytest.raises(CoordinatorUnavailable):
        a.first_in_line(0)
    assert elapsed() - before < 1
    backend.resume(a)
    backend.events[a].expect(RESUMED)
    a.heartbeat(claim, info("a"), {})
    assert backend.events[a].count(LOST) == 0


def test_a_claim_dies_with_its_session_and_is_not_kept_up_by_the_next(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    backend.expire(a)
    backend.events[a].expect(LOST)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    with pytest.raises(CoordinatorUnavailable):
        a.campaign(0)
    a.connect(CONNECT)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    assert not a.first_in_line(0)
    assert lead(a, "a").token > claim.token
    assert backend.events[a].count(LOST) == 1


def test_a_session_that_expired_while_cut_off_is_told_lost_when_connected(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    lead(a, "a")
    b.campaign(0)
    b.first_in_line(0)
    backend.suspend(a)
    backend.expire(a)
    backend.events[b].expect(CHANGED)
    settle()
    assert backend.events[a].count(LOST) == 0
    backend.resume(a)
    backend.events[a].expect(LOST)
    assert backend.events[a].count(RESUMED) == 0


def test_shards_have_plain_names_and_a_bounded_size(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    for name in ("Upper", "sla/sh", "", "dot.dot"):
        with pytest.raises(ValueError, match="shard name"):
            a.heartbeat(claim, info("a"), {name: b""})
    with pytest.raises(ValueError, match="bytes of shards"):
        a.heartbeat(claim, info("a"), {"a": b"x" * MOST_SHARD_BYTES, "b": b"x"})
    half = b"x" * (MOST_SHARD_BYTES // 2)
    a.heartbeat(claim, info("a"), {"a": half, "b": half})


def test_a_shard_that_was_deleted_is_made_again(backend: Backend) -> None:
    a = backend.member("a")
    claim = lead(a, "a")
    a.heartbeat(claim, info("a"), {"s": b"1", "t": b"1"})
    backend.remove(backend.paths.shard(0, "s"))
    a.heartbeat(claim, info("a"), {"s": b"2", "t": b"2", "u": b"2"})
    shards = Shards()
    a.watch_shards(0, shards)
    shards.expect({"s": b"2", "t": b"2", "u": b"2"})


# -- resigning ----------------------------------------------------------------------------------------------


def test_resigning_hands_over_at_once_and_twice_is_no_error(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    b.campaign(0)
    assert not b.first_in_line(0)
    a.resign(claim)
    assert b.leader(0) is None
    assert b.first_in_line(0)
    a.resign(claim)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    a.campaign(0)
    assert not a.first_in_line(0)


def test_resigning_an_old_claim_leaves_a_newer_one_alone(backend: Backend) -> None:
    a = backend.member("a")
    old = lead(a, "a")
    a.resign(old)
    new = lead(a, "a")
    a.resign(old)
    a.heartbeat(new, info("a"), {})


def test_a_request_to_resign_reaches_the_leader_of_that_token_only(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    first = lead(a, "a")
    assert not a.resign_requested(first)
    b.request_resign(0, first.token + 1000)
    settle()
    assert not a.resign_requested(first)
    backend.events[a].clear()
    b.request_resign(0, first.token)
    eventually(lambda: a.resign_requested(first))
    backend.events[a].expect(CHANGED)
    a.resign(first)
    second = lead(a, "a")
    settle()
    assert not a.resign_requested(second)
    b.request_resign(0, second.token)
    eventually(lambda: a.resign_requested(second))


def test_a_request_to_resign_is_seen_after_the_connection_broke(backend: Backend) -> None:
    a, b = backend.member("a"), backend.member("b")
    claim = lead(a, "a")
    backend.suspend(a)
    b.request_resign(0, claim.token)
    backend.resume(a)
    backend.events[a].expect(RESUMED)
    a.heartbeat(claim, info("a"), {})
    eventually(lambda: a.resign_requested(claim))


def test_a_request_to_resign_can_be_made_where_nobody_ever_led(backend: Backend) -> None:
    backend.member("a").request_resign(3, 1)


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
