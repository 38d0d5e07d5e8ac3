"""Who serves the queue and the schedules, or why nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from leaderjobs.model.member import LeaderInfo
from leaderjobs.model.reason import Reason, ReasonCode
from leaderjobs.store.terms import StoredTerm

TAKE_OVER = timedelta(seconds=5)
"""How long a leader may take from its claim to its fence before that counts as trouble."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """What the coordinator says of who leads; `error` is why it said nothing."""

    kind: str
    leader: LeaderInfo | None = None
    origin: str = ""
    error: str = ""
    silent: bool = False
    """The leader has sent no heartbeat for several of its periods; its session has not ended yet."""


def no_leader(leadership: Leadership, term: StoredTerm | None, now: datetime) -> Reason | None:
    """Why nobody serves the queue or the schedules; None when somebody does."""
    last = f"the last was {term.member}, term {term.number}" if term else "nobody ever has"
    leader = leadership.leader
    if leadership.error:
        return Reason(
            ReasonCode.UNKNOWN_LEADER,
            f"whether anybody leads is unknown, as {leadership.kind} does not answer: {leadership.error}; "
            f"{last}",
        )
    if term is not None and term.origin != leadership.origin:
        return Reason(
            ReasonCode.NOT_SERVED,
            f"nobody can lead: {leadership.kind} holds other data (origin {leadership.origin}) than the "
            f"fence knows ({term.origin}); if that is meant, run: leaderjobs db adopt-coordinator",
        )
    if leader is None:
        return Reason(
            ReasonCode.NO_LEADER, f"no member leads ({last}); start one on every machine: leaderjobs run"
        )
    if leadership.silent:
        return Reason(
            ReasonCode.NOT_SERVED,
            f"{leader.id} leads and has not been heard of since {moment(leader.heartbeat_at)}; if it is "
            "gone, the next in line leads when its session ends",
        )
    if leader.number == 0:
        notes = "".join(f"; {note}" for note in leader.notes)
        if now - leader.since < TAKE_OVER:
            return Reason(ReasonCode.NOT_SERVED, f"{leader.id} is just taking over{notes}")
        return Reason(
            ReasonCode.NOT_SERVED,
            f"{leader.id} claims to lead since {moment(leader.since)} and has not begun: its log says why "
            f"(term_refused, service_failed){notes}",
        )
    return None


def moment(at: datetime) -> str:
    """An instant for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
