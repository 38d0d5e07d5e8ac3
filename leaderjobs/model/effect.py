"""One business effect at a third party, every send of it, and what was learnt of either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

MOST_BUSINESS_KEY_CHARS = 200
MOST_BODY_BYTES = 256 * 1024
"""Of a request that is kept in the ledger."""


class EffectState(StrEnum):
    """Where an effect stands; `TRANSITIONS` has every way from one to another."""

    PLANNED = "planned"
    """Never stamped, so nothing of it ever left us."""
    SENDING = "sending"
    """Stamped at least once; not settled."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It did not take effect, and no send of it can any more."""
    UNCERTAIN = "uncertain"
    """Whether it took effect is unknown, and a second send could act twice: evidence or a person decides."""
    CANCELLED = "cancelled"
    """Taken back by a person before it was ever stamped."""

    @property
    def final(self) -> bool:
        """Whether nothing moves the effect on any more."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[EffectState, frozenset[EffectState]] = {
    EffectState.PLANNED: frozenset(
        {EffectState.SENDING, EffectState.SUCCEEDED, EffectState.FAILED, EffectState.CANCELLED}
    ),
    # Back to sending: evidence that came late may prove that no send acted.
    EffectState.UNCERTAIN: frozenset({EffectState.SENDING, EffectState.SUCCEEDED, EffectState.FAILED}),
    EffectState.SENDING: frozenset({EffectState.SUCCEEDED, EffectState.FAILED, EffectState.UNCERTAIN}),
    EffectState.SUCCEEDED: frozenset(),
    EffectState.FAILED: frozenset(),
    EffectState.CANCELLED: frozenset(),
}


class Told(StrEnum):
    """What an answer, or the lack of one, tells about the effect (sync.md §11, the table of evidence)."""

    DONE = "done"
    """It has taken effect."""
    PENDING = "pending"
    """The provider has accepted it and decides later: ask, do not send."""
    DECLINED = "declined"
    """Final: the provider executed the request and the answer is no."""
    MISMATCH = "mismatch"
    """The target is not in a state in which this could act; perhaps because it has acted: look at it."""
    REFUSED = "refused"
    """Turned away unexecuted (rate limit, credentials, the key in use): the same may be sent again."""
    NOT_SENT = "not_sent"
    """Provably never left us."""
    UNKNOWN = "unknown"
    """It may have acted: no answer, or one that does not tell."""
    STUCK = "stuck"
    """The provider says for good that it does not know; sending again only repeats that."""
    OPEN = "open"
    """Of a look-up only: the target is there and shows nothing of the effect, as of that moment."""
    UNAVAILABLE = "unavailable"
    """Of a look-up only: no answer to be had."""


HARMLESS = frozenset({Told.REFUSED, Told.NOT_SENT})
"""A send of which this was told has not acted and never will."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is kept in the ledger: every send of an effect is this, to the byte.

    Whatever identifies us (credentials) is added when it is sent, and is never part of it.
    """

    method: str
    path: str
    """From the connection's base URL on, query included."""
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content type and idempotency key; nothing secret."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, classified by its operation; nothing in it may be secret, all of it is kept."""

    told: Told
    code: str = ""
    """The provider's own word (`card_declined`), or one of ours."""
    message: str = ""
    """One sentence for people."""
    remote_id: str = ""
    """What the effect is called at the provider, once that is known."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """A few small JSON values worth keeping (status, amount)."""
    status: int | None = None
    replayed: bool = False
    """The provider repeated the answer that it had stored under our key."""
    should_retry: bool | None = None
    """The provider's own advice, where it gives any."""
    request_id: str = ""
    retry_after: timedelta | None = None
    hold: bool = False
    """Nothing of this connection can succeed before a person acts (credentials, permissions)."""


@dataclass(frozen=True, slots=True)
class Send:
    """One stamped send; `verdict` is None while no evidence has come, which is the same as unknown."""

    n: int
    """From 1."""
    term: int
    member: str
    basis: str
    """Why a second send could not act twice (`model.settle.Basis`)."""
    sent_at: datetime
    """The stamp: committed before the first byte left."""
    ended_at: datetime | None = None
    verdict: Verdict | None = None

    @property
    def told(self) -> Told:
        """What this send tells so far."""
        return Told.UNKNOWN if self.verdict is None else self.verdict.told


@dataclass(frozen=True, slots=True)
class NewEffect:
    """A request for an effect; `arguments` are normalised, so that equal wishes are equal values."""

    id: UUID
    connection: str
    operation: str
    business_key: str
    """What must happen once, such as `invoice:in_123:pay`."""
    arguments: Mapping[str, object]
    request: Request
    idempotency_key: str
    max_attempts: int = 100
    """Sends that provably did nothing, before the effect counts as failed: a day and more."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of the ledger; instants are those of the database's clock."""

    id: UUID
    connection: str
    operation: str
    business_key: str
    arguments: Mapping[str, object]
    request: Request
    idempotency_key: str
    state: EffectState
    version: int
    """Rises with every change and every piece of evidence: who decides names the one it has seen."""
    max_attempts: int
    created_at: datetime
    first_sent_at: datetime | None = None
    settled_at: datetime | None = None
    """When it came to its present state, if that is final or uncertain."""
    looked_up_at: datetime | None = None
    code: str = ""
    reason: str = ""
    remote_id: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    by_other: bool = False
    """It has taken effect, but not through us."""
    resolved_by: str = ""
    note: str = ""
    contradiction: str = ""
    """Evidence that came after the end and says otherwise."""
    sends: tuple[Send, ...] = ()
