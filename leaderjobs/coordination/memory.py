"""The contract of `base` inside one process, for tests and for tools that need no second machine.

A `MemoryServer` plays the ensemble: sessions, nodes with creation stamps, watches that fire once. Nothing
is simulated by time: a session expires, is cut off or loses an answer when a test says so, through the
methods of `MemoryServer`. It follows ZooKeeper in what matters to an elector: a session that is cut off is
told nothing, not even that it expired, until it is connected again.

One lock holds everything; it is released before any listener is called, on the thread that caused the event.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from leaderjobs.clock import elapsed
from leaderjobs.coordination import paths as names
from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent, Listener, ShardListener
from leaderjobs.coordination.paths import Paths
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition


@dataclass(slots=True)
class _Node:
    data: bytes
    stamp: int
    owner: int
    """The session it lives by; 0 for a persistent node."""


@dataclass(slots=True, eq=False)
class _Session:
    id: int
    tell: Callable[[CoordinatorEvent], None]
    shards: dict[str, ShardListener] = field(default_factory=dict)
    """By parent path."""
    watches: set[str] = field(default_factory=set)
    suspended: bool = False
    over: bool = False
    answers_to_lose: int = 0


@dataclass(slots=True)
class _Tree:
    """All nodes, and what is to be told once the lock is released."""

    nodes: dict[str, _Node] = field(default_factory=dict)
    sessions: dict[int, _Session] = field(default_factory=dict)
    stamps: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    places: Iterator[int] = field(default_factory=itertools.count)
    told: list[Callable[[], None]] = field(default_factory=list)

    def make(self, path: str, data: bytes, owner: int = 0) -> _Node:
        node = self.nodes[path] = _Node(data, next(self.stamps), owner)
        self._fire(path)
        return node

    def write(self, path: str, data: bytes) -> None:
        if path in self.nodes:
            self.nodes[path].data = data
        else:
            self.make(path, data)
        for session in self.sessions.values():
            if not session.suspended:
                self.tell_shard(session, path)

    def delete(self, path: str) -> None:
        if self.nodes.pop(path, None) is not None:
            self._fire(path)

    def below(self, parent: str) -> list[str]:
        return [path[len(parent) + 1 :] for path in sorted(self.nodes) if path.startswith(parent + "/")]

    def end(self, session: _Session) -> None:
        session.over = True
        self.sessions.pop(session.id, None)
        for path in [path for path, node in self.nodes.items() if node.owner == session.id]:
            self.delete(path)

    def tell_shard(self, session: _Session, path: str) -> None:
        parent, _, name = path.rpartition("/")
        listener, data = session.shards.get(parent), self.nodes[path].data
        if listener is not None:
            self.told.append(lambda: listener(name, data))

    def tell_shards(self, session: _Session) -> None:
        for path in sorted(self.nodes):
            self.tell_shard(session, path)

    def _fire(self, path: str) -> None:
        for session in self.sessions.values():
            if path in session.watches:
                session.watches.discard(path)
                self.told.append(_telling(session))


def _telling(session: _Session) -> Callable[[], None]:
    return lambda: session.tell(CoordinatorEvent.CHANGED)


class MemoryServer:
    """What all members of a test share, and the faults that a test can make; any thread."""

    def __init__(self, granted: timedelta | None = None) -> None:
        """`granted` is given to every session instead of what it asks for."""
        self.granted = granted
        self.down = False
        """While set, nobody can connect; sessions that exist are not touched."""
        self._lock = threading.Lock()
        self._tree = _Tree()
        self._ids = itertools.count(1)

    def expire(self, coordinator: MemoryCoordinator) -> None:
        """End the member's session and remove its nodes; a member that is cut off learns it on `resume`."""
        session = coordinator.session
        with self.step() as tree:
            tree.end(session)
        if not session.suspended:
            session.tell(CoordinatorEvent.LOST)

    def suspend(self, coordinator: MemoryCoordinator) -> None:
        """Cut the member off; its watches are gone, as they are when a connection breaks."""
        session = coordinator.session
        with self.step():
            session.suspended = True
            session.watches.clear()
        session.tell(CoordinatorEvent.SUSPENDED)

    def resume(self, coordinator: MemoryCoordinator) -> None:
        """Connect the member again, with the same session if that has not expired."""
        session = coordinator.session
        with self.step() as tree:
            session.suspended = False
            if not session.over:
                tree.tell_shards(session)
        session.tell(CoordinatorEvent.LOST if session.over else CoordinatorEvent.RESUMED)

    def lose_answers(self, coordinator: MemoryCoordinator, count: int = 1) -> None:
        """Apply the member's next `count` writes and raise CoordinatorUnavailable instead of answering."""
        coordinator.session.answers_to_lose = count

    def remove(self, path: str) -> None:
        """Delete one node, as an operator would."""
        with self.step() as tree:
            tree.delete(path)

    def wipe(self) -> None:
        """Lose all data, and with it every ephemeral node; sessions live on, stamps begin again."""
        with self.step() as tree:
            for path in list(tree.nodes):
                tree.delete(path)
            tree.stamps = itertools.count(1)

    def open(self, tell: Callable[[CoordinatorEvent], None], shards: dict[str, ShardListener]) -> _Session:
        """A new session."""
        if self.down:
            raise CoordinatorUnavailable("the memory coordinator is down; bring it up")
        with self.step() as tree:
            session = _Session(next(self._ids), tell, shards)
            tree.sessions[session.id] = session
            tree.tell_shards(session)
            return session

    def end(self, session: _Session) -> None:
        """End a session by choice: it is not told LOST."""
        with self.step() as tree:
            tree.end(session)

    @contextmanager
    def step(self, session: _Session | None = None, *, writes: bool = False) -> Iterator[_Tree]:
        """One atomic step on the nodes, on behalf of `session`; whoever watches is told afterwards."""
        with self._lock:
            if session is not None and (session.over or session.suspended):
                raise CoordinatorUnavailable("the memory coordinator does not answer this session")
            yield self._tree
            told, self._tree.told = self._tree.told, []
        for tell in told:
            tell()
        if writes and session is not None and session.answers_to_lose > 0:
            session.answers_to_lose -= 1
            raise CoordinatorUnavailable("the answer was lost")


class MemoryCoordinator(Coordinator):
    """A member's view of one cluster on a `MemoryServer`."""

    kind: ClassVar[str] = "memory"

    def __init__(self, server: MemoryServer, cluster: str, guid: str, session_timeout: timedelta) -> None:
        """Connects nowhere yet."""
        self.paths = Paths("", cluster)
        self._server = server
        self._guid = names.check_guid(guid)
        self._asked = session_timeout
        self._listener: Listener = _nobody
        self._session: _Session | None = None
        self._origin = ""
        self._position: ReplicaPosition | None = None
        self._shards: dict[str, ShardListener] = {}
        self._places: dict[int, str] = {}
        self._held: dict[int, Claim] = {}

    @property
    def session(self) -> _Session:
        """The session, alive or over; CoordinatorUnavailable before the first `connect`."""
        if self._session is None:
            raise CoordinatorUnavailable("not connected yet; call connect first")
        return self._session

    def connect(self, timeout: timedelta) -> None:  # noqa: ARG002 - nothing here takes time
        """As the contract says; no timeout is too short."""
        self.close()
        self._places.clear()
        self._held.clear()
        self._session = self._server.open(self._tell, self._shards)
        with self._server.step(self._session) as tree:
            self._read_origin(tree)

    def close(self) -> None:
        """As the contract says; `connect` may be called again."""
        if self._session is not None:
            self._server.end(self._session)

    @property
    def session_timeout(self) -> timedelta:
        """The server's own, or what was asked for."""
        return self._server.granted or self._asked

    def listen(self, listener: Listener) -> None:
        """Name the receiver of events."""
        self._listener = listener

    def _tell(self, event: CoordinatorEvent) -> None:
        self._listener(event)

    def origin(self) -> str:
        """As read by `connect` and by every `campaign` that made a new candidate."""
        return self._origin

    def _read_origin(self, tree: _Tree) -> None:
        node = tree.nodes.get(self.paths.origin) or tree.make(self.paths.origin, uuid.uuid4().hex.encode())
        self._origin = node.data.decode()

    # -- members -------------------------------------------------------------------------------------------

    def join(self, member: Member) -> None:
        """As the contract says."""
        session, path = self.session, self.paths.member(self._guid)
        member = replace(member, guid=self._guid, replica=self._position or member.replica)
        with self._server.step(session, writes=True) as tree:
            tree.make(path, names.encode(member), session.id)

    def acknowledge(self, position: ReplicaPosition) -> None:
        """As the contract says; a member that is cut off publishes it when it joins again."""
        self._position = position
        path = self.paths.member(self._guid)
        if self._session is None or self._session.suspended:
            return
        with self._server.step() as tree:
            node = tree.nodes.get(path)
            member = names.decode_member(node.data) if node is not None else None
            if member is not None:
                tree.write(path, names.encode(replace(member, replica=position)))

    def members(self) -> list[Member]:
        """As the contract says."""
        with self._server.step(self.session) as tree:
            contents = [tree.nodes[self.paths.member(guid)].data for guid in tree.below(self.paths.members)]
        found = [member for content in contents if (member := names.decode_member(content)) is not None]
        return sorted(found, key=lambda one: (one.since, one.guid))

    # -- election ------------------------------------------------------------------------------------------

    def campaign(self, partition: int) -> None:
        """As the contract says."""
        session = self.session
        with self._server.step(session, writes=True) as tree:
            mine = self._mine(tree, session, partition)
            if not mine:
                self._held.pop(partition, None)
                leader = tree.nodes.get(self.paths.leader(partition))
                if leader is not None and leader.owner == session.id:
                    tree.delete(self.paths.leader(partition))
                mine = [f"{names.candidate_prefix(self._guid)}{next(tree.places):010}"]
                tree.make(self.paths.candidate(partition, mine[0]), b"", session.id)
                self._read_origin(tree)
        self._places[partition] = mine[0]

    def _mine(self, tree: _Tree, session: _Session, partition: int) -> list[str]:
        return [
            name
            for name in names.in_line(tree.below(self.paths.candidates(partition)))
            if tree.nodes[self.paths.candidate(partition, name)].owner == session.id
        ]

    def first_in_line(self, partition: int) -> bool:
        """As the contract says."""
        session, place = self.session, self._places.get(partition)
        with self._server.step(session) as tree:
            line = names.in_line(tree.below(self.paths.candidates(partition)))
            if place is None or place not in line:
                self._places.pop(partition, None)
                return False
            session.watches.add(self.paths.candidate(partition, place))
            at = line.index(place)
            if at > 0:
                session.watches.add(self.paths.candidate(partition, line[at - 1]))
                return False
            leader = tree.nodes.get(self.paths.leader(partition))
            if leader is None or leader.owner == session.id:
                return True
            session.watches.add(self.paths.leader(partition))
            return False

    def claim(self, partition: int, info: LeaderInfo) -> Claim | None:
        """As the contract says."""
        session, place, sent_at = self.session, self._places.get(partition), elapsed()
        self._held.pop(partition, None)
        claim: Claim | None
        try:
            with self._server.step(session, writes=True) as tree:
                leader = tree.nodes.get(self.paths.leader(partition))
                stands = place is not None and self.paths.candidate(partition, place) in tree.nodes
                if place is None or not stands or (leader is not None and leader.owner != session.id):
                    return None
                node = tree.make(self.paths.leader(partition), names.encode(info), session.id)
                claim = Claim(partition, node.stamp, sent_at, place)
        except CoordinatorUnavailable:
            claim = self._read_back(session, partition, place, sent_at)
        if claim is not None:
            self._held[partition] = claim
        return claim

    def _read_back(
        self, session: _Session, partition: int, place: str | None, sent_at: float
    ) -> Claim | None:
        with self._server.step(session) as tree:
            node = tree.nodes.get(self.paths.leader(partition))
            if node is None or place is None or node.owner != session.id:
                return None
            return Claim(partition, node.stamp, sent_at, place)

    def heartbeat(self, claim: Claim, info: LeaderInfo, shards: Mapping[str, bytes]) -> float:
        """As the contract says."""
        names.check_shards(shards)
        session, sent_at = self.session, elapsed()
        if self._held.get(claim.partition) != claim or (session.over and not session.suspended):
            raise LeadershipLost(f"the claim with token {claim.token} is no longer held by this session")
        with self._server.step(session, writes=True) as tree:
            leader = tree.nodes.get(self.paths.leader(claim.partition))
            candidate = tree.nodes.get(self.paths.candidate(claim.partition, claim.candidate))
            if leader is None or candidate is None:
                raise LeadershipLost(f"a node of token {claim.token} is gone; stand in line again")
            tree.write(self.paths.leader(claim.partition), names.encode(replace(info, token=claim.token)))
            for name, data in shards.items():
                tree.write(self.paths.shard(claim.partition, name), data)
        return sent_at

    def resign(self, claim: Claim) -> None:
        """As the contract says."""
        session, path = self.session, self.paths.leader(claim.partition)
        if session.over and not session.suspended:
            return
        asked = self.resign_requested(claim)
        with self._server.step(session, writes=True) as tree:
            leader = tree.nodes.get(path)
            if leader is not None and leader.owner == session.id and leader.stamp == claim.token:
                tree.delete(path)
            tree.delete(self.paths.candidate(claim.partition, claim.candidate))
            if asked:
                tree.delete(self.paths.resign(claim.partition))
            if self._held.get(claim.partition) == claim:
                del self._held[claim.partition]
            if self._places.get(claim.partition) == claim.candidate:
                del self._places[claim.partition]

    def withdraw(self, partition: int) -> None:
        """As the contract says."""
        session = self.session
        with self._server.step(session, writes=True) as tree:
            for name in self._mine(tree, session, partition):
                tree.delete(self.paths.candidate(partition, name))
        self._places.pop(partition, None)

    def leader(self, partition: int) -> LeaderInfo | None:
        """As the contract says."""
        with self._server.step(self.session) as tree:
            node = tree.nodes.get(self.paths.leader(partition))
        info = names.decode_leader(node.data) if node is not None else None
        return replace(info, token=node.stamp) if node is not None and info is not None else None

    def request_resign(self, partition: int, token: int) -> None:
        """As the contract says."""
        path = self.paths.resign(partition)
        with self._server.step(self.session, writes=True) as tree:
            tree.write(path, str(token).encode())
            leader = tree.nodes.get(self.paths.leader(partition))
            owner = tree.sessions.get(leader.owner) if leader is not None else None
            if owner is not None and not owner.suspended:
                tree.told.append(_telling(owner))

    def resign_requested(self, claim: Claim) -> bool:
        """As the contract says."""
        if self._held.get(claim.partition) != claim:
            return False
        with self._server.step() as tree:
            node = tree.nodes.get(self.paths.resign(claim.partition))
        return node is not None and names.decode_token(node.data) == claim.token

    # -- markers -------------------------------------------------------------------------------------------

    def watch_shards(self, partition: int, listener: ShardListener) -> None:
        """As the contract says; `listener` is called on the thread that wrote."""
        self._shards[self.paths.shards(partition)] = listener
        if self._session is not None and not self._session.suspended:
            with self._server.step() as tree:
                tree.tell_shards(self._session)


def _nobody(_: CoordinatorEvent) -> None:
    """Receive events until somebody listens."""
