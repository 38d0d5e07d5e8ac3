"""The judges of the cluster tests must be able to say no."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.cluster.audit import Entry, check_sequences, check_terms

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entries(*steps: tuple[str, int, int | None]) -> list[Entry]:
    """(what, term, sequence) in the order of commit."""
    return [
        Entry(number, what, "demo", term, "household.transactions" if sequence else None, sequence, NOON)
        for number, (what, term, sequence) in enumerate(steps)
    ]


GOOD = entries(("raise", 1, None), ("batch", 1, 1), ("batch", 1, 2), ("raise", 2, None), ("batch", 2, 3))


def test_a_clean_history_passes() -> None:
    check_terms(GOOD)
    check_sequences(GOOD)


def test_a_batch_of_a_deposed_term_is_a_violation() -> None:
    with pytest.raises(AssertionError, match="I1: a batch of term 1 was committed in term 2"):
        check_terms([*GOOD, *entries(("batch", 1, 4))])


def test_a_term_that_is_skipped_or_raised_twice_is_a_violation() -> None:
    for number in (2, 4):
        with pytest.raises(AssertionError, match="I1: term"):
            check_terms([*GOOD, *entries(("raise", number, None))])


@pytest.mark.parametrize("sequence", [3, 5, 1])
def test_a_sequence_that_repeats_skips_or_falls_is_a_violation(sequence: int) -> None:
    with pytest.raises(AssertionError, match="I4"):
        check_sequences([*GOOD, *entries(("batch", 2, sequence))])


def test_a_stream_that_does_not_begin_at_one_is_a_violation() -> None:
    with pytest.raises(AssertionError, match="I4"):
        check_sequences(entries(("batch", 1, 2)))
