"""The judges of effects must be able to say no, and must not say it lightly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.checks import AT_THE_END, judge, violations
from tests.cluster.checks_effects import (
    check_bases,
    check_jobs_of_effects,
    check_once,
    check_settled,
    check_stamps,
    evidence_of_the_deposed,
    tally,
)
from tests.cluster.checks_terms import check_books
from tests.cluster.history import Violation, What
from tests.cluster.made_up import BLIND, SEEN, E, Tale, paid_after_a_fall, paid_once

ALL = (check_once, check_stamps, check_bases, check_settled, check_jobs_of_effects)


@pytest.mark.parametrize("tale", [paid_once(), paid_after_a_fall()])
def test_a_clean_history_passes(tale: Tale) -> None:
    judge(tale.entries, ALL)
    assert tally(tale.entries) == {"succeeded": 1}


def test_a_second_payment_is_a_violation_that_tells_the_effects_story_only() -> None:
    tale = paid_after_a_fall().planned("other", "in_2").stamp(1, 2, effect="other").payment()
    with pytest.raises(Violation, match="I2: in_1 took effect 2 times") as caught:
        check_once(tale.entries)
    assert {entry.effect for entry in caught.value.story} == {tale.entries[2].effect}


def test_a_second_payment_by_somebody_else_is_one_too_many() -> None:
    with pytest.raises(Violation, match="I2: in_1 took effect 2 times"):
        check_once(paid_once().payment(effect="", by="other").entries)


def test_success_without_a_payment_is_a_violation() -> None:
    with pytest.raises(Violation, match="is succeeded, and never happened"):
        check_once(Tale().planned().stamp(1).send(1).settled("succeeded").entries)


def test_a_payment_of_what_failed_is_a_violation() -> None:
    with pytest.raises(Violation, match="is failed, and has happened"):
        check_once(Tale().planned().stamp(1).send(1).payment().settled("failed").entries)


def test_a_payment_that_nobody_asked_for_is_a_violation_unless_it_is_anothers() -> None:
    check_once(paid_once().payment("in_7", effect="", by="other").entries)
    with pytest.raises(Violation, match="in_7 has happened, and nobody asked"):
        check_once(paid_once().payment("in_7", effect="").entries)


@pytest.mark.parametrize(
    ("tale", "match"),
    [
        (Tale().planned().send(1), "left without a stamp"),
        (Tale().planned().stamp(1, 1).send(1, 2), "left without a stamp of its term"),
        (Tale().planned().send(1).stamp(1), "left 1000.0 ms before its stamp"),
        (Tale().planned().stamp(1).send(1).send(1), "one stamp let two requests out"),
        (Tale().planned().stamp(1).send(1, body="b2"), "another body than planned"),
        (Tale().planned().stamp(1).send(1, path="/v1/else"), "another path than planned"),
        (
            Tale().planned().stamp(1).send(1).stamp(2, 1, "key").send(2, key="lj-another"),
            "another key than the first",
        ),
    ],
)
def test_a_send_that_its_stamp_does_not_cover_is_a_violation(tale: Tale, match: str) -> None:
    with pytest.raises(Violation, match=match):
        check_stamps(tale.entries)


@pytest.mark.parametrize(
    ("tale", "match"),
    [
        (Tale().planned().stamp(1).send(1).stamp(2, 1, "first"), "it is not the first"),
        (Tale().planned().stamp(1, 1, "key"), "nothing was sent before"),
        (
            Tale().planned().stamp(1).send(1).stamp(2, 1, "never_acted"),
            "send 1 left, and was not turned away",
        ),
        (Tale().planned().stamp(1).send(1).answer(1, 500).stamp(2, 1, "never_acted"), "was not turned away"),
        (
            Tale().planned().stamp(1).send(1).answer(1, 409, replayed=True).stamp(2, 1, "never_acted"),
            "was not turned away",
        ),
        (Tale().planned().stamp(1).send(1).stamp(2, 1, "key", after=90_000), "the window was over"),
        (Tale(BLIND).planned().stamp(1).send(1).stamp(2, 1, "key"), "the provider does not honour keys"),
        (Tale(BLIND).planned().stamp(1).send(1).stamp(2, 1, "absence"), "what is not seen may still appear"),
        (Tale(SEEN).planned().stamp(1).send(1).stamp(2, 1, "absence"), r"only 2\.0 s had passed"),
    ],
)
def test_a_stamp_without_a_true_reason_is_a_violation(tale: Tale, match: str) -> None:
    with pytest.raises(Violation, match=match):
        check_bases(tale.entries)


def test_a_send_that_was_turned_away_or_never_left_may_be_followed_by_another() -> None:
    check_bases(Tale().planned().stamp(1).send(1).answer(1, 429).stamp(2, 1, "never_acted").entries)
    check_bases(Tale().planned().stamp(1).stamp(2, 1, "never_acted").entries)


def test_the_window_counts_from_the_first_send_that_may_have_acted() -> None:
    tale = Tale().planned().stamp(1).send(1).answer(1, 429)
    tale.stamp(2, 1, "never_acted", after=80_000).send(2).stamp(3, 1, "key", after=80_000)
    check_bases(tale.entries)
    tale = Tale().planned().stamp(1).send(1).add("rig", What.AGED, effect=E, seconds=86_400.0)
    with pytest.raises(Violation, match="the window was over"):
        check_bases(tale.stamp(2, 1, "key").entries)


def test_what_has_not_appeared_in_time_may_be_sent_again() -> None:
    check_bases(Tale(SEEN).planned().stamp(1).send(1).stamp(2, 1, "absence", after=6.0).entries)


def test_a_payment_under_a_key_of_its_own_is_still_the_same_invoice() -> None:
    with pytest.raises(Violation, match="in_1 took effect 2 times"):
        check_once(paid_once().payment(effect="22222222-2222-2222-2222-222222222222").entries)
    with pytest.raises(Violation, match="another key than the first"):
        check_stamps(paid_once().stamp(2, 1, "key").send(2, effect="2", key="lj-2").entries)


def test_an_effect_that_is_left_in_the_middle_is_a_violation() -> None:
    with pytest.raises(Violation, match="in_1 was left sending"):
        check_settled(Tale().planned().stamp(1).send(1).settled("sending", was="planned").entries)


def doubt(code: str, rules: dict[str, Any] | None = None) -> Tale:
    return Tale(rules).planned().stamp(1).send(1).settled("uncertain", code=code)


@pytest.mark.parametrize(
    ("tale", "match"),
    [
        (doubt("stuck"), "the provider never repeated an error"),
        (doubt("unanswered"), "the same key could have been sent again"),
        (doubt("pending"), "it could have been looked up"),
        (doubt("bored"), "its reason 'bored' is not known"),
        (doubt("unanswered", SEEN).payment(), "it has happened, and a look-up shows that"),
        (
            Tale(BLIND).planned().stamp(1).send(1).answer(1).settled("uncertain", code="unanswered"),
            "it was answered",
        ),
    ],
)
def test_doubt_without_a_true_reason_is_a_violation(tale: Tale, match: str) -> None:
    with pytest.raises(Violation, match=match):
        check_settled(tale.entries)


def test_doubt_with_a_true_reason_is_not() -> None:
    check_settled(doubt("unanswered", BLIND).entries)
    stuck = Tale().planned().stamp(1).send(1).stamp(2, 1, "key").send(2).answer(2, 500, replayed=True)
    check_settled(stuck.settled("uncertain", code="stuck").entries)
    late = Tale().planned().stamp(1).send(1).add("rig", What.REPLICA, after=90_000, position=0, database=0)
    check_settled(late.settled("uncertain", code="unanswered").entries)


def test_a_job_that_ended_otherwise_than_its_effect_is_a_violation() -> None:
    tale = paid_once().job("discarded", 1, was="running", term=1, effect=paid_once().entries[2].effect)
    with pytest.raises(Violation, match="is succeeded, its job discarded"):
        check_jobs_of_effects(tale.entries)


def test_evidence_that_a_deposed_term_brought_is_counted() -> None:
    assert not list(evidence_of_the_deposed(paid_after_a_fall().entries))
    assert len(list(evidence_of_the_deposed(paid_after_a_fall().evidence(1, term=1).entries))) == 1


def test_the_judge_tells_the_shortest_story_first() -> None:
    tale = Tale().planned().stamp(1).send(1).payment().payment()
    found = violations(tale.entries, (*ALL, *AT_THE_END))
    assert [len(violation.story) for violation in found] == sorted(
        len(violation.story) for violation in found
    )
    with pytest.raises(Violation, match="I8"):
        judge(tale.entries, (*ALL, check_books))
