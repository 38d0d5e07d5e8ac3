"""How long a call may take under a term, and what is waited for before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.engine.attempt import Attempt
from leaderjobs.engine.operator import ROOM_EVERY, Operator
from leaderjobs.errors import LeadershipLost
from leaderjobs.model.job import Job, JobState
from leaderjobs.model.term import Term

NOW = datetime(2026, 11, 24, tzinfo=UTC)
JOB = Job(1, "shop.pay", "shop", (), JobState.RUNNING, None, 5, 1, 20, NOW, NOW)


class Waiting(Attempt):
    """An attempt whose waits move the clock; at `beat_at` the elector's heartbeat is acknowledged."""

    def __init__(self, session_timeout: float, *, heard: float, beat_at: float | None = None) -> None:
        """The last acknowledged heartbeat was sent `heard` seconds ago."""
        self.at = 1000.0
        self._beat_at = beat_at
        term = Term(
            cluster="acme",
            partition=0,
            number=1,
            token=1,
            origin="origin",
            member="a",
            began_at=NOW,
            session_timeout=timedelta(seconds=session_timeout),
            elapsed=lambda: self.at,
            sent_at=self.at - heard,
        )
        super().__init__(term, JOB)
        self.waits = 0

    def wait(self, delay: timedelta) -> None:
        self.waits += 1
        self.at += delay.total_seconds()
        if self._beat_at is not None and self.at >= 1000 + self._beat_at:
            self.term.extend(self.at)
            self.term.paused = False
        self.check()


def test_a_call_that_fits_into_the_term_may_take_as_long_as_it_wants() -> None:
    attempt = Waiting(15, heard=0.5)

    assert Operator._room(attempt, timedelta(seconds=8)) == timedelta(seconds=8)
    assert attempt.waits == 0


def test_a_call_waits_for_the_heartbeat_that_makes_room_for_it() -> None:
    """Of 15 s a term is trusted for 10; 3 s after the last heartbeat 8 do not fit any more."""
    attempt = Waiting(15, heard=3, beat_at=0.5)

    assert Operator._room(attempt, timedelta(seconds=8)) == timedelta(seconds=8)
    assert attempt.waits == pytest.approx(0.5 / ROOM_EVERY.total_seconds(), abs=1)


def test_a_call_that_no_term_of_this_timeout_can_vouch_for_is_cut_short() -> None:
    attempt = Waiting(2, heard=0.1)

    room = Operator._room(attempt, timedelta(seconds=8))

    assert room.total_seconds() == pytest.approx(2 * 2 / 3 - 0.1, abs=1e-5)


def test_nothing_starts_while_the_session_is_in_doubt() -> None:
    attempt = Waiting(15, heard=0.5, beat_at=1)
    attempt.term.paused = True

    Operator._room(attempt, timedelta(seconds=1))

    assert attempt.at >= 1001


def test_a_term_that_ends_ends_the_wait() -> None:
    attempt = Waiting(15, heard=4)

    with pytest.raises(LeadershipLost):
        Operator._room(attempt, timedelta(seconds=8))
