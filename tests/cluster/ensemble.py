"""ZooKeeper as one server or as an ensemble of three, on loopback, with every link between them in our hands.

Each server of an ensemble knows the others by addresses of its own: those of proxies, one for each of the
two ports of each other server. So a single server can be cut off from its ensemble while its clients still
reach it, which is what a partition between machines looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final, Self

from leaderjobs.embedded.server import exchange
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from tests.support import eventually, free_port
from tests.support_proxy import TcpProxy

TICK: Final = timedelta(milliseconds=500)
INIT_TICKS: Final = 10
SYNC_TICKS: Final = 4
"""A follower cut off from its leader notices after so many ticks: about one session timeout of these tests."""
LINK_PATIENCE: Final = 1.0
"""A follower takes an open connection for a leader, and starts the election over when it is none."""
_MODE = re.compile(rb"^Mode: (\w+)", re.MULTILINE)


class PeerServer(ZooKeeperServer):
    """One server of an ensemble; it serves only while a majority is there."""

    main: ClassVar[str] = "org.apache.zookeeper.server.quorum.QuorumPeerMain"

    def __init__(self, directory: Path, number: int, tick: timedelta) -> None:
        """`peers` must be filled in before the first start."""
        super().__init__(directory, tick=tick, durable=False)
        self.number = number
        self.peers: dict[int, tuple[int, int]] = {}
        """The ports for followers and for elections at which this server finds each server, itself included."""

    def _prepare(self, lock: int) -> None:
        super()._prepare(lock)
        (self.directory / "data" / "myid").write_text(f"{self.number}\n")

    def _settings(self, port: int) -> dict[str, object]:
        return {
            **super()._settings(port),
            "initLimit": INIT_TICKS,
            "syncLimit": SYNC_TICKS,
            **{f"server.{number}": f"127.0.0.1:{a}:{b}" for number, (a, b) in self.peers.items()},
        }


class ElectionProxy(TcpProxy):
    """Carries votes. Of two servers the one with the higher number connects; called by the other, it calls back.

    The address for that stands in the caller's first words, and must be a link's too, or votes would find a
    way around the links.
    """

    def says_instead(self, port: int, link: int) -> None:
        """Put the port of a link in the place of the caller's own; both have five digits."""
        self._own, self._link = f"127.0.0.1:{port}".encode(), f"127.0.0.1:{link}".encode()

    def _passed(self, piece: bytes, *, answers: bool) -> bytes:
        return piece if answers else piece.replace(self._own, self._link, 1)


class Ensemble:
    """`size` servers, one or three; the one of a single server is standalone, and has no links."""

    def __init__(self, directory: Path, size: int, tick: timedelta = TICK) -> None:
        """Nothing listens before `start`."""
        self._peers: list[PeerServer] = []
        self.servers: list[ZooKeeperServer] = [ZooKeeperServer(directory / "1", tick=tick, durable=False)]
        if size > 1:
            self._peers = [PeerServer(directory / str(number), number, tick) for number in range(1, size + 1)]
            self.servers = list(self._peers)
        self._links: dict[tuple[int, int], tuple[TcpProxy, ElectionProxy]] = {}
        self._stack = ExitStack()

    @property
    def size(self) -> int:
        """How many servers there are, running or not."""
        return len(self.servers)

    @property
    def majority(self) -> int:
        """How many of them it takes."""
        return self.size // 2 + 1

    @property
    def url(self) -> str:
        """What `coordinator` takes, straight to every server."""
        return self.url_through([server.address for server in self.servers])

    @staticmethod
    def url_through(addresses: list[str]) -> str:
        """The same through other addresses, such as those of proxies."""
        return f"zookeeper://{','.join(addresses)}/leaderjobs"

    def start(self) -> None:
        """Start all that do not run, and return when all of them serve."""
        if self._peers and not self._links:
            self._link()
        with ThreadPoolExecutor(max_workers=self.size) as threads:
            list(threads.map(ZooKeeperServer.start, self.servers))

    def stop(self) -> None:
        """End every server and every link; safe to call twice."""
        for server in self.servers:
            server.kill()
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- faults --------------------------------------------------------------------------------------------

    @contextmanager
    def down(self, *indexes: int) -> Iterator[None]:
        """Kill these servers; they are back, and serve, when the block has ended."""
        try:
            for index in indexes:
                self.servers[index].kill()
            yield
        finally:
            with ThreadPoolExecutor(max_workers=len(indexes)) as threads:
                list(threads.map(ZooKeeperServer.start, [self.servers[index] for index in indexes]))

    @contextmanager
    def isolated(self, index: int) -> Iterator[None]:
        """Cut one server off from all others, while its clients still reach it.

        Silently for whoever follows; votes are refused, for a server waits seconds for a silent one before it
        asks the next.
        """
        cut = [links for ends, links in self._links.items() if index in ends]
        for following, election in cut:
            following.black_hole()
            election.refuse()
        try:
            yield
        finally:
            for following, election in cut:
                election.restore()
                following.restore()
                following.cut()  # what was held back for so long belongs to a time that is over

    def mode(self, index: int) -> str:
        """`leader`, `follower` or `standalone`; empty while it does not serve."""
        found = _MODE.search(exchange(self.servers[index].port, b"srvr", 4096))
        return found[1].decode() if found else ""

    def index_of(self, mode: str) -> int:
        """A server in that mode; waits for one."""

        def find() -> list[int]:
            return [index for index in range(self.size) if self.mode(index) == mode]

        return eventually(find, 60, f"a server that is {mode}")[0]

    def _link(self) -> None:
        own = {peer.number: (free_port(), free_port()) for peer in self._peers}
        for peer in self._peers:
            peer.peers = {peer.number: own[peer.number]}
            for other in self._peers:
                if other is not peer:
                    peer.peers[other.number] = self._through(peer.number, other.number, own)
        for (here, there), (_, election) in self._links.items():
            back = self._links[there, here][1]
            election.says_instead(own[here + 1][1], back.port)

    def _through(self, here: int, there: int, own: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
        followers, votes = own[there]
        links = (
            TcpProxy("127.0.0.1", followers, patience=LINK_PATIENCE),
            ElectionProxy("127.0.0.1", votes, patience=LINK_PATIENCE),
        )
        for link in links:
            self._stack.enter_context(link)
        self._links[here - 1, there - 1] = links
        return links[0].port, links[1].port
