"""The contract of `base` on ZooKeeper.

An ephemeral sequential *candidate* per member is the line. The first in it *claims*: one transaction that
checks its candidate and creates `leader`. The creation stamp (czxid) of that node is the fencing token: a
candidate's own stamp or number would not do, because an older candidate may lead after a younger one and
the counter restarts when its parent is made again. The *heartbeat* is one transaction that checks the
candidate and writes `leader` and the shards: a committed write is the only proof of life there is, for a
server that is cut off from its ensemble still answers pings and reads.

Who is authoritative: ZooKeeper for every answer given here; a node is ours only if this *session* owns it,
never by name alone. A session that was lost never comes back: `connect` makes another client, and a claim
of the old session is refused from then on, even while its nodes still stand.

The rooms: `zookeeper_url` where it is; `zookeeper_client` kazoo, tamed; `zookeeper_session` one session, one
request at a time; `zookeeper_line` the candidates; `zookeeper_claims` terms; `zookeeper_side` a second
connection for markers and acknowledgements.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from leaderjobs.clock import elapsed
from leaderjobs.coordination import paths as names
from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent, Listener, ShardListener
from leaderjobs.coordination.paths import Paths
from leaderjobs.coordination.zookeeper_claims import Claims
from leaderjobs.coordination.zookeeper_client import is_disconnect
from leaderjobs.coordination.zookeeper_line import Line
from leaderjobs.coordination.zookeeper_session import NodeExists, NodeGone, Session
from leaderjobs.coordination.zookeeper_side import SideConnection
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import ConfigError, CoordinatorUnavailable
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition

SMALLEST_TICKS: Final = 3.75
"""Sessions must last longer than this many ticks of the server.

A term ends at 2/3 T after the last acknowledged heartbeat was sent; the server may expire the session half
a tick early when a follower relays the touches, and a heartbeat and a round trip of up to T/10 each may be
under way: T/3 > tick/2 + 2 T/10.
"""
MOST_WRITE_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Work:
    """A session and what ends with it."""

    session: Session
    line: Line
    claims: Claims


class ZooKeeperCoordinator(Coordinator):
    """A member's view of one cluster in ZooKeeper."""

    kind: ClassVar[str] = "zookeeper"

    def __init__(self, url: str, cluster: str, guid: str, session_timeout: timedelta) -> None:
        """Connects nowhere yet; ConfigError for a URL (see zookeeper_url) or cluster that cannot be."""
        self._server = ZooKeeperUrl.parse(url)
        self._paths = Paths(self._server.root, cluster)
        self._guid = names.check_guid(guid)
        self._asked = session_timeout
        self._listener: Listener = _nobody
        self._work: _Work | None = None
        self._side = SideConnection(self._server, session_timeout, self._paths)
        self._origin = ""
        self._member: Member | None = None
        self._position: ReplicaPosition | None = None

    # -- session -------------------------------------------------------------------------------------------

    def connect(self, timeout: timedelta) -> None:
        """As the contract says; ends whatever session there was before, at once and by force if need be."""
        deadline = elapsed() + timeout.total_seconds()
        if self._work is not None:
            self._work.session.end()
        session = Session(self._server, self._asked, self._told_by_session)
        line = Line(session, self._paths, self._guid, self._told_by_watch)
        self._work = _Work(session, line, Claims(session, self._paths, self._told_to_resign))
        try:
            session.open(timedelta(seconds=max(0.0, deadline - elapsed())))
            session.deadline = deadline
            check_timeout(session, self._asked)
            self._prepare(session)
            session.deadline = None
        except BaseException:
            session.end()
            raise
        self._side.start()

    def close(self) -> None:
        """As the contract says: at most some 5 s on a dead link; `connect` may be called again."""
        work = self._work
        if work is not None:
            work.session.end()
        self._side.stop()

    @property
    def session_timeout(self) -> timedelta:
        """Granted by the server; what was asked for, before the first `connect`."""
        return self._work.session.granted if self._work is not None else self._asked

    def listen(self, listener: Listener) -> None:
        """Name the receiver of events, which come on kazoo's threads."""
        self._listener = listener

    def origin(self) -> str:
        """As read by `connect` and by every `campaign` that made a new candidate."""
        return self._origin

    def _told_by_session(self, event: CoordinatorEvent) -> None:
        if self._work is not None:
            self._work.claims.connection_broke()
        self._listener(event)

    def _told_by_watch(self, event: Any) -> None:  # noqa: ANN401 - kazoo has no types
        if not is_disconnect(event):
            self._listener(CoordinatorEvent.CHANGED)

    def _told_to_resign(self) -> None:
        self._listener(CoordinatorEvent.CHANGED)

    def _prepare(self, session: Session, partition: int | None = None) -> None:
        session.ensure(self._paths.parents())
        if partition is not None:
            session.ensure(self._paths.parents_of(partition))
        self._read_origin(session)

    def _read_origin(self, session: Session) -> None:
        # Whoever creates it first decides; a lost race or a lost answer reads what stands there.
        for _ in range(MOST_WRITE_TRIES):
            with contextlib.suppress(NodeGone):
                self._origin = session.get(self._paths.origin)[0].decode(errors="replace")
                return
            with contextlib.suppress(NodeExists):
                session.create(self._paths.origin, uuid.uuid4().hex.encode())
        raise CoordinatorUnavailable("ZooKeeper's data vanishes while it is being made; look who deletes it")

    def _now(self) -> _Work:
        if self._work is None:
            raise CoordinatorUnavailable("not connected to ZooKeeper yet; call connect first")
        return self._work

    # -- members -------------------------------------------------------------------------------------------

    def join(self, member: Member) -> None:
        """As the contract says; takes the place of a node that an earlier session of ours left behind."""
        session = self._now().session
        member = replace(member, guid=self._guid, replica=self._position or member.replica)
        path, content = self._paths.member(self._guid), names.encode(member)
        for _ in range(MOST_WRITE_TRIES):
            stat = session.exists(path)
            try:
                if stat is not None and stat.owner == session.id:
                    session.write(path, content)
                else:
                    if stat is not None:
                        session.delete(path, stat.version)
                    session.create(path, content, ephemeral=True)
            except NodeGone:
                self._prepare(session)
            except NodeExists:
                continue
            else:
                self._member = member
                return
        raise CoordinatorUnavailable(f"the member node {path} keeps changing; look who else writes it")

    def acknowledge(self, position: ReplicaPosition) -> None:
        """Returns at once: the second connection writes it, the newest position only."""
        self._position = position
        if self._member is not None:
            self._side.acknowledge(replace(self._member, replica=position))

    def members(self) -> list[Member]:
        """One read per member."""
        session = self._now().session
        found = []
        with contextlib.suppress(NodeGone):
            for guid in session.children(self._paths.members):
                with contextlib.suppress(NodeGone):
                    found.append(names.decode_member(session.get(self._paths.member(guid))[0]))
        return sorted(
            (member for member in found if member is not None), key=lambda one: (one.since, one.guid)
        )

    # -- election ------------------------------------------------------------------------------------------

    def campaign(self, partition: int) -> None:
        """As the contract says; reads the origin again for every new candidate.

        A candidate stands in the data whose origin is read after it: were the data replaced in between, the
        candidate would be gone, and with it the claim.
        """
        now = self._now()
        if now.line.find(partition):
            return
        now.claims.drop_stale(partition)
        try:
            now.line.stand(partition)
        except NodeGone:
            self._prepare(now.session, partition)
            now.line.stand(partition)
        self._read_origin(now.session)

    def first_in_line(self, partition: int) -> bool:
        """As the contract says, in two or three reads; no watch is ever armed twice."""
        try:
            return self._now().line.may_claim(partition)
        except NodeGone:
            return False

    def claim(self, partition: int, info: LeaderInfo) -> Claim | None:
        """As the contract says."""
        now = self._now()
        place = now.line.place(partition)
        return None if place is None else now.claims.claim(partition, place, info)

    def heartbeat(self, claim: Claim, info: LeaderInfo, shards: Mapping[str, bytes]) -> float:
        """As the contract says; LeadershipLost also when the session that claimed is over."""
        names.check_shards(shards)
        return self._now().claims.heartbeat(claim, info, shards)

    def resign(self, claim: Claim) -> None:
        """As the contract says; CoordinatorUnavailable leaves the claim to be resigned again."""
        now = self._now()
        now.claims.resign(claim)
        if now.line.place(claim.partition) == claim.candidate:
            now.line.forget(claim.partition)

    def withdraw(self, partition: int) -> None:
        """As the contract says, unacknowledged candidates included."""
        self._now().line.leave(partition)

    def leader(self, partition: int) -> LeaderInfo | None:
        """As the contract says; an unreadable node still says that, and since when, somebody leads."""
        try:
            content, stat = self._now().session.get(self._paths.leader(partition))
        except NodeGone:
            return None
        info = names.decode_leader(content) or LeaderInfo(
            id="unknown",
            guid="",
            number=0,
            since=datetime.fromtimestamp(stat.created_at, UTC),
            heartbeat_at=datetime.fromtimestamp(stat.written_at, UTC),
            trusted_for=0.0,
        )
        return replace(info, token=stat.stamp)

    # -- requests to resign --------------------------------------------------------------------------------

    def request_resign(self, partition: int, token: int) -> None:
        """As the contract says; a newer request replaces an older one."""
        session, path, content = self._now().session, self._paths.resign(partition), str(token).encode()
        for _ in range(MOST_WRITE_TRIES):
            with contextlib.suppress(NodeGone):
                session.write(path, content)
                return
            try:
                session.create(path, content)
            except NodeGone:
                self._prepare(session, partition)
            except NodeExists:
                continue
            else:
                return
        raise CoordinatorUnavailable(f"the node {path} keeps changing; try again")

    def resign_requested(self, claim: Claim) -> bool:
        """As the contract says: kept by a watch, which the next heartbeat renews after every break."""
        return self._work is not None and self._work.claims.resign_requested(claim)

    # -- markers -------------------------------------------------------------------------------------------

    def watch_shards(self, partition: int, listener: ShardListener) -> None:
        """As the contract says; returns at once, the thread of the second connection calls `listener`."""
        self._side.watch(partition, listener)


def check_timeout(session: Session, asked: timedelta) -> None:
    """ConfigError, with both numbers, when the granted timeout cannot hold SMALLEST_TICKS of this server."""
    granted, tick = session.granted.total_seconds(), session.tick().total_seconds()
    if granted <= SMALLEST_TICKS * tick:
        raise ConfigError(
            f"session timeout of {granted:g} s (granted; asked for {asked.total_seconds():g} s) is too short"
            f" for a ZooKeeper tick of {tick:g} s: set it above {SMALLEST_TICKS * tick:g} s, or lower the"
            " server's tickTime"
        )


def _nobody(_: CoordinatorEvent) -> None:
    """Receive events until somebody listens."""
