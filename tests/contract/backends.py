"""The same faults for every coordinator: in memory by its own controls, in ZooKeeper by proxy and operator."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Self

from kazoo.client import KazooClient
from kazoo.exceptions import NotEmptyError

from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent
from leaderjobs.coordination.memory import MemoryCoordinator, MemoryServer
from leaderjobs.coordination.paths import Paths
from leaderjobs.coordination.zookeeper import ZooKeeperCoordinator
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import CoordinatorUnavailable
from leaderjobs.model.member import LeaderInfo, Member
from tests.support import eventually
from tests.support_proxy import TcpProxy

SESSION = timedelta(seconds=3)
CONNECT = timedelta(seconds=10)
CLUSTER = "shop"
SETTLE_SECONDS = 0.2
"""For events that must not come."""


class Events:
    """What one coordinator was told, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[CoordinatorEvent] = []

    def __call__(self, event: CoordinatorEvent) -> None:
        with self._lock:
            self._seen.append(event)

    def count(self, event: CoordinatorEvent) -> int:
        with self._lock:
            return self._seen.count(event)

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()

    def expect(self, event: CoordinatorEvent) -> None:
        eventually(lambda: self.count(event), what=f"{event}, seen {self._seen}")


class Shards:
    """What a shard listener was told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, bytes] = {}

    def __call__(self, name: str, data: bytes) -> None:
        with self._lock:
            self._latest[name] = data

    def expect(self, latest: dict[str, bytes]) -> None:
        eventually(lambda: self._latest == latest, what=f"shards {latest}, have {self._latest}")


def info(name: str, number: int = 0) -> LeaderInfo:
    at = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    return LeaderInfo(id=name, guid=f"guid-{name}", number=number, since=at, heartbeat_at=at, trusted_for=2.0)


def member(name: str, minute: int = 0) -> Member:
    since = datetime(2026, 5, 1, 12, minute, tzinfo=UTC)
    return Member(id=name, guid=f"guid-{name}", host="host", pid=1, version="1", since=since)


def lead(coordinator: Coordinator, name: str, partition: int = 0) -> Claim:
    coordinator.campaign(partition)
    claim = coordinator.claim(partition, info(name))
    assert claim is not None
    return claim


def settle() -> None:
    threading.Event().wait(SETTLE_SECONDS)


def ready(coordinator: Coordinator) -> bool:
    try:
        coordinator.leader(0)
    except CoordinatorUnavailable:
        return False
    return True


class Backend(ABC):
    """One ensemble and the members that a test has made on it."""

    def __init__(self) -> None:
        self.events: dict[Coordinator, Events] = {}

    def member(self, name: str, cluster: str = CLUSTER) -> Coordinator:
        """A connected coordinator whose events are kept."""
        coordinator = self.make(name, cluster)
        self.events[coordinator] = Events()
        coordinator.listen(self.events[coordinator])
        coordinator.connect(CONNECT)
        return coordinator

    @property
    @abstractmethod
    def paths(self) -> Paths: ...

    @abstractmethod
    def make(self, name: str, cluster: str) -> Coordinator: ...

    @abstractmethod
    def expire(self, coordinator: Coordinator) -> None: ...

    @abstractmethod
    def suspend(self, coordinator: Coordinator) -> None: ...

    @abstractmethod
    def resume(self, coordinator: Coordinator) -> None: ...

    @abstractmethod
    def lose_answer(self, coordinator: Coordinator, to: str) -> None:
        """Of the next write that names `to`, which takes effect all the same."""

    @abstractmethod
    def remove(self, path: str) -> None: ...

    @abstractmethod
    def write(self, path: str, data: bytes) -> None: ...

    @abstractmethod
    def candidates(self, partition: int = 0) -> list[str]: ...

    @abstractmethod
    def wipe(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for coordinator in self.events:
            coordinator.close()


class MemoryBackend(Backend):
    def __init__(self) -> None:
        super().__init__()
        self.server = MemoryServer()

    @property
    def paths(self) -> Paths:
        return Paths("", CLUSTER)

    def make(self, name: str, cluster: str) -> Coordinator:
        return MemoryCoordinator(self.server, cluster, f"guid-{name}", SESSION)

    @staticmethod
    def _own(coordinator: Coordinator) -> MemoryCoordinator:
        assert isinstance(coordinator, MemoryCoordinator)
        return coordinator

    def expire(self, coordinator: Coordinator) -> None:
        self.server.expire(self._own(coordinator))

    def suspend(self, coordinator: Coordinator) -> None:
        self.server.suspend(self._own(coordinator))

    def resume(self, coordinator: Coordinator) -> None:
        self.server.resume(self._own(coordinator))

    def lose_answer(self, coordinator: Coordinator, to: str) -> None:  # noqa: ARG002 - every call is one step
        self.server.lose_answers(self._own(coordinator))

    def remove(self, path: str) -> None:
        self.server.remove(path)

    def write(self, path: str, data: bytes) -> None:
        with self.server.step() as tree:
            tree.write(path, data)

    def candidates(self, partition: int = 0) -> list[str]:
        with self.server.step() as tree:
            return tree.below(self.paths.candidates(partition))

    def wipe(self) -> None:
        self.server.wipe()


class ZooKeeperBackend(Backend):
    """Each member reaches the server through a proxy of its own; the operator does not."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.server = ZooKeeperUrl.parse(url)
        self.proxies: dict[Coordinator, TcpProxy] = {}
        self.operator = KazooClient(",".join(self.server.hosts), timeout=10)
        self.operator.start()

    @property
    def paths(self) -> Paths:
        return Paths(self.server.root, CLUSTER)

    def make(self, name: str, cluster: str) -> Coordinator:
        host, _, port = self.server.hosts[0].rpartition(":")
        proxy = TcpProxy(host, int(port))
        url = f"zookeeper://{proxy.address}{self.server.root}"
        coordinator = ZooKeeperCoordinator(url, cluster, f"guid-{name}", SESSION)
        self.proxies[coordinator] = proxy
        return coordinator

    def expire(self, coordinator: Coordinator) -> None:
        """A second client takes the session over and closes it."""
        assert isinstance(coordinator, ZooKeeperCoordinator)
        assert coordinator._work is not None
        client = coordinator._work.session._client
        identity = client._session_id, client._session_passwd
        other = KazooClient(",".join(self.server.hosts), client_id=identity, timeout=10)
        other.start()
        other.stop()
        other.close()

    def suspend(self, coordinator: Coordinator) -> None:
        self.proxies[coordinator].refuse()
        self.events[coordinator].expect(CoordinatorEvent.SUSPENDED)

    def resume(self, coordinator: Coordinator) -> None:
        self.proxies[coordinator].restore()

    def lose_answer(self, coordinator: Coordinator, to: str) -> None:
        self.proxies[coordinator].lose_next_answer(to.encode())

    def remove(self, path: str) -> None:
        self.operator.delete(path)

    def write(self, path: str, data: bytes) -> None:
        self.operator.ensure_path(path)
        self.operator.set(path, data)

    def candidates(self, partition: int = 0) -> list[str]:
        names: list[str] = self.operator.get_children(self.paths.candidates(partition))
        return names

    def wipe(self) -> None:
        eventually(self._try_to_wipe, what="nobody makes nodes while they are deleted")

    def _try_to_wipe(self) -> bool:
        try:
            self.operator.delete(self.server.root, recursive=True)
        except NotEmptyError:
            return False
        return True

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self.operator.stop()
        self.operator.close()
        for proxy in self.proxies.values():
            proxy.close()
