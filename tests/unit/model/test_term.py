"""How long a leader may believe in its term."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.errors import LeadershipLost
from leaderjobs.model.term import Term


@dataclass
class Watch:
    """A deadline clock that a test turns by hand."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def a_term(watch: Watch, timeout: float = 12.0) -> Term:
    return Term(
        cluster="acme",
        partition=0,
        number=1,
        token=7,
        origin="o",
        member="a",
        began_at=datetime(2026, 1, 1, tzinfo=UTC),
        session_timeout=timedelta(seconds=timeout),
        elapsed=watch,
        sent_at=watch(),
    )


def test_nothing_new_starts_after_half_of_the_session_timeout() -> None:
    watch = Watch()
    term = a_term(watch)
    watch.seconds += 5.9
    assert term.may_start()
    watch.seconds += 0.2
    assert not term.may_start()
    assert not term.is_over()


def test_a_term_is_over_at_two_thirds_of_the_session_timeout() -> None:
    watch = Watch()
    term = a_term(watch)
    watch.seconds += 7.9
    term.check()
    watch.seconds += 0.2
    assert term.is_over()
    with pytest.raises(LeadershipLost, match="term 1 is over"):
        term.check()


def test_trust_counts_from_the_instant_a_heartbeat_was_sent() -> None:
    watch = Watch()
    term = a_term(watch)
    sent_at = watch() + 1
    watch.seconds += 4
    term.extend(sent_at)
    assert term.trusted_until == pytest.approx(sent_at + 8)


def test_an_older_acknowledgement_does_not_take_trust_away() -> None:
    watch = Watch()
    term = a_term(watch)
    term.extend(watch() - 3)
    assert term.sent_at == watch()


def test_a_term_that_is_over_never_comes_back() -> None:
    watch = Watch()
    term = a_term(watch)
    watch.seconds += 9
    term.extend(watch())
    assert term.is_over()

    ended = a_term(Watch())
    ended.end("resigned")
    ended.extend(200.0)
    assert ended.is_over()


def test_the_first_reason_for_the_end_is_kept() -> None:
    term = a_term(Watch())
    term.end("fenced out")
    term.end("stopped")
    assert term.reason == "fenced out"


def test_a_doubtful_link_stops_new_work_but_does_not_end_the_term() -> None:
    term = a_term(Watch())
    term.paused = True
    assert not term.may_start()
    assert not term.is_over()
