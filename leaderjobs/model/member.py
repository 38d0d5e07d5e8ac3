"""Who is here, and who leads, as published in the coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a member does at the moment."""

    LEADER = "leader"
    FOLLOWER = "follower"


@dataclass(frozen=True, slots=True)
class ReplicaPosition:
    """How far a follower's copy of the markers has come.

    `position` is the sum of the sequences of all markers: every committed batch adds exactly one to
    one sequence, so the database's sum less this one is the number of batches the follower lacks.
    """

    position: int = 0
    committed_at: datetime | None = None
    """When the newest batch that the follower has seen was committed, by the database's clock."""
    notes: tuple[str, ...] = ()
    """What the member wants people to know of itself, for instance that it refuses its configuration."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process started by `leaderjobs run`.

    `guid` is drawn afresh at every start and is what tells two members apart; `id` is for people.
    """

    id: str
    guid: str
    host: str
    pid: int
    version: str
    since: datetime
    replica: ReplicaPosition = ReplicaPosition()


@dataclass(frozen=True, slots=True)
class LeaderInfo:
    """What the leader says of itself with every heartbeat; `token` is filled in by the reader.

    `number` is 0 between the claim and the moment the fence was raised.
    """

    id: str
    guid: str
    number: int
    since: datetime
    heartbeat_at: datetime
    """Wall clock of the leader when it sent the heartbeat; shown, never compared for a decision."""
    trusted_for: float
    """Seconds of trust left at `heartbeat_at`."""
    token: int = 0
    notes: tuple[str, ...] = ()
    """What the leader wants people to know, for instance that the database has lost commits."""
