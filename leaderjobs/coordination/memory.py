"""The contract of `base` inside one process, for tests and for tools that need no second machine.

`MemoryServer` (memory_server) plays the ensemble, and makes the faults that a test asks for.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from leaderjobs.clock import elapsed
from leaderjobs.coordination import paths as names
from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent, Listener, ShardListener
from leaderjobs.coordination.memory_server import MemoryServer, Session, Tree, telling
from leaderjobs.coordination.paths import Paths
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition

__all__ = ["MemoryCoordinator", "MemoryServer"]


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
        self._session: Session | None = None
        self._origin = ""
        self._position: ReplicaPosition | None = None
        self._shards: dict[str, ShardListener] = {}
        self._places: dict[int, str] = {}
        self._held: dict[int, Claim] = {}

    @property
    def session(self) -> Session:
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

    def _read_origin(self, tree: Tree) -> None:
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

    def _mine(self, tree: Tree, session: Session, partition: int) -> list[str]:
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

    def _read_back(self, session: Session, partition: int, place: str | None, sent_at: float) -> Claim | None:
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
                tree.told.append(telling(owner))

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
