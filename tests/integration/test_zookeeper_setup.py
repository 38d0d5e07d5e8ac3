"""What ZooKeeper grants, refuses and keeps closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import CoordinatorEvent
from leaderjobs.coordination.zookeeper import ZooKeeperCoordinator
from leaderjobs.coordination.zookeeper_client import StrictClient
from leaderjobs.coordination.zookeeper_session import ASSUMED_TICK, Session
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.embedded.zookeeper import LONGEST_SESSION, ZooKeeperServer
from leaderjobs.errors import ConfigError
from leaderjobs.model.member import ReplicaPosition
from tests.contract.backends import CLUSTER, CONNECT, info, member
from tests.support import eventually
from tests.support_proxy import TcpProxy

SECRET = "s3cr3t-w0rd"


@pytest.fixture
def anyone(zookeeper_server: ZooKeeperServer) -> Iterator[KazooClient]:
    client = KazooClient(zookeeper_server.address, timeout=10)
    client.start()
    yield client
    client.stop()
    client.close()


def coordinator(url: str, seconds: float = 5) -> ZooKeeperCoordinator:
    return ZooKeeperCoordinator(url, CLUSTER, "guid-a", timedelta(seconds=seconds))


def test_the_granted_timeout_counts_and_not_the_one_asked_for(zookeeper_url: str) -> None:
    a = coordinator(zookeeper_url, seconds=3600)
    assert a.session_timeout == timedelta(hours=1)
    a.connect(CONNECT)
    assert a.session_timeout == LONGEST_SESSION
    a.close()


def test_a_timeout_too_short_for_the_tick_is_refused_with_both_numbers(zookeeper_url: str) -> None:
    a = coordinator(zookeeper_url, seconds=1.8)
    with pytest.raises(ConfigError, match=r"1\.8 s .*tick of 0\.5 s: set it above 1\.875 s"):
        a.connect(CONNECT)
    a.close()
    b = coordinator(zookeeper_url, seconds=1.9)
    b.connect(CONNECT)
    b.close()


def test_a_slow_tick_needs_a_longer_session(tmp_path: Path) -> None:
    server = ZooKeeperServer(tmp_path / "slow", tick=timedelta(seconds=2), durable=False)
    server.start()
    try:
        with pytest.raises(ConfigError, match=r"7 s .*tick of 2 s: set it above 7\.5 s"):
            coordinator(server.url, seconds=7).connect(CONNECT)
        fine = coordinator(server.url, seconds=8)
        fine.connect(CONNECT)
        fine.close()
    finally:
        server.stop()


def test_a_server_that_does_not_tell_its_tick_is_taken_to_have_the_usual_one(
    zookeeper_server: ZooKeeperServer,
) -> None:
    host, _, port = zookeeper_server.address.partition(":")
    with TcpProxy(host, int(port)) as proxy:
        session = Session(ZooKeeperUrl.parse(f"zookeeper://{proxy.address}"), timedelta(seconds=10), _ignore)
        session.open(CONNECT)
        assert session.tick() == timedelta(milliseconds=500)
        proxy.drop_answers()
        began = elapsed()
        assert session.tick() == ASSUMED_TICK
        assert elapsed() - began < 3
        session.end()


def test_a_kazoo_of_another_shape_is_told_and_not_guessed_at() -> None:
    granted: list[float] = []
    server = ZooKeeperUrl.parse("zookeeper://127.0.0.1:1")
    client = StrictClient(
        server, timedelta(seconds=5), renews=False, on_state=_ignore, on_granted=granted.append
    )
    client._connect_once = lambda *_: "something else"
    client._measured("host", "127.0.0.1", 1)
    assert granted == [0.0]


def test_a_chroot_that_is_missing_is_made(zookeeper_url: str, anyone: KazooClient) -> None:
    a = coordinator(f"{zookeeper_url}/deep/er")
    a.connect(CONNECT)
    root = "/" + zookeeper_url.rpartition("/")[2]
    assert anyone.exists(f"{root}/deep/er/{CLUSTER}/origin")
    a.close()


def test_watching_a_partition_that_nobody_led_yet_makes_its_nodes(
    zookeeper_url: str, anyone: KazooClient
) -> None:
    a = coordinator(zookeeper_url)
    a.watch_shards(7, lambda name, data: None)  # noqa: ARG005
    a.connect(CONNECT)
    root = "/" + zookeeper_url.rpartition("/")[2]
    eventually(lambda: anyone.exists(f"{root}/{CLUSTER}/partitions/7/markers"))
    a.close()


def test_a_chroot_without_a_path_is_the_root(zookeeper_server: ZooKeeperServer) -> None:
    a = ZooKeeperCoordinator(
        f"zookeeper://{zookeeper_server.address}", "rootless", "guid-a", timedelta(seconds=5)
    )
    a.connect(CONNECT)
    assert a.members() == []
    a.close()


def test_credentials_close_every_node_and_are_shown_nowhere(
    zookeeper_url: str, anyone: KazooClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    logging.getLogger("leaderjobs.coordination.kazoo").setLevel(1)
    address = zookeeper_url.removeprefix("zookeeper://")
    root = "/" + address.rpartition("/")[2]
    a = coordinator(f"zookeeper://ann:{SECRET}@{address}")
    a.connect(CONNECT)
    a.join(member("a"))
    a.campaign(0)
    claim = a.claim(0, info("a"))
    assert claim is not None
    a.request_resign(0, 1)
    a.heartbeat(claim, info("a"), {"s": b"1"})
    a.acknowledge(ReplicaPosition(2))
    eventually(lambda: a.members()[0].replica == ReplicaPosition(2))

    anyone.add_auth("digest", f"ann:{SECRET}")
    paths = list(_walk(anyone, root))
    open_nodes = [path for path in paths if anyone.get_acls(path)[0][0].id.scheme == "world"]
    assert len(paths) == 13
    assert open_nodes == []
    stranger = coordinator(f"zookeeper://bob:{SECRET}@{address}")
    with pytest.raises(ConfigError, match="forbids") as refused:
        stranger.connect(CONNECT)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("leaderjobs")]
    assert SECRET not in str(refused.value) + repr(a) + "".join(ours)
    logging.getLogger("leaderjobs.coordination.kazoo").setLevel(logging.NOTSET)
    a.close()


def test_without_the_credentials_nothing_can_be_read(zookeeper_url: str, anyone: KazooClient) -> None:
    address = zookeeper_url.removeprefix("zookeeper://")
    a = coordinator(f"zookeeper://ann:{SECRET}@{address}")
    a.connect(CONNECT)
    with pytest.raises(NoAuthError):
        anyone.get("/" + address.rpartition("/")[2] + f"/{CLUSTER}/origin")
    a.close()


def _walk(client: KazooClient, path: str) -> Iterator[str]:
    yield path
    for name in client.get_children(path):
        yield from _walk(client, f"{path}/{name}")


def _ignore(_: CoordinatorEvent | str) -> None:
    """Nobody listens in this test."""
