"""The ensemble that `memory` plays: sessions, nodes with creation stamps, watches that fire once.

Nothing is simulated by time: a session expires, is cut off or loses an answer when a test says so. It
follows ZooKeeper in what matters to an elector: a session that is cut off is told nothing, not even that it
expired, until it is connected again.

One lock holds everything; it is released before any listener is called, on the thread that caused the event.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from leaderjobs.coordination.base import CoordinatorEvent, ShardListener
from leaderjobs.errors import CoordinatorUnavailable


@dataclass(slots=True)
class Node:
    """One node."""

    data: bytes
    stamp: int
    owner: int
    """The session it lives by; 0 for a persistent node."""


@dataclass(slots=True, eq=False)
class Session:
    """One member's, as the ensemble knows it."""

    id: int
    tell: Callable[[CoordinatorEvent], None]
    shards: dict[str, ShardListener] = field(default_factory=dict)
    """By parent path."""
    watches: set[str] = field(default_factory=set)
    suspended: bool = False
    over: bool = False
    answers_to_lose: int = 0


@dataclass(slots=True)
class Tree:
    """All nodes, and what is to be told once the lock is released."""

    nodes: dict[str, Node] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    stamps: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    places: Iterator[int] = field(default_factory=itertools.count)
    told: list[Callable[[], None]] = field(default_factory=list)

    def make(self, path: str, data: bytes, owner: int = 0) -> Node:
        """Create a node, in the place of one that is there."""
        node = self.nodes[path] = Node(data, next(self.stamps), owner)
        self._fire(path)
        return node

    def write(self, path: str, data: bytes) -> None:
        """Replace the content of a persistent node, or create it."""
        if path in self.nodes:
            self.nodes[path].data = data
        else:
            self.make(path, data)
        for session in self.sessions.values():
            if not session.suspended:
                self.tell_shard(session, path)

    def delete(self, path: str) -> None:
        """Remove a node, if there is one."""
        if self.nodes.pop(path, None) is not None:
            self._fire(path)

    def below(self, parent: str) -> list[str]:
        """Names of the children, in order."""
        return [path[len(parent) + 1 :] for path in sorted(self.nodes) if path.startswith(parent + "/")]

    def end(self, session: Session) -> None:
        """Remove a session and what lives by it."""
        session.over = True
        self.sessions.pop(session.id, None)
        for path in [path for path, node in self.nodes.items() if node.owner == session.id]:
            self.delete(path)

    def tell_shard(self, session: Session, path: str) -> None:
        """Note that `session` is to be told of the shard at `path`, if it asked for it."""
        parent, _, name = path.rpartition("/")
        listener, data = session.shards.get(parent), self.nodes[path].data
        if listener is not None:
            self.told.append(lambda: listener(name, data))

    def tell_shards(self, session: Session) -> None:
        """Note that `session` is to be told of every shard it asked for."""
        for path in sorted(self.nodes):
            self.tell_shard(session, path)

    def _fire(self, path: str) -> None:
        for session in self.sessions.values():
            if path in session.watches:
                session.watches.discard(path)
                self.told.append(telling(session))


def telling(session: Session) -> Callable[[], None]:
    """A call that tells `session` that something changed."""
    return lambda: session.tell(CoordinatorEvent.CHANGED)


class HasSession(Protocol):
    """A coordinator, as far as a fault needs to know it."""

    @property
    def session(self) -> Session:
        """The session that the fault is for."""


class MemoryServer:
    """What all members of a test share, and the faults that a test can make; any thread."""

    def __init__(self, granted: timedelta | None = None) -> None:
        """`granted` is given to every session instead of what it asks for."""
        self.granted = granted
        self.down = False
        """While set, nobody can connect; sessions that exist are not touched."""
        self._lock = threading.Lock()
        self._tree = Tree()
        self._ids = itertools.count(1)

    def expire(self, coordinator: HasSession) -> None:
        """End the member's session and remove its nodes; a member that is cut off learns it on `resume`."""
        session = coordinator.session
        with self.step() as tree:
            tree.end(session)
        if not session.suspended:
            session.tell(CoordinatorEvent.LOST)

    def suspend(self, coordinator: HasSession) -> None:
        """Cut the member off; its watches are gone, as they are when a connection breaks."""
        session = coordinator.session
        with self.step():
            session.suspended = True
            session.watches.clear()
        session.tell(CoordinatorEvent.SUSPENDED)

    def resume(self, coordinator: HasSession) -> None:
        """Connect the member again, with the same session if that has not expired."""
        session = coordinator.session
        with self.step() as tree:
            session.suspended = False
            if not session.over:
                tree.tell_shards(session)
        session.tell(CoordinatorEvent.LOST if session.over else CoordinatorEvent.RESUMED)

    def lose_answers(self, coordinator: HasSession, count: int = 1) -> None:
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

    def open(self, tell: Callable[[CoordinatorEvent], None], shards: dict[str, ShardListener]) -> Session:
        """A new session."""
        if self.down:
            raise CoordinatorUnavailable("the memory coordinator is down; bring it up")
        with self.step() as tree:
            session = Session(next(self._ids), tell, shards)
            tree.sessions[session.id] = session
            tree.tell_shards(session)
            return session

    def end(self, session: Session) -> None:
        """End a session by choice: it is not told LOST."""
        with self.step() as tree:
            tree.end(session)

    @contextmanager
    def step(self, session: Session | None = None, *, writes: bool = False) -> Iterator[Tree]:
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
