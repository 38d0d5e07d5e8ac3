"""The judges of terms, pages, jobs and secrets must be able to say no."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.checks_terms import (
    check_attempts,
    check_books,
    check_members,
    check_pages,
    check_replicas,
    check_rescues,
    check_secrets,
    check_sends_of_terms,
    check_sequences,
    check_terms,
)
from tests.cluster.history import Violation, What
from tests.cluster.made_up import Tale, paid_after_a_fall


def good() -> Tale:
    return Tale().raises(1).batch(1, 1).batch(1, 2).raises(2).batch(2, 3)


def test_a_clean_history_passes() -> None:
    check_terms(good().entries)
    check_sequences(good().entries)


def test_a_batch_of_a_deposed_term_is_a_violation_told_in_three_lines() -> None:
    with pytest.raises(Violation, match="I1: batch of term 1 was committed in term 2") as caught:
        check_terms(good().batch(1, 4).entries)
    assert [entry.what for entry in caught.value.story] == [What.RAISE, What.RAISE, What.BATCH]
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("number", [2, 4])
def test_a_term_that_is_skipped_or_raised_twice_is_a_violation(number: int) -> None:
    with pytest.raises(Violation, match="I1: term"):
        check_terms(good().raises(number).entries)


def test_a_stamp_or_a_settlement_of_a_deposed_term_is_a_violation() -> None:
    with pytest.raises(Violation, match="I1: stamp of term 1"):
        check_terms(good().planned().stamp(1, 1).entries)
    with pytest.raises(Violation, match="I1: effect of term 1"):
        check_terms(good().planned().settled("succeeded", 1).entries)
    with pytest.raises(Violation, match="I1: job of term 1"):
        check_terms(good().job("completed", 1, was="running", term=1).entries)


def test_evidence_of_a_deposed_term_is_welcome() -> None:
    check_terms(good().planned().stamp(1, 2).evidence(1, term=1).entries)


def test_a_send_after_the_successor_began_is_a_violation() -> None:
    check_sends_of_terms(paid_after_a_fall().entries)
    tale = paid_after_a_fall().add("nemesis", What.FAULT, number=1, kind="pause").send(1, 1)
    with pytest.raises(Violation, match=r"term 1 sent .* ms after term 2 had begun") as caught:
        check_sends_of_terms(tale.entries)
    assert {entry.what for entry in caught.value.story} == {What.STAMP, What.RAISE, What.SEND, What.FAULT}


@pytest.mark.parametrize("sequence", [3, 5, 1])
def test_a_sequence_that_repeats_skips_or_falls_is_a_violation(sequence: int) -> None:
    with pytest.raises(Violation, match="I4"):
        check_sequences(good().batch(2, sequence).entries)


def test_a_stream_that_does_not_begin_at_one_is_a_violation() -> None:
    with pytest.raises(Violation, match="I4"):
        check_sequences(good().batch(2, 2, "household.accounts").entries)


def test_a_replica_ahead_of_the_database_is_a_violation() -> None:
    seen: Callable[[int], Tale] = lambda position: good().add(  # noqa: E731 - one line says it
        "rig", What.REPLICA, member="b", position=position, database=3
    )
    check_replicas(seen(3).entries)
    with pytest.raises(Violation, match="I4: the replica of b is ahead"):
        check_replicas(seen(4).entries)


def test_staged_pages_that_the_cursor_does_not_know_are_a_violation() -> None:
    tale = good().add("postgres", What.PAGES, stream="household.transactions", staged=2, expected=2)
    check_pages(tale.entries)
    tale.add("postgres", What.PAGES, stream="household.transactions", staged=3, expected=2)
    with pytest.raises(Violation, match="I3"):
        check_pages(tale.entries)


def interrupted() -> Tale:
    return Tale().raises(1).job("available", 0).job("running", 1, was="available", term=1).raises(2)


def test_a_job_given_back_before_the_next_term_works_is_well() -> None:
    tale = interrupted().job("available", 0, was="running", term=2).job("running", 1, was="available", term=2)
    check_rescues(tale.entries)
    check_attempts(tale.job("completed", 1, was="running", term=2).entries)


def test_a_job_left_running_while_the_next_term_works_is_a_violation() -> None:
    tale = interrupted().job("available", 0, job=2).job("running", 1, was="available", term=2, job=2)
    with pytest.raises(Violation, match="I6: term 2 began to work while job 1 was left running by term 1"):
        check_rescues(tale.entries)


@pytest.mark.parametrize(("state", "attempt"), [("available", 1), ("running", 2), ("retryable", 3)])
def test_an_attempt_spent_by_losing_a_term_is_a_violation(state: str, attempt: int) -> None:
    with pytest.raises(Violation, match="I7"):
        check_attempts(interrupted().job(state, attempt, was="running", term=2).entries)


def test_attempts_rise_after_a_spent_retry_and_not_after_a_hold() -> None:
    tale = interrupted().job("available", 0, was="running", term=2).job("running", 1, was="available", term=2)
    tale.job("retryable", 1, was="running", term=2).job("running", 2, was="retryable", term=2)
    tale.job("retryable", 1, was="running", term=2).job("running", 2, was="retryable", term=2)
    check_attempts(tale.entries)
    with pytest.raises(Violation, match="I7: job 1 is retryable with attempt 3"):
        check_attempts(tale.job("retryable", 3, was="running", term=2).entries)


def test_books_must_be_compared_and_agree() -> None:
    with pytest.raises(Violation, match="I8: nobody compared"):
        check_books(good().entries)
    check_books(good().add("rig", What.BOOKS, provider=9, postgres=9, agree=True).entries)
    with pytest.raises(Violation, match="I8: the provider and Postgres"):
        check_books(good().add("rig", What.BOOKS, provider=9, postgres=8, agree=False).entries)


def test_a_secret_that_was_found_is_a_violation() -> None:
    check_secrets(good().entries)
    with pytest.raises(Violation, match="I9: api_key is in the logs"):
        check_secrets(good().add("rig", What.LEAK, secret="api_key", place="the logs").entries)


def test_a_member_that_ended_by_itself_is_a_violation() -> None:
    check_members(good().entries)
    with pytest.raises(Violation, match="b ended by itself with code 1"):
        check_members(good().add("rig", What.DIED, member="b", code=1).entries)
