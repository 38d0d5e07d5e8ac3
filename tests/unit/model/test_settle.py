"""What may be done next about an effect: every row of the table of evidence, and every ledger up to three sends."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.model.effect import TRANSITIONS, Effect, EffectState, Request, Send, Told, Verdict
from leaderjobs.model.settle import (
    Basis,
    LookUp,
    Rules,
    SendNow,
    Settle,
    Step,
    Wait,
    in_flight_until,
    next_step,
    open_sends,
    since_absence,
)

START = datetime(2026, 11, 24, tzinfo=UTC)
WINDOW = timedelta(hours=23)
STRIPE = Rules(replay_window=WINDOW, looks_up=True)
BLIND = Rules(replay_window=WINDOW, looks_up=False)
KEYLESS = Rules(replay_window=None, looks_up=True)
PATIENT = Rules(replay_window=None, looks_up=True, absent_after=timedelta(minutes=10))
NEITHER = Rules(replay_window=None, looks_up=False)
ANSWERS = tuple(told for told in Told if told not in {Told.OPEN, Told.UNAVAILABLE})
FOUND = (Told.DONE, Told.DECLINED, Told.PENDING, Told.OPEN, Told.UNAVAILABLE)


def send(n: int, told: Told | None, *, basis: str = "first", replayed: bool = False) -> Send:
    """A send stamped `n` minutes after START; `told` None has no evidence."""
    at = START + timedelta(minutes=n)
    verdict = None if told is None else Verdict(told, f"code-{n}", "said", replayed=replayed)
    return Send(n, 1, "a", basis, at, None if told is None else at + timedelta(seconds=1), verdict)


def effect(*sends: Send, state: EffectState | None = None, max_attempts: int = 100) -> Effect:
    return Effect(
        id=uuid.UUID(int=1),
        connection="billing",
        operation="pay_invoice",
        business_key="invoice:in_1:pay",
        arguments={},
        request=Request("POST", "/pay"),
        idempotency_key="lj-1",
        state=state or (EffectState.SENDING if sends else EffectState.PLANNED),
        version=0,
        max_attempts=max_attempts,
        created_at=START,
        first_sent_at=sends[0].sent_at if sends else None,
        reason="why",
        sends=sends,
    )


def step(
    *sends: Send,
    found: Told | None = None,
    rules: Rules = STRIPE,
    after: timedelta = timedelta(hours=1),
    state: EffectState | None = None,
    max_attempts: int = 100,
) -> Step | None:
    """The next step, `after` START."""
    seen = None if found is None else Verdict(found, "found", "as found")
    return next_step(effect(*sends, state=state, max_attempts=max_attempts), seen, rules, START + after)


def settled(found: Step | None) -> EffectState | None:
    return found.state if isinstance(found, Settle) else None


# -- the table of evidence ---------------------------------------------------------------------------------


def test_what_was_never_stamped_is_looked_up_and_then_sent() -> None:
    assert step() == LookUp()
    assert step(found=Told.OPEN) == SendNow(Basis.FIRST)
    assert step(rules=BLIND) == SendNow(Basis.FIRST)


def test_what_cannot_be_looked_up_before_the_first_send_is_not_sent() -> None:
    assert isinstance(step(found=Told.UNAVAILABLE), Wait)


def test_what_is_there_before_the_first_send_has_succeeded_by_another() -> None:
    found = step(found=Told.DONE)
    assert isinstance(found, Settle)
    assert (found.state, found.by_other) == (EffectState.SUCCEEDED, True)


def test_what_the_target_refuses_before_the_first_send_has_failed() -> None:
    assert settled(step(found=Told.DECLINED)) is EffectState.FAILED


@pytest.mark.parametrize("told", [Told.DONE, Told.UNKNOWN, None])
def test_success_that_one_of_our_sends_may_have_caused_is_ours(told: Told | None) -> None:
    found = step(send(1, told), found=Told.DONE)
    assert isinstance(found, Settle)
    assert (found.state, found.by_other) == (EffectState.SUCCEEDED, False)


@pytest.mark.parametrize("told", [Told.REFUSED, Told.NOT_SENT, Told.MISMATCH])
def test_success_that_none_of_our_sends_can_have_caused_is_anothers(told: Told) -> None:
    """Among them: 400 already paid, and the look-up finds it paid."""
    found = step(send(1, told), found=Told.DONE)
    assert isinstance(found, Settle)
    assert (found.state, found.by_other) == (EffectState.SUCCEEDED, True)


def test_a_decline_of_the_only_send_is_final() -> None:
    found = step(send(1, Told.DECLINED))
    assert isinstance(found, Settle)
    assert (found.state, found.code) == (EffectState.FAILED, "code-1")


def test_a_decline_of_a_later_send_says_nothing_of_an_earlier_open_one() -> None:
    sends = (send(1, None), send(2, Told.DECLINED, basis="key"))
    assert step(*sends) == LookUp()
    assert step(*sends, found=Told.OPEN) == SendNow(Basis.KEY)


def test_a_decline_that_is_replayed_for_our_key_is_final_for_every_send() -> None:
    sends = (send(1, None), send(2, Told.DECLINED, basis="key", replayed=True))
    assert settled(step(*sends)) is EffectState.FAILED


def test_a_decline_after_sends_that_did_nothing_is_final() -> None:
    assert settled(step(send(1, Told.REFUSED), send(2, Told.DECLINED))) is EffectState.FAILED


@pytest.mark.parametrize("told", [Told.REFUSED, Told.NOT_SENT])
def test_a_send_that_did_nothing_is_followed_by_another_at_any_age(told: Told) -> None:
    assert step(send(1, told), after=timedelta(days=9)) == SendNow(Basis.NEVER_ACTED)


def test_sends_that_did_nothing_are_bounded_and_then_it_has_failed() -> None:
    assert settled(step(send(1, Told.REFUSED), send(2, Told.NOT_SENT), max_attempts=2)) is EffectState.FAILED


@pytest.mark.parametrize("told", [None, Told.UNKNOWN])
def test_an_unanswered_send_is_looked_up_then_sent_again_under_the_same_key(told: Told | None) -> None:
    assert step(send(1, told)) == LookUp()
    assert step(send(1, told), found=Told.OPEN) == SendNow(Basis.KEY)
    assert step(send(1, told), found=Told.UNAVAILABLE) == SendNow(Basis.KEY)


def test_at_the_end_of_the_window_an_unanswered_send_is_uncertain_and_never_sent_again() -> None:
    just_before = timedelta(minutes=1) + WINDOW - timedelta(microseconds=1)
    assert step(send(1, None), found=Told.OPEN, after=just_before) == SendNow(Basis.KEY)
    assert settled(step(send(1, None), found=Told.OPEN, after=timedelta(minutes=1) + WINDOW)) is (
        EffectState.UNCERTAIN
    )


def test_the_window_begins_with_the_first_send_not_the_last() -> None:
    sends = (send(1, None), send(1000, None, basis="key"))
    assert settled(step(*sends, found=Told.OPEN, after=timedelta(hours=24))) is EffectState.UNCERTAIN


def test_sends_that_stored_nothing_do_not_use_the_window_up() -> None:
    sends = (send(1, Told.REFUSED), send(1500, None, basis="never_acted"))
    assert step(*sends, found=Told.OPEN, after=timedelta(hours=26)) == SendNow(Basis.KEY)


@pytest.mark.parametrize("rules", [KEYLESS, NEITHER])
def test_where_keys_are_not_honoured_an_unanswered_send_is_uncertain_at_once(rules: Rules) -> None:
    found = Told.OPEN if rules.looks_up else None
    assert settled(step(send(1, None), found=found, rules=rules)) is EffectState.UNCERTAIN


def test_an_answer_that_is_stuck_is_uncertain_at_once_also_inside_the_window() -> None:
    sends = (send(1, Told.UNKNOWN), send(2, Told.STUCK, basis="key"))
    assert step(*sends) == LookUp()
    assert settled(step(*sends, found=Told.OPEN)) is EffectState.UNCERTAIN


def test_what_the_provider_decides_later_is_waited_for_and_not_sent_again() -> None:
    assert step(send(1, Told.PENDING)) == LookUp()
    for found in (Told.PENDING, Told.OPEN, Told.UNAVAILABLE):
        assert isinstance(step(send(1, Told.PENDING), found=found, after=timedelta(days=3)), Wait)


def test_what_the_provider_decides_later_and_nobody_can_look_up_is_uncertain() -> None:
    assert settled(step(send(1, Told.PENDING), rules=BLIND)) is EffectState.UNCERTAIN


def test_a_mismatch_is_looked_at_and_stands_when_nothing_is_there() -> None:
    assert step(send(1, Told.MISMATCH)) == LookUp()
    assert settled(step(send(1, Told.MISMATCH), found=Told.OPEN)) is EffectState.FAILED
    assert isinstance(step(send(1, Told.MISMATCH), found=Told.UNAVAILABLE), Wait)


def test_a_mismatch_that_is_replayed_for_our_key_is_final_when_nothing_is_there() -> None:
    sends = (send(1, None), send(2, Told.MISMATCH, basis="key", replayed=True))
    assert step(*sends) == LookUp()
    assert settled(step(*sends, found=Told.OPEN)) is EffectState.FAILED
    assert settled(step(*sends, found=Told.DONE)) is EffectState.SUCCEEDED


def test_absence_counts_only_after_the_providers_own_time_and_only_when_seen() -> None:
    open_send = send(1, Told.UNKNOWN)
    assert isinstance(step(open_send, found=Told.OPEN, rules=PATIENT, after=timedelta(minutes=5)), Wait)
    assert step(open_send, found=Told.OPEN, rules=PATIENT) == SendNow(Basis.ABSENCE)
    assert settled(step(open_send, found=Told.UNAVAILABLE, rules=PATIENT)) is EffectState.UNCERTAIN


def test_a_send_that_was_proved_absent_does_not_count_against_the_next_decline() -> None:
    sends = (send(1, Told.UNKNOWN), send(30, Told.DECLINED, basis="absence"))
    assert settled(step(*sends, rules=PATIENT)) is EffectState.FAILED


def test_a_no_that_was_repeated_for_the_key_says_nothing_of_a_send_after_absence() -> None:
    """By then the key may be forgotten: the later send can act."""
    both = Rules(WINDOW, looks_up=True, absent_after=timedelta(minutes=10))
    for told in (Told.DECLINED, Told.MISMATCH):
        sends = (send(1, told, replayed=True), send(2, None, basis="key"), send(1500, None, basis="absence"))
        late = timedelta(minutes=1505)
        assert settled(step(*sends, found=Told.OPEN, rules=both, after=late)) is not EffectState.FAILED


def test_a_send_may_be_in_flight_for_an_hour_unless_its_fate_is_known() -> None:
    assert in_flight_until(()) is None
    assert in_flight_until((send(1, Told.DECLINED), send(2, Told.NOT_SENT))) is None
    assert in_flight_until((send(1, Told.UNKNOWN), send(2, None))) == START + timedelta(hours=1, minutes=2)


def test_sends_after_absence_are_bounded() -> None:
    sends = (send(1, Told.UNKNOWN), send(30, Told.UNKNOWN, basis="absence"))
    assert settled(step(*sends, found=Told.OPEN, rules=PATIENT, max_attempts=2)) is EffectState.UNCERTAIN


def test_uncertain_is_only_looked_at() -> None:
    uncertain = EffectState.UNCERTAIN
    assert step(send(1, None), state=uncertain) == LookUp()
    assert isinstance(step(send(1, None), state=uncertain, found=Told.OPEN), Wait)
    assert settled(step(send(1, None), state=uncertain, found=Told.DONE)) is EffectState.SUCCEEDED
    assert settled(step(send(1, Told.DONE), state=uncertain)) is EffectState.SUCCEEDED


def test_late_evidence_that_no_send_acted_lets_an_uncertain_effect_go_on() -> None:
    found = step(send(1, Told.NOT_SENT), state=EffectState.UNCERTAIN, found=Told.OPEN)
    assert found == SendNow(Basis.NEVER_ACTED)


@pytest.mark.parametrize("state", [state for state in EffectState if state.final])
def test_nothing_is_done_about_an_effect_that_has_ended(state: EffectState) -> None:
    assert step(send(1, None), state=state) is None


# -- every ledger ------------------------------------------------------------------------------------------


def ledgers() -> Iterator[tuple[Send, ...]]:
    """Every ledger of up to three sends: all answers (only a no matters when replayed), every basis there can be."""
    replayed = [(Told.DECLINED, True), (Told.MISMATCH, True)]
    answers = [*((told, False) for told in ANSWERS), *replayed, (None, False)]
    for count in range(4):
        for chosen in itertools.product(answers, repeat=count):
            for bases in itertools.product(("key", "absence"), repeat=max(count - 1, 0)):
                yield tuple(
                    send(n, told, replayed=replayed, basis=basis)
                    for n, ((told, replayed), basis) in enumerate(
                        zip(chosen, ("first", *bases), strict=False), 1
                    )
                )


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        *itertools.product([STRIPE, KEYLESS, PATIENT], [None, *FOUND]),
        *itertools.product([BLIND, NEITHER], [None]),
    ],
)
@pytest.mark.parametrize("after", [timedelta(minutes=4), timedelta(hours=24)])
def test_no_ledger_leads_to_a_second_act(rules: Rules, found: Told | None, after: timedelta) -> None:
    now = START + after
    seen = None if found is None else Verdict(found)
    for sends in ledgers():
        states = (EffectState.SENDING, EffectState.UNCERTAIN) if sends else (EffectState.PLANNED,)
        for state in states:
            check(next_step(effect(*sends, state=state), seen, rules, now), sends, state, seen, rules, now)


def check(
    taken: Step | None,
    sends: tuple[Send, ...],
    state: EffectState,
    seen: Verdict | None,
    rules: Rules,
    now: datetime,
) -> None:
    """What must be true of a step, whatever the code says; told here from the ledger alone."""
    story = (sends, state, seen, rules, taken)
    done = any(each.told is Told.DONE for each in sends) or (seen is not None and seen.told is Told.DONE)
    in_doubt = bool(open_sends(sends))
    assert taken is not None, story
    match taken:
        case Settle(state=end):
            assert end in TRANSITIONS[state], story
            assert (end is EffectState.SUCCEEDED) == done, story
            if end is EffectState.FAILED:
                said_no = seen is not None and seen.told is Told.DECLINED
                final = {Told.DECLINED} | (
                    {Told.MISMATCH} if seen is not None and seen.told is Told.OPEN else set()
                )
                replayed = any(
                    each.told in final and each.verdict and each.verdict.replayed
                    for each in since_absence(sends)
                )
                assert said_no or replayed or not in_doubt, story
            if end is EffectState.UNCERTAIN:
                assert in_doubt, story
        case SendNow(basis):
            assert not done, story
            assert basis is Basis.FIRST or sends, story
            if in_doubt:
                in_time = (
                    rules.replay_window is not None
                    and now < min(each.sent_at for each in open_sends(sends)) + rules.replay_window
                )
                absent = (
                    rules.absent_after is not None
                    and seen is not None
                    and seen.told is Told.OPEN
                    and now
                    >= max(each.ended_at or each.sent_at for each in open_sends(sends)) + rules.absent_after
                )
                assert (basis is Basis.KEY and in_time) or (basis is Basis.ABSENCE and absent), story
            if state is EffectState.UNCERTAIN:
                assert basis in {Basis.NEVER_ACTED, Basis.ABSENCE}, story
        case LookUp():
            assert rules.looks_up, story
            assert seen is None, story
        case Wait():
            assert not done, story
