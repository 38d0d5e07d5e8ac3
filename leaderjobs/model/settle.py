"""What to do next about an effect: a pure function of its ledger, so every leader comes to the same end.

The rule that everything serves (I2): an effect is sent again only where a second send cannot act twice.
There are three such reasons beside the first send, and every stamp names its own (`Basis`).

An earlier send is *open* while it may have acted or may still act. A no to one send says nothing about
another that is open, unless the provider repeated that no for our key. Evidence of success always wins.
What neither evidence nor a permitted send can settle is uncertain, and says why. The table of evidence is
that of sync.md §11; when to take a step (the pauses between sends) is the operator's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from leaderjobs.model.effect import HARMLESS, Effect, EffectState, Send, Told, Verdict

ADVICE = "; look at the provider, then run: leaderjobs effects resolve"


class Basis(StrEnum):
    """Why a send cannot make the effect happen a second time."""

    FIRST = "first"
    """Nothing of it was ever stamped."""
    NEVER_ACTED = "never_acted"
    """Every earlier send provably did nothing."""
    KEY = "key"
    """The provider repeats its answer for our key, and the window since the first stamp is still open."""
    ABSENCE = "absence"
    """By the provider's own rules, what cannot be seen by now has not happened and will not."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be relied on at the provider, for one kind of operation."""

    replay_window: timedelta | None
    """How long after the first stamp the same key may be sent again; None: keys are not honoured."""
    looks_up: bool
    """Whether the effect can be looked for without acting."""
    absent_after: timedelta | None = None
    """How long after the last sign of a send a look-up without it proves that it never acts; None: never."""


@dataclass(frozen=True, slots=True)
class Settle:
    """The effect comes to this state."""

    state: EffectState
    code: str
    reason: str
    remote_id: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    by_other: bool = False


@dataclass(frozen=True, slots=True)
class SendNow:
    """Stamp and send, for this reason."""

    basis: Basis


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the provider about the effect without acting."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be done now but wait and come back."""

    why: str


Step: TypeAlias = Settle | SendNow | LookUp | Wait


MOST_IN_FLIGHT = timedelta(hours=1)
"""How long a request may be on its way after its stamp, given up here or not: the hour between the 23 that
are used of a provider's window and the 24 that it promises."""


def since_absence(sends: Sequence[Send]) -> list[Send]:
    """The sends that still count: a later ABSENCE proved that those before it never acted, nor will."""
    proved = max((send.n for send in sends if send.basis == Basis.ABSENCE), default=0)
    return [send for send in sends if send.n >= proved]


def open_sends(sends: Sequence[Send]) -> list[Send]:
    """The sends that may have acted, or still may."""
    harmless = HARMLESS | {Told.DECLINED, Told.MISMATCH}
    return [send for send in since_absence(sends) if send.told not in harmless]


def in_flight_until(sends: Sequence[Send]) -> datetime | None:
    """Until when an open send may still reach the provider; None when there is none."""
    newest = max((send.sent_at for send in open_sends(sends)), default=None)
    return None if newest is None else newest + MOST_IN_FLIGHT


def window_began(sends: Sequence[Send]) -> datetime | None:
    """The earliest instant at which the provider can have stored our key; None when it cannot have.

    A send that was turned away or never left stored nothing, so a day of those does not use the window up.
    """
    return next((send.sent_at for send in sends if send.told not in HARMLESS), None)


def next_step(effect: Effect, found: Verdict | None, rules: Rules, now: datetime) -> Step | None:
    """The one thing to do; None when the effect is at its end.

    `found` is the newest look-up, if one was made AFTER the last send of `effect.sends` had ended or been
    given up; `now` is the clock that wrote the stamps. A look-up that got no answer is UNAVAILABLE.
    """
    if effect.state.final:
        return None
    doubtful = open_sends(effect.sends)
    proof = _success(effect.sends, doubtful, found) or _refusal(effect.sends, doubtful, found)
    if proof is not None:
        return proof
    if found is None and _wants_look_up(effect, doubtful, rules):
        return LookUp()
    if found is not None and found.told is Told.PENDING:
        return Wait(found.message or "the provider has not decided yet")
    if doubtful:
        return _doubt(effect, doubtful, found, rules, now)
    return _harmless(effect, found)


def _success(sends: Sequence[Send], doubtful: Sequence[Send], found: Verdict | None) -> Settle | None:
    """The effect is there, whoever says so; by another where none of ours can have done it."""
    said = [send.verdict for send in sends if send.verdict and send.told is Told.DONE]
    if not said and found is not None and found.told is Told.DONE:
        said = [found]
    if not said:
        return None
    verdict = said[0]
    return Settle(
        EffectState.SUCCEEDED,
        verdict.code,
        verdict.message,
        verdict.remote_id,
        verdict.facts,
        by_other=not doubtful,
    )


def _refusal(sends: Sequence[Send], doubtful: Sequence[Send], found: Verdict | None) -> Settle | None:
    """A no that holds for every send: the target's own state, the repeated answer, or the only answer."""
    if found is not None and found.told is Told.DECLINED:
        return _failed(found)
    counting = since_absence(sends)
    said = [send.verdict for send in counting if send.verdict and send.told is Told.DECLINED]
    # Repeated for our key, a no answers every send under it; not one by when the key may be forgotten.
    repeated = [verdict for verdict in said if verdict.replayed]
    if found is not None and found.told is Told.OPEN:
        mismatched = [send.verdict for send in counting if send.verdict and send.told is Told.MISMATCH]
        repeated += [verdict for verdict in mismatched if verdict.replayed]
    if repeated:
        return _failed(repeated[0])
    if said and not doubtful:
        return _failed(said[-1])
    return None


def _failed(verdict: Verdict) -> Settle:
    return Settle(EffectState.FAILED, verdict.code, verdict.message, verdict.remote_id, verdict.facts)


def _wants_look_up(effect: Effect, doubtful: Sequence[Send], rules: Rules) -> bool:
    """Before the first send (is it there already? is it what was asked for?), and whenever in doubt."""
    mismatched = any(send.told is Told.MISMATCH for send in effect.sends)
    in_doubt = bool(doubtful) or mismatched or effect.state is EffectState.UNCERTAIN
    return rules.looks_up and (in_doubt or not effect.sends)


def _doubt(
    effect: Effect, doubtful: Sequence[Send], found: Verdict | None, rules: Rules, now: datetime
) -> Step:
    """Some send may have acted, and the look-up (if there is one) shows nothing of it."""
    told = {send.told for send in doubtful}
    began = window_began(effect.sends)
    if Told.STUCK in told:
        return _uncertain(effect, "stuck", "the provider repeats that it does not know what became of it")
    if Told.PENDING in told:
        if rules.looks_up:
            return Wait("the provider has accepted it and has not decided yet")
        return _uncertain(effect, "pending", "the provider has accepted it, and it cannot be looked up")
    in_window = rules.replay_window is not None and began is not None and now < began + rules.replay_window
    if in_window and effect.state is not EffectState.UNCERTAIN:
        return SendNow(Basis.KEY)
    return _absence(effect, doubtful, found, rules, now) or _unanswered(effect, found, rules)


def _absence(
    effect: Effect, doubtful: Sequence[Send], found: Verdict | None, rules: Rules, now: datetime
) -> Step | None:
    """Whether what the look-up does not show can be taken as not having happened; None when it cannot."""
    if rules.absent_after is None or found is None or found.told is not Told.OPEN:
        return None
    if len(effect.sends) >= effect.max_attempts:
        return _uncertain(effect, "unanswered", f"{len(effect.sends)} sends got no answer")
    last = max(send.ended_at or send.sent_at for send in doubtful)
    if now >= last + rules.absent_after:
        return SendNow(Basis.ABSENCE)
    return Wait("what cannot be seen yet may still appear")


def _unanswered(effect: Effect, found: Verdict | None, rules: Rules) -> Step:
    seen = found is not None and found.told is Told.OPEN
    shows = "the look-up shows nothing of it" if seen else "it cannot be looked up"
    why = (
        "the provider does not act once for one key"
        if rules.replay_window is None
        else f"its window of {rules.replay_window} for the same key is over"
    )
    return _uncertain(effect, "unanswered", f"a send was not answered, {shows}, and {why}")


def _harmless(effect: Effect, found: Verdict | None) -> Step:
    """No send has acted or will, so another cannot be the second."""
    sends = effect.sends
    if found is not None and found.told is Told.UNAVAILABLE:
        return Wait("the provider cannot be asked about it now")
    if not sends:
        return SendNow(Basis.FIRST)
    mismatched = [send.verdict for send in sends if send.verdict and send.told is Told.MISMATCH]
    if mismatched:
        return _failed(mismatched[-1])
    if len(sends) >= effect.max_attempts:
        last = sends[-1].verdict
        code, said = (last.code, last.message) if last else ("", "no answer")
        return Settle(
            EffectState.FAILED, code, f"given up after {len(sends)} sends, none of which acted: {said}"
        )
    return SendNow(Basis.NEVER_ACTED)


def _uncertain(effect: Effect, code: str, reason: str) -> Step:
    if effect.state is EffectState.UNCERTAIN:
        return Wait(effect.reason)
    return Settle(EffectState.UNCERTAIN, code, reason + ADVICE)
