"""What only a real ZooKeeper and a bad network can do to a coordinator (the traps that kazoo sets)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from kazoo.exceptions import SessionExpiredError

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import Claim, CoordinatorEvent
from leaderjobs.coordination.zookeeper import ZooKeeperCoordinator
from leaderjobs.coordination.zookeeper_client import StrictClient
from leaderjobs.coordination.zookeeper_session import REQUEST_SHARE
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import ReplicaPosition
from tests.contract.backends import CLUSTER, CONNECT, Events, Shards, info, member
from tests.support import eventually
from tests.support_proxy import TcpProxy

T = timedelta(seconds=3)
PATIENCE = T.total_seconds() * REQUEST_SHARE
SLACK = 1.0
"""For a machine that has other things to do."""

Make = Callable[..., ZooKeeperCoordinator]


@pytest.fixture
def proxy(zookeeper_server: ZooKeeperServer) -> Iterator[TcpProxy]:
    host, _, port = zookeeper_server.address.partition(":")
    with TcpProxy(host, int(port)) as proxy:
        yield proxy


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[ZooKeeperCoordinator] = []

    def make(
        address: str, name: str, events: Events | None = None, timeout: timedelta = T
    ) -> ZooKeeperCoordinator:
        coordinator = ZooKeeperCoordinator(f"zookeeper://{address}", CLUSTER, f"guid-{name}", timeout)
        made.append(coordinator)
        coordinator.listen(events or Events())
        coordinator.connect(CONNECT)
        return coordinator

    yield make
    for coordinator in made:
        coordinator.close()


def through(proxy: TcpProxy, url: str) -> str:
    """`url` without its scheme, its server replaced by the proxy."""
    return f"{proxy.address}/{url.rpartition('/')[2]}"


def lead(coordinator: ZooKeeperCoordinator, name: str = "a") -> Claim:
    coordinator.campaign(0)
    claim = coordinator.claim(0, info(name))
    assert claim is not None
    return claim


def client_of(coordinator: ZooKeeperCoordinator) -> StrictClient:
    assert coordinator._work is not None
    return coordinator._work.session._client


def unanswered(coordinator: ZooKeeperCoordinator) -> int:
    client = client_of(coordinator)
    return len(client._queue) + len(client._pending)


# -- a link that swallows everything ------------------------------------------------------------------------


def test_an_idle_member_notices_a_dead_link(proxy: TcpProxy, zookeeper_url: str, make: Make) -> None:
    events = Events()
    a = make(through(proxy, zookeeper_url), "a", events)
    claim = lead(a)
    began = elapsed()
    proxy.black_hole()
    events.expect(CoordinatorEvent.SUSPENDED)
    assert elapsed() - began < T.total_seconds() + SLACK
    asked = elapsed()
    for call in (lambda: a.heartbeat(claim, info("a"), {}), a.members, lambda: a.campaign(0)):
        with pytest.raises(CoordinatorUnavailable):
            call()
    assert elapsed() - asked < PATIENCE
    assert unanswered(a) == 0


def test_a_busy_member_notices_a_dead_link_and_sends_one_request_into_it(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    events = Events()
    a = make(through(proxy, zookeeper_url), "a", events)
    claim = lead(a)
    a.heartbeat(claim, info("a"), {})
    began = elapsed()
    proxy.black_hole()
    most, slowest = 0, 0.0
    while not events.count(CoordinatorEvent.SUSPENDED):
        asked = elapsed()
        with pytest.raises(CoordinatorUnavailable):
            a.heartbeat(claim, info("a"), {"s": b"1"})
        slowest = max(slowest, elapsed() - asked)
        most = max(most, unanswered(a))
        threading.Event().wait(0.05)
        assert elapsed() - began < 2 * T.total_seconds(), "a busy client never noticed"
    assert most == 1
    assert slowest < PATIENCE + SLACK
    assert events.count(CoordinatorEvent.LOST) == 0


def test_a_heartbeat_that_comes_late_is_waited_for_before_the_next(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    a = make(through(proxy, zookeeper_url), "a", timeout=timedelta(seconds=6))
    claim = lead(a)
    a.heartbeat(claim, info("a"), {})
    proxy.black_hole()
    with pytest.raises(CoordinatorUnavailable, match="in time"):
        a.heartbeat(claim, info("a", 1), {})
    with pytest.raises(CoordinatorUnavailable, match="earlier request"):
        a.heartbeat(claim, info("a", 2), {})
    proxy.restore()
    restored = elapsed()
    assert a.heartbeat(claim, info("a", 3), {}) >= restored
    leader = a.leader(0)
    assert leader is not None
    assert leader.number == 3


def test_a_write_into_a_dead_link_never_lands_after_the_session(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    events, shards = Events(), Shards()
    a = make(through(proxy, zookeeper_url), "a", events)
    b = make(zookeeper_url.removeprefix("zookeeper://"), "b")
    b.watch_shards(0, shards)
    claim = lead(a)
    a.heartbeat(claim, info("a"), {"s": b"1"})
    b.campaign(0)
    proxy.black_hole()
    with pytest.raises(CoordinatorUnavailable):
        a.heartbeat(claim, info("a"), {"s": b"zombie"})
    events.expect(CoordinatorEvent.SUSPENDED)
    with pytest.raises(CoordinatorUnavailable):
        a.heartbeat(claim, info("a"), {"s": b"queued"})
    eventually(lambda: b.first_in_line(0), timeout=15)
    later = lead(b, "b")
    b.heartbeat(later, info("b"), {"s": b"2"})
    proxy.restore()
    events.expect(CoordinatorEvent.LOST)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {"s": b"zombie"})
    leader = b.leader(0)
    assert leader is not None
    assert (leader.id, leader.token) == ("b", later.token)
    b.heartbeat(later, info("b"), {"t": b"2"})
    shards.expect({"s": b"2", "t": b"2"})
    assert events.count(CoordinatorEvent.RESUMED) == 0


def test_closing_is_bounded_on_a_dead_link(proxy: TcpProxy, zookeeper_url: str, make: Make) -> None:
    a = make(through(proxy, zookeeper_url), "a", timeout=timedelta(seconds=15))
    a.join(member("a"))
    a.acknowledge(ReplicaPosition(1))
    eventually(lambda: a.members()[0].replica == ReplicaPosition(1))
    proxy.black_hole()
    began = elapsed()
    a.close()
    assert elapsed() - began < 5
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("zookeeper")] == []


def test_a_new_session_can_be_had_after_a_dead_link_and_refuses_the_old_claim(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    a = make(through(proxy, zookeeper_url), "a")
    claim = lead(a)
    proxy.black_hole()
    with pytest.raises(CoordinatorUnavailable):
        a.connect(timedelta(seconds=1))
    proxy.restore()
    a.connect(CONNECT)
    with pytest.raises(LeadershipLost):
        a.heartbeat(claim, info("a"), {})
    a.campaign(0)
    eventually(lambda: a.first_in_line(0), timeout=15)
    assert lead(a).token > claim.token


def test_a_candidate_of_an_earlier_session_that_still_stands_is_not_ours(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    a = make(through(proxy, zookeeper_url), "a", timeout=timedelta(seconds=10))
    claim = lead(a)
    proxy.refuse()
    with pytest.raises(CoordinatorUnavailable):
        a.connect(timedelta(milliseconds=200))
    proxy.restore()
    a.connect(CONNECT)
    a.campaign(0)
    line = client_of(a).get_children(a._paths.candidates(0))
    assert min(line) == claim.candidate
    assert len(line) == 2
    assert not a.first_in_line(0)
    assert a.claim(0, info("a")) is None
    leader = a.leader(0)
    assert leader is not None
    assert leader.token == claim.token


def test_a_client_that_got_another_session_by_itself_sends_nothing_in_it(
    proxy: TcpProxy, zookeeper_url: str, make: Make
) -> None:
    events = Events()
    a = make(through(proxy, zookeeper_url), "a", events)
    b = make(zookeeper_url.removeprefix("zookeeper://"), "b")
    client, first = client_of(a), client_of(a).client_id
    a.join(member("a"))
    proxy.refuse()
    eventually(lambda: b.members() == [])
    proxy.restore()
    events.expect(CoordinatorEvent.LOST)
    eventually(lambda: client.client_id not in {None, first}, what="kazoo's own new session")
    with pytest.raises(SessionExpiredError):
        client.get_async("/").get(timeout=1)


def test_a_server_that_does_not_greet_is_tried_again_soon(proxy: TcpProxy) -> None:
    proxy.drop_answers()
    a = ZooKeeperCoordinator(f"zookeeper://{proxy.address}/x", CLUSTER, "guid-a", timedelta(seconds=20))
    with pytest.raises(CoordinatorUnavailable):
        a.connect(timedelta(seconds=4))
    assert proxy.accepted >= 2
    a.close()


@pytest.mark.parametrize("fault", ["silent", "refusing"])
def test_connecting_gives_up_in_time(proxy: TcpProxy, fault: str) -> None:
    proxy.black_hole() if fault == "silent" else proxy.refuse()
    a = ZooKeeperCoordinator(f"zookeeper://{proxy.address}/x", CLUSTER, "guid-a", T)
    began = elapsed()
    with pytest.raises(CoordinatorUnavailable, match=proxy.address):
        a.connect(timedelta(seconds=1))
    assert elapsed() - began < 1 + 2 + SLACK
    a.close()


# -- a server that dies --------------------------------------------------------------------------------------


def test_a_session_outlives_a_killed_server(own_zookeeper: ZooKeeperServer, make: Make) -> None:
    events = Events()
    a = make(f"{own_zookeeper.address}/x", "a", events, timedelta(seconds=15))
    claim = lead(a)
    a.heartbeat(claim, info("a"), {"s": b"1"})
    own_zookeeper.kill()
    events.expect(CoordinatorEvent.SUSPENDED)
    with pytest.raises(CoordinatorUnavailable):
        a.heartbeat(claim, info("a"), {})
    own_zookeeper.start()
    began = elapsed()
    events.expect(CoordinatorEvent.RESUMED)
    assert elapsed() - began < 4, "tries to connect are short, and about a second apart"
    a.heartbeat(claim, info("a"), {"s": b"2"})
    leader = a.leader(0)
    assert leader is not None
    assert leader.token == claim.token
    assert events.count(CoordinatorEvent.LOST) == 0


def test_a_dead_server_in_the_list_does_not_matter(zookeeper_url: str, proxy: TcpProxy, make: Make) -> None:
    proxy.refuse()
    for _ in range(3):
        make(f"{proxy.address},{zookeeper_url.removeprefix('zookeeper://')}", "a").close()


# -- many members, long lives --------------------------------------------------------------------------------


def test_twenty_in_line_and_each_death_wakes_one(zookeeper_url: str, make: Make) -> None:
    address = zookeeper_url.removeprefix("zookeeper://")
    told = [Events() for _ in range(20)]
    line = [make(address, f"m{number}", events, timedelta(seconds=10)) for number, events in enumerate(told)]
    for one in line:
        one.campaign(0)
        one.first_in_line(0)
    for death in range(5):
        line[death].close()
        told[death + 1].expect(CoordinatorEvent.CHANGED)
        assert line[death + 1].first_in_line(0)
    threading.Event().wait(0.2)
    assert [events.count(CoordinatorEvent.CHANGED) for events in told[1:]] == [1] * 5 + [0] * 14


def test_watches_do_not_pile_up(zookeeper_url: str, make: Make) -> None:
    address = zookeeper_url.removeprefix("zookeeper://")
    a, b = make(address, "a"), make(address, "b")
    for _ in range(20):
        claim = lead(a)
        a.heartbeat(claim, info("a"), {})
        b.campaign(0)
        for _ in range(5):
            assert not b.first_in_line(0)
        a.resign(claim)
        b.withdraw(0)
    lead(a)
    b.campaign(0)
    for _ in range(5):
        assert not b.first_in_line(0)
    for coordinator in (a, b):
        watchers = client_of(coordinator)._data_watchers
        assert [len(found) for found in watchers.values()] == [1] * len(watchers)
        assert 0 < len(watchers) <= 3, list(watchers)
