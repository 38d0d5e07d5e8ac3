"""What is told on the channel `leaderjobs`: hints to look again, never facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SignalKind(StrEnum):
    """The word after the cluster's name; none at all for CHANGED."""

    CHANGED = "changed"
    """A job ended or changed: whoever waits for one looks again."""
    DUE = "due"
    """A job of a connection and priority may run from an instant on, perhaps one that has passed."""
    RESCAN = "rescan"
    """Anything may have changed: look at everything."""
    CANCEL = "cancel"
    """A running job is to be cancelled."""
    SCHEDULES = "schedules"
    """A schedule was added, changed, paused or removed."""


_WORDS = frozenset(kind.value for kind in SignalKind)


@dataclass(frozen=True, slots=True)
class Signal:
    """One hint; `connection`, `priority` and `at` (aware UTC) are of DUE."""

    kind: SignalKind
    connection: str = ""
    priority: int = 0
    at: datetime | None = None


def parse(payload: str, cluster: str) -> Signal | None:
    """What a payload tells `cluster`; None for another cluster's, RESCAN for one that cannot be read.

    >>> str(parse("acme due bank 5 1000000", "acme").at)
    '1970-01-01 00:00:01+00:00'
    >>> parse("acme", "acme").kind
    <SignalKind.CHANGED: 'changed'>
    """
    if payload == cluster:
        return Signal(SignalKind.CHANGED)
    if not payload.startswith(f"{cluster} "):
        return None
    match payload[len(cluster) + 1 :].split(" "):
        case ["due", *connection, priority, instant]:
            try:
                at = _EPOCH + timedelta(microseconds=int(instant))
                return Signal(SignalKind.DUE, " ".join(connection), int(priority), at)
            except (ValueError, OverflowError):
                return Signal(SignalKind.RESCAN)
        case [word] if word in _WORDS:
            return Signal(SignalKind(word))
        case _:
            return Signal(SignalKind.RESCAN)
