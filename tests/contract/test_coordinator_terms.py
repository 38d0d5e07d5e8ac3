"""What every coordinator promises of claims, heartbeats and resigning (leaderjobs/coordination/base.py), over memory and a real ZooKeeper."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import CoordinatorEvent
from leaderjobs.coordination.paths import MOST_SHARD_BYTES
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from tests.contract.backends import CONNECT, Backend, Shards, info, lead, ready, settle
from tests.support import eventually

CHANGED = CoordinatorEvent.CHANGED
SUSPENDED = CoordinatorEvent.SUSPENDED
RESUMED = CoordinatorEvent.RESUMED
LOST = CoordinatorEvent.LOST


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
    eventually(lambda: ready(a))
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
