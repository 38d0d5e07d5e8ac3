"""What the two servers said, or why one said nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from leaderjobs.model.member import LeaderInfo, Member
from leaderjobs.model.report import Reach
from leaderjobs.store.overview import Seen


@dataclass
class CoordinatorView:
    """What the coordinator said, or why it said nothing."""

    kind: str
    error: str = "it was not asked"
    leader: LeaderInfo | None = None
    members: list[Member] = field(default_factory=list)
    origin: str = ""


@dataclass
class DatabaseView:
    """What Postgres said, or why it said nothing."""

    state: Reach = Reach.UNREACHABLE
    error: str = ""
    seen: Seen = field(default_factory=Seen)
