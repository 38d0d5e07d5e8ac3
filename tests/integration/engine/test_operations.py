"""Operations under members of this process: each effect once, settled by evidence, whatever comes back."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from leaderjobs.backoff import Backoff
from leaderjobs.connectors.base import Channel
from leaderjobs.connectors.outcome import Answer
from leaderjobs.engine import operator, retrying
from leaderjobs.engine.status import report
from leaderjobs.engine.status_views import CoordinatorView, DatabaseView
from leaderjobs.errors import Refused, StoreUnavailable, TransientError
from leaderjobs.model.effect import EffectState, Request
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState
from leaderjobs.model.settle import Rules
from leaderjobs.store.effects import Effects, Stamp
from leaderjobs.store.overview import Seen
from tests.integration.engine.scripted import Bench
from tests.integration.engine.shop import Pay, Shop, pay, settled
from tests.support import eventually

KEYLESS = Rules(replay_window=None, looks_up=True)


@pytest.fixture
def shop(surroundings: Bench) -> Shop:
    made = Shop()
    made.open_in(surroundings)
    return made


def told(bench: Bench, effect_id: UUID) -> list[str]:
    return [send.told.value for send in bench.stores.effects.get(effect_id).sends]


def job_state(bench: Bench, effect_id: UUID) -> JobState:
    return bench.stores.jobs.get(bench.stores.effects.job_of(effect_id)).state


def test_an_operation_takes_effect_once_and_its_job_completes(surroundings: Bench, shop: Shop) -> None:
    member = surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))

    assert (effect.state, effect.by_other, shop.book) == (EffectState.SUCCEEDED, False, ["in_1"])
    assert told(surroundings, effect.id) == ["done"]
    eventually(lambda: job_state(surroundings, effect.id) is JobState.COMPLETED)
    assert [event.facts["told"] for event in member.saw(EventKind.EFFECT_ANSWERED)] == ["done"]


def test_asking_again_after_it_happened_does_nothing_more(surroundings: Bench, shop: Shop) -> None:
    surroundings.start("a")
    first = settled(surroundings, pay(surroundings, amount=5))

    assert pay(surroundings, amount=5) == first.id
    with pytest.raises(Refused, match="amount=5 then and 6 now"):
        pay(surroundings, amount=6)
    assert shop.book == ["in_1"]


def test_many_operations_of_one_connection_run_side_by_side_each_once(
    surroundings: Bench, shop: Shop
) -> None:
    wishes = [pay(surroundings, f"in_{number}") for number in range(25)]
    surroundings.start("a")

    for wish in wishes:
        assert settled(surroundings, wish).state is EffectState.SUCCEEDED
    assert sorted(shop.book) == sorted(f"in_{number}" for number in range(25))


@pytest.mark.parametrize(
    ("script", "shows", "paid", "state", "sends"),
    [
        (["act and drop"], None, 1, "succeeded", ["unknown"]),
        (["act and drop"], "open", 1, "succeeded", ["unknown", "done"]),
        (["drop", "act and drop"], None, 1, "succeeded", ["unknown", "unknown"]),
        (["refuse", "429", "act"], None, 1, "succeeded", ["not_sent", "refused", "done"]),
        (["402"], None, 0, "failed", ["declined"]),
        (["drop", "402"], None, 0, "failed", ["unknown", "declined", "declined"]),
        (["500"], None, 0, "uncertain", ["unknown", "stuck"]),
        (["400"], None, 0, "failed", ["mismatch"]),
    ],
)
def test_every_answer_ends_as_the_table_says(
    surroundings: Bench,
    shop: Shop,
    script: list[Any],
    shows: str | None,
    paid: int,
    state: str,
    sends: list[str],
) -> None:
    shop.script[:] = script
    shop.shows = shows
    surroundings.start("a")
    effect = settled(surroundings, pay(surroundings), 30)

    assert (effect.state.value, len(shop.book)) == (state, paid)
    assert told(surroundings, effect.id) == sends
    assert len({(request.body, request.headers["Idempotency-Key"]) for request in shop.sends}) == 1


def test_where_keys_are_ignored_and_the_look_up_lags_it_is_uncertain_and_never_sent_again(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "FIRST_LOOK_AT_UNCERTAIN", timedelta(milliseconds=100))
    shop.rules, shop.honours, shop.shows = KEYLESS, False, "open"
    shop.open_in(surroundings)
    shop.script[:] = ["act and drop"]
    member = surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))

    assert effect.state is EffectState.UNCERTAIN
    assert "does not act once for one key" in effect.reason
    eventually(lambda: member.saw(EventKind.EFFECT_UNCERTAIN))
    eventually(lambda: job_state(surroundings, effect.id) is JobState.UNCERTAIN)
    view = DatabaseView(seen=Seen(effects_uncertain=surroundings.stores.effects.counts()[0]))
    problems = surroundings_problems(view)
    assert problems["effects_uncertain"] == (
        "1 effect is uncertain; see: leaderjobs effects list --state uncertain"
    )

    looks = shop.looks
    eventually(lambda: shop.looks >= looks + 3, what="it to be looked at again and again")
    assert (len(shop.sends), shop.book) == (1, ["in_1"])
    shop.shows = None
    eventually(lambda: surroundings.stores.effects.get(effect.id).state is EffectState.SUCCEEDED)
    eventually(lambda: job_state(surroundings, effect.id) is JobState.COMPLETED)
    assert shop.book == ["in_1"]


def surroundings_problems(view: DatabaseView) -> dict[str, str]:
    from leaderjobs import clock

    made = report("acme", CoordinatorView("memory"), view, timedelta(seconds=1), clock.now())
    assert not made.healthy
    return {problem.code: problem.message for problem in made.problems}


def test_a_person_ends_what_is_uncertain_and_the_job_ends_with_it(surroundings: Bench, shop: Shop) -> None:
    shop.rules = KEYLESS
    shop.open_in(surroundings)
    shop.script[:] = ["drop"]
    surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))
    eventually(lambda: job_state(surroundings, effect.id) is JobState.UNCERTAIN)

    now = surroundings.stores.effects.get(effect.id)
    surroundings.stores.effects.resolve(now, EffectState.FAILED, "ann@host", "called them", force=True)

    eventually(lambda: job_state(surroundings, effect.id) is JobState.DISCARDED)
    assert len(shop.sends) == 1


def test_refused_credentials_hold_the_connection_until_a_person_has_mended_them(
    surroundings: Bench, shop: Shop
) -> None:
    shop.script[:] = ["401"]
    surroundings.start("a")
    effect_id = pay(surroundings)
    (hold,) = eventually(surroundings.stores.holds.all)
    assert hold.connection == "shop"

    surroundings.stores.holds.release("shop")

    assert settled(surroundings, effect_id).state is EffectState.SUCCEEDED
    assert told(surroundings, effect_id) == ["refused", "done"]
    eventually(lambda: not surroundings.stores.holds.all())


def test_an_effect_that_was_taken_back_is_never_sent(surroundings: Bench, shop: Shop) -> None:
    effect_id = pay(surroundings)
    effect = surroundings.stores.effects.get(effect_id)
    surroundings.stores.effects.resolve(effect, EffectState.CANCELLED, "ann@host", "not needed")
    surroundings.start("a")

    eventually(lambda: job_state(surroundings, effect_id) is JobState.CANCELLED)
    assert shop.sends == []


def test_an_operation_that_this_member_does_not_know_waits_and_is_not_given_up(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        retrying, "TROUBLE", Backoff(timedelta(milliseconds=200), timedelta(milliseconds=200))
    )
    effect_id = pay(surroundings)
    surroundings.script.operations = {}
    surroundings.start("a")
    eventually(lambda: job_state(surroundings, effect_id) is JobState.RETRYABLE)

    shop.open_in(surroundings)

    assert settled(surroundings, effect_id).state is EffectState.SUCCEEDED


def test_a_bug_in_an_operation_s_reading_of_answers_counts_as_unknown(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Pay, _answer: object) -> object:
        raise KeyError("surprise")

    monkeypatch.setattr(Pay, "classify", broken)
    surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))

    assert (effect.state, told(surroundings, effect.id)) == (EffectState.SUCCEEDED, ["unknown"])
    assert shop.book == ["in_1"]


# -- leaders that end in the middle ------------------------------------------------------------------------


def held_up(shop: Shop) -> tuple[threading.Event, threading.Event]:
    """The next send waits at the provider: set once it is there, and to be set to let it act."""
    out, answer = threading.Event(), threading.Event()

    def slow() -> str:
        out.set()
        assert answer.wait(20)
        return "act"

    shop.script[:] = [slow]
    return out, answer


def test_a_deposed_leader_s_answer_is_evidence_for_its_successor(surroundings: Bench, shop: Shop) -> None:
    """Keys are ignored and the look-up lags, so only the first leader's answer can tell."""
    shop.rules, shop.honours, shop.shows = KEYLESS, False, "open"
    shop.open_in(surroundings)
    out, answer = held_up(shop)
    old = surroundings.start("a")
    effect_id = pay(surroundings)
    assert out.wait(20)
    surroundings.start("b")
    surroundings.server.expire(old.coordinator)
    eventually(lambda: surroundings.stores.effects.get(effect_id).state is EffectState.UNCERTAIN)
    assert surroundings.term() >= 2

    answer.set()

    effect = eventually(
        lambda: (
            found
            if (found := surroundings.stores.effects.get(effect_id)).state is EffectState.SUCCEEDED
            else None
        )
    )
    assert (len(shop.sends), shop.book, effect.sends[0].term) == (1, ["in_1"], 1)


def test_a_successor_sends_the_same_request_again_while_the_first_is_still_out(
    surroundings: Bench, shop: Shop
) -> None:
    out, answer = held_up(shop)
    old = surroundings.start("a")
    effect_id = pay(surroundings)
    assert out.wait(20)
    surroundings.start("b")
    surroundings.server.expire(old.coordinator)

    effect = settled(surroundings, effect_id)
    answer.set()

    assert effect.state is EffectState.SUCCEEDED
    assert [send.basis for send in effect.sends] == ["first", "key"]
    eventually(lambda: told(surroundings, effect_id) == ["done", "done"])
    assert shop.book == ["in_1"]
    assert len({(request.body, request.headers["Idempotency-Key"]) for request in shop.sends}) == 1
    agents = [request.headers["User-Agent"].partition(" ")[2] for request in shop.sends]
    assert agents == ["(term 1; send 1)", "(term 2; send 2)"]


def test_an_orderly_stop_waits_for_the_answer_of_a_send_that_is_out(surroundings: Bench, shop: Shop) -> None:
    out, answer = held_up(shop)
    member = surroundings.start("a")
    effect_id = pay(surroundings)
    assert out.wait(20)

    member.worker.stop()
    eventually(lambda: member.saw(EventKind.TERM_DRAINING))
    answer.set()
    member.stop()

    assert told(surroundings, effect_id) == ["done"]


def test_a_stamp_whose_acknowledgement_was_lost_is_known_never_to_have_been_sent(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where keys are ignored this is the difference between going on and asking a person."""
    shop.rules, shop.honours = KEYLESS, False
    shop.open_in(surroundings)
    stamp, lost = Effects.stamp, iter([True])

    def losing(self: Effects, *arguments: Any) -> Stamp:
        made = stamp(self, *arguments)
        if next(lost, False):
            raise StoreUnavailable("the connection to Postgres broke")
        return made

    monkeypatch.setattr(Effects, "stamp", losing)
    surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))

    assert effect.state is EffectState.SUCCEEDED
    assert told(surroundings, effect.id) == ["not_sent", "done"]
    assert [send.basis for send in effect.sends] == ["first", "never_acted"]
    assert len(shop.sends) == 1


def test_nothing_leaves_once_the_term_is_in_doubt_also_after_the_stamp(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = Effects.stamp
    member = surroundings.start("a")

    def then_suspended(self: Effects, *arguments: Any) -> Stamp:
        made = stamp(self, *arguments)
        if made.n == 1:
            arguments[1].paused = True  # the term
        return made

    monkeypatch.setattr(Effects, "stamp", then_suspended)
    effect = settled(surroundings, pay(surroundings))

    assert told(surroundings, effect.id)[-1] == "done"
    assert told(surroundings, effect.id)[0] == "not_sent"
    assert len(shop.sends) == len(told(surroundings, effect.id)) - told(surroundings, effect.id).count(
        "not_sent"
    )
    assert member.saw(EventKind.EFFECT_SENT)
    assert shop.book == ["in_1"]


def test_an_operation_that_tries_to_send_twice_gets_one_request_out_and_is_not_believed(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own retry would be a send that nobody stamped, and its refusal no proof about the first."""
    shop.rules, shop.honours, shop.shows = KEYLESS, False, "open"
    shop.open_in(surroundings)
    shop.script[:] = ["act and drop"]

    def twice(_self: Pay, request: Request, channel: Channel) -> Answer:
        try:
            return channel.exchange(request)
        except TransientError:
            return channel.exchange(request)

    monkeypatch.setattr(Pay, "transmit", twice)
    surroundings.start("a")
    effect = settled(surroundings, pay(surroundings))

    assert (effect.state, told(surroundings, effect.id)) == (EffectState.UNCERTAIN, ["unknown"])
    assert (len(shop.sends), shop.book) == (1, ["in_1"])


def test_a_send_that_the_fence_would_not_let_out_any_more_never_leaves(
    surroundings: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a freeze in which the machine's clocks stood still: only the database knows of the newer term."""
    stamp = Effects.stamp
    raised = iter([True])

    def then_frozen(self: Effects, *arguments: Any) -> Stamp:
        made = stamp(self, *arguments)
        if next(raised, False):
            with surroundings.stores.database.transaction() as connection:
                connection.execute("UPDATE leaderjobs.terms SET number = number + 1")
        return made

    monkeypatch.setattr(Effects, "stamp", then_frozen)
    surroundings.start("a")
    effect_id = pay(surroundings)
    eventually(lambda: told(surroundings, effect_id)[:1] == ["not_sent"], 20)

    assert settled(surroundings, effect_id).state is EffectState.SUCCEEDED
    assert shop.sends[0].headers["User-Agent"].endswith("send 2)")
    assert shop.book == ["in_1"]
