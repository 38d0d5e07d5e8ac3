"""The claims of one session: made, kept up by heartbeats, given up, asked to be given up.

One object per session, so a heartbeat can never keep up the nodes of an older one that still stand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import Claim
from leaderjobs.coordination.paths import Paths, decode_token, encode
from leaderjobs.coordination.zookeeper_client import is_disconnect
from leaderjobs.coordination.zookeeper_session import NodeExists, NodeGone, Session, Stat
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.member import LeaderInfo

MOST_HEARTBEAT_TRIES: Final = 4
"""Each try but the last learns that what was known of the shards is out of date."""

_Refusal: TypeAlias = tuple[int, Exception]
_OWN_NODES: Final = 2
"""A heartbeat's first operations are about the candidate and the leader node, the others about shards."""


@dataclass(slots=True)
class _Held:
    """A claim, and what is known around it."""

    claim: Claim
    shards: set[str]
    """Shard nodes that exist, as far as we know."""
    resign_asked: bool = False
    watched: bool = False


class Claims:
    """What this session leads."""

    def __init__(self, session: Session, paths: Paths, on_resign: Callable[[], None]) -> None:
        """`on_resign` is called on kazoo's thread when a person has asked for one of the claims to end."""
        self._session = session
        self._paths = paths
        self._on_resign = on_resign
        self._held: dict[int, _Held] = {}

    # -- made ----------------------------------------------------------------------------------------------

    def claim(self, partition: int, place: str, info: LeaderInfo) -> Claim | None:
        """One transaction on the candidate `place`; see `Coordinator.claim`.

        A leader node that this session kept from an ended term makes way in the same transaction, so that
        every claim has a token of its own.
        """
        self._held.pop(partition, None)
        session, content, sent_at = self._session, encode(info), elapsed()
        try:
            refusal = self._send_claim(partition, place, content)
            if refusal is not None and isinstance(refusal[1], NodeExists):
                stat = session.exists(self._paths.leader(partition))
                if stat is not None and stat.owner == session.id:
                    refusal = self._send_claim(partition, place, content, replaces=stat)
        except CoordinatorUnavailable:
            if session.over or not session.await_connection():
                raise
        else:
            if refusal is not None:
                return None
        return self._read_back(partition, place, content, sent_at)

    def _send_claim(
        self, partition: int, place: str, content: bytes, replaces: Stat | None = None
    ) -> _Refusal | None:
        transaction = self._session.transaction()
        # Nobody else ever has our place's name. `leader` has the same name in every term, and version 0 in
        # each, so a check on that would pass for a leader that was deposed.
        transaction.check(self._paths.candidate(partition, place), -1)
        if replaces is not None:
            transaction.delete(self._paths.leader(partition), replaces.version)
        transaction.create(self._paths.leader(partition), content, ephemeral=True)
        return self._session.commit(transaction)

    def _read_back(self, partition: int, place: str, content: bytes, sent_at: float) -> Claim | None:
        try:
            found, stat = self._session.get(self._paths.leader(partition))
        except NodeGone:
            return None
        if stat.owner != self._session.id or found != content:
            return None
        claim = Claim(partition, stat.stamp, sent_at, place)
        self._held[partition] = _Held(claim, set())
        self._watch_resign(partition)
        return claim

    def drop_stale(self, partition: int) -> None:
        """Remove a leader node of this session whose candidate is gone: it could only block the line."""
        self._held.pop(partition, None)
        stat = self._session.exists(self._paths.leader(partition))
        if stat is not None and stat.owner == self._session.id:
            with contextlib.suppress(NodeGone):
                self._session.delete(self._paths.leader(partition), stat.version)

    # -- kept up -------------------------------------------------------------------------------------------

    def heartbeat(self, claim: Claim, info: LeaderInfo, shards: Mapping[str, bytes]) -> float:
        """See `Coordinator.heartbeat`; a shard node that is missing is made in the same transaction."""
        held = self._holding(claim)
        if shards.keys() - held.shards:
            with contextlib.suppress(NodeGone):
                held.shards |= set(self._session.children(self._paths.shards(claim.partition)))
        for _ in range(MOST_HEARTBEAT_TRIES):
            refusal = self._send_heartbeat(held, info, shards)
            if refusal is None:
                sent_at = self._session.sent_at
                held.shards |= shards.keys()
                if not held.watched:
                    self._watch_resign(claim.partition)
                return sent_at
            self._learn(held, refusal)
        raise CoordinatorUnavailable(
            "shard nodes keep changing under the heartbeat; look who else writes them"
        )

    def _holding(self, claim: Claim) -> _Held:
        held = self._held.get(claim.partition)
        if held is None or held.claim != claim or self._session.over:
            raise LeadershipLost(f"the claim with token {claim.token} is no longer held by this session")
        return held

    def _send_heartbeat(self, held: _Held, info: LeaderInfo, shards: Mapping[str, bytes]) -> _Refusal | None:
        claim, transaction = held.claim, self._session.transaction()
        transaction.check(self._paths.candidate(claim.partition, claim.candidate), -1)
        content = encode(replace(info, token=claim.token))
        transaction.set_data(self._paths.leader(claim.partition), content)
        for name, data in shards.items():
            write = transaction.set_data if name in held.shards else transaction.create
            write(self._paths.shard(claim.partition, name), data)
        try:
            return self._session.commit(transaction)
        except CoordinatorUnavailable:
            if self._session.over:
                raise LeadershipLost(f"the session that held token {claim.token} is over") from None
            raise

    def _learn(self, held: _Held, refusal: _Refusal) -> None:
        index, error = refusal
        token = held.claim.token
        if index < _OWN_NODES and isinstance(error, NodeGone):
            self._held.pop(held.claim.partition, None)
            gone = "candidate" if index == 0 else "leader"
            raise LeadershipLost(f"the {gone} node of token {token} is gone; stand in line again")
        if not isinstance(error, NodeExists | NodeGone):
            raise CoordinatorUnavailable(
                f"ZooKeeper refused a heartbeat: {type(error).__name__}; look at its log"
            )
        # Somebody made or removed a shard since we last looked, so look again.
        self._session.ensure(self._paths.parents_of(held.claim.partition))
        held.shards = set(self._session.children(self._paths.shards(held.claim.partition)))

    # -- given up ------------------------------------------------------------------------------------------

    def resign(self, claim: Claim) -> None:
        """See `Coordinator.resign`; a request that asked for it goes too."""
        session = self._session
        if session.over:
            return
        asked = self.resign_requested(claim)
        leader = self._paths.leader(claim.partition)
        place = self._paths.candidate(claim.partition, claim.candidate)
        stat = session.exists(leader)
        if stat is not None and stat.owner == session.id and stat.stamp == claim.token:
            transaction = session.transaction()
            transaction.delete(leader, stat.version)
            transaction.delete(place)
            if session.commit(transaction) is not None:
                # One of them is gone already, so there is nothing left to be done together.
                with contextlib.suppress(NodeGone):
                    session.delete(leader, stat.version)
        with contextlib.suppress(NodeGone):
            session.delete(place)
        held = self._held.get(claim.partition)
        if held is not None and held.claim == claim:
            del self._held[claim.partition]
        if asked:
            with contextlib.suppress(NodeGone):
                session.delete(self._paths.resign(claim.partition))

    # -- asked to be given up ------------------------------------------------------------------------------

    def resign_requested(self, claim: Claim) -> bool:
        """See `Coordinator.resign_requested`."""
        held = self._held.get(claim.partition)
        return held is not None and held.claim == claim and held.resign_asked

    def connection_broke(self) -> None:
        """Every watch is gone without a word; the next heartbeat arms them again."""
        for held in list(self._held.values()):
            held.watched = False

    def _watch_resign(self, partition: int) -> None:
        """Read and watch the request without waiting: this also runs on kazoo's own threads."""
        held = self._held.get(partition)
        if held is None:
            return
        held.watched = True

        def told(content: bytes | None) -> None:
            if content is not None and decode_token(content) == held.claim.token and not held.resign_asked:
                held.resign_asked = True
                self._on_resign()

        self._session.glance(self._paths.resign(partition), self._resign_changed, told)

    def _resign_changed(self, event: Any) -> None:  # noqa: ANN401 - kazoo has no types
        if is_disconnect(event):
            return
        for partition in list(self._held):
            if event.path == self._paths.resign(partition):
                self._watch_resign(partition)
