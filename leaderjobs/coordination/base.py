"""The contract every coordinator keeps: one member's session, its place in line, its claim, its markers.

Threads: all methods of one instance are called from one thread (the elector's), except those marked
"any thread". Callbacks come on a backend thread and must only put something on a queue.

What a call says:
- it returns: the coordinator has decided, and this is the decision;
- `CoordinatorUnavailable`: nobody knows whether it took effect. Never assume either way;
- `LeadershipLost`: decided, and the claim is gone.

Paths (`paths.py`), all below the configured root and the cluster's name:
    origin                              random id, made once; other data means another origin
    members/<guid>                      ephemeral, one per member
    partitions/<p>/candidates/<guid>_n_<seq>   ephemeral, one per member in line
    partitions/<p>/leader               ephemeral, one per term; its creation stamp is the token
    partitions/<p>/markers/<shard>      persistent, written only inside a heartbeat
    partitions/<p>/resign               a person's request to the leader of one token
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Protocol, TypeAlias

from leaderjobs.model.finding import Finding
from leaderjobs.model.member import LeaderInfo, Member, ReplicaPosition


class CoordinatorEvent(StrEnum):
    """Why the elector should look again. Events are hints: it also looks on a timer."""

    CHANGED = "changed"
    """The line, the leader, our own node or a request to resign may have changed."""
    SUSPENDED = "suspended"
    """The connection is in doubt; the session may or may not live on."""
    RESUMED = "resumed"
    """Connected again, with the same session."""
    LOST = "lost"
    """The session is gone, and with it every ephemeral node; `connect` makes a new one."""


PARTITION = 0
"""The only partition so far."""
Listener: TypeAlias = Callable[[CoordinatorEvent], None]
ShardListener: TypeAlias = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Claim:
    """Proof of having become the leader of a partition: unique to one term."""

    partition: int
    token: int
    """The coordinator's fencing token: rises with every claim for as long as the origin is the same."""
    sent_at: float
    """`clock.elapsed()` just before the claim was sent: trust is counted from here at first."""
    candidate: str
    """The claimer's own place in line; the heartbeat proves that it still stands."""


class Coordinator(ABC):
    """A session with ZooKeeper or etcd, on behalf of one member (or of `status`, which only reads)."""

    kind: ClassVar[str]

    @abstractmethod
    def connect(self, timeout: timedelta) -> None:
        """Open a session, or a new one after LOST; makes the parents and the origin on first use.

        Waits at most `timeout`. CoordinatorUnavailable when no server answers. ConfigError when the
        granted session timeout cannot hold the election's inequality against the server's tick: the
        message names both numbers. After LOST, everything made by the old session must be made again.
        """

    @abstractmethod
    def close(self) -> None:
        """End the session, so that its nodes go at once; bounded, never raises; any thread."""

    @property
    @abstractmethod
    def session_timeout(self) -> timedelta:
        """The timeout that the server GRANTED, which may differ from what was asked."""

    @abstractmethod
    def listen(self, listener: Listener) -> None:
        """Name the one receiver of events; set before `connect`."""

    @abstractmethod
    def origin(self) -> str:
        """The random id of this coordinator's data."""

    # -- members -------------------------------------------------------------------------------------------

    @abstractmethod
    def join(self, member: Member) -> None:
        """Publish `member` for as long as the session lives; idempotent; again after a new session."""

    @abstractmethod
    def acknowledge(self, position: ReplicaPosition) -> None:
        """Publish how far this member's replica is, in its own node; any thread.

        Uses a connection of its own, so that it never stands in front of a heartbeat, and returns at once:
        the newest position is written when that connection allows. A node that is gone is no error.
        """

    @abstractmethod
    def members(self) -> list[Member]:
        """Who is here, ordered by `since`; a node that cannot be read as a member is left out."""

    # -- election ------------------------------------------------------------------------------------------

    @abstractmethod
    def campaign(self, partition: int) -> None:
        """Stand in line, at its end; idempotent.

        An own candidate of this session is kept, also one whose creation was never acknowledged (found
        again by guid AND session). Every new candidate re-reads `origin`: compare it before a claim is used.
        """

    @abstractmethod
    def first_in_line(self, partition: int) -> bool:
        """Whether this member may claim now; arms what is needed to be told CHANGED when that may differ.

        Watches only the predecessor (or, at the head, a leader node that is still there), so one death
        wakes one member. False when the own candidate is gone: `campaign` again.
        """

    @abstractmethod
    def claim(self, partition: int, info: LeaderInfo) -> Claim | None:
        """Become the leader in one transaction: own candidate still there, no leader node yet.

        None when that was not so (somebody else leads, or the candidate is gone). An unacknowledged
        claim is read back and decided by session before anything is raised.
        """

    @abstractmethod
    def heartbeat(self, claim: Claim, info: LeaderInfo, shards: Mapping[str, bytes]) -> float:
        """Prove the claim by one COMMITTED write that also carries `info` and `shards`; all or nothing.

        Returns `clock.elapsed()` from just before the acknowledged write was sent. LeadershipLost when
        the own candidate or leader node is gone. CoordinatorUnavailable when no answer came within a
        quarter of the session timeout; the write may still be under way then, and the next call waits
        for it before it sends another: at most one is in flight, because a client that keeps sending
        never notices a dead link. `shards` that were not acknowledged must be given again. They are
        keyed by shard name (`[a-z0-9-]+`), together at most 256 KiB.
        """

    @abstractmethod
    def resign(self, claim: Claim) -> None:
        """Give up by choice: remove the own leader node and candidate together. Gone already is no error."""

    @abstractmethod
    def withdraw(self, partition: int) -> None:
        """Leave the line without having led; no candidate is no error."""

    @abstractmethod
    def leader(self, partition: int) -> LeaderInfo | None:
        """Who leads, as last written, with `token` filled in; None when nobody does."""

    @abstractmethod
    def request_resign(self, partition: int, token: int) -> None:
        """Ask the leader of exactly this token to resign (`leaderjobs leader resign`)."""

    @abstractmethod
    def resign_requested(self, claim: Claim) -> bool:
        """Whether a person asked this very claim to end; no I/O, kept up to date by a watch or heartbeat."""

    # -- markers -------------------------------------------------------------------------------------------

    @abstractmethod
    def watch_shards(self, partition: int, listener: ShardListener) -> None:
        """Tell `listener` (name, data) of every shard there is and of every later change, latest wins.

        Survives reconnects and new sessions without being asked again; uses a connection of its own.
        """


class Examiner(Protocol):
    """Looks at everything that a backend assumes of its servers, for `leaderjobs doctor`; one thread."""

    def examine(self) -> Iterator[Finding]:
        """One finding for each of the backend's checks, as soon as it is known; raises nothing.

        Changes nothing but nodes of its own below the cluster's, which are gone when it ends; every wait is
        bounded.
        """
