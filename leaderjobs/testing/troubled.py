"""What becomes of a read when the answers are wrong, late, or none."""

from __future__ import annotations

import logging
import random
import threading
import traceback
from contextlib import suppress
from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.errors import FatalError, LeaderJobsError, LeadershipLost, RateLimited, TransientError
from leaderjobs.model.stream import CursorKind
from leaderjobs.testing.provider import Can, Provider, Trouble
from leaderjobs.testing.suite import Suite, asked, connected, needs, synced, table_of

MOST_HANGING = timedelta(seconds=5)
MOST_CUTTING = timedelta(seconds=1)
_POLL = timedelta(milliseconds=5)
_PASSING = (Trouble.RESET, Trouble.TRUNCATED, Trouble.HTML, Trouble.SERVER_ERROR, Trouble.RATE_LIMITED)
_ROUNDS = 10


class Troubled(Suite):
    """A provider in trouble."""

    @pytest.mark.parametrize(
        ("trouble", "expected"),
        [
            (Trouble.RATE_LIMITED, RateLimited),
            (Trouble.SERVER_ERROR, TransientError),
            (Trouble.HTML, TransientError),
            (Trouble.UNAVAILABLE, TransientError),
            (Trouble.RESET, TransientError),
            (Trouble.TRUNCATED, TransientError),
            (Trouble.REDIRECT, FatalError),
            (Trouble.SHAPELESS, FatalError),
        ],
        ids=lambda value: value.value if isinstance(value, Trouble) else "",
    )
    def test_each_trouble_ends_the_read_with_its_error_and_no_secret_anywhere(
        self,
        running: Provider,
        trouble: Trouble,
        expected: type[LeaderJobsError],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The kind of error decides whether and when the job is tried again."""
        needs(running, Can.FAILS)
        running.trouble(trouble)
        context = self.context()
        caplog.set_level(logging.DEBUG)
        with connected(running) as connector:
            with pytest.raises(LeaderJobsError) as caught:
                list(connector.read(running.stream, None, context))
            trace = traceback.format_exception(caught.value)
            shown = "".join([*trace, repr(connector), repr(caught.value), caplog.text, *context.lines])
        assert type(caught.value) is expected, repr(caught.value)
        assert "\n" not in str(caught.value)
        for secret in running.secrets:
            assert secret not in shown

    @pytest.mark.parametrize("trouble", [*_PASSING, Trouble.UNAVAILABLE], ids=lambda value: value.value)
    def test_trouble_in_the_middle_of_a_read_costs_no_row(self, running: Provider, trouble: Trouble) -> None:
        """Whether the read survives it or a later attempt goes on."""
        needs(running, Can.FAILS)
        table = table_of(running)
        running.trouble(trouble, skip=3, count=5)
        for _ in range(8):
            with suppress(TransientError):
                synced(running, table)
                break
        running.calm()
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert table.staged == []

    def test_equal_page_tokens_stop_with_an_error(self, running: Provider) -> None:
        """Otherwise the listing would never end."""
        needs(running, Can.EQUAL_TOKENS)
        running.trouble(Trouble.EQUAL_TOKENS, skip=2)
        with pytest.raises(FatalError) as caught:
            synced(running, table_of(running))
        assert "\n" not in str(caught.value)
        assert asked(running) < 20

    def test_a_page_with_one_id_twice_keeps_the_later_one(self, running: Provider) -> None:
        """Rows move while they are listed."""
        needs(running, Can.DUPLICATE_ID)
        running.trouble(Trouble.DUPLICATE_ID)
        assert synced(running, table_of(running)).rows == running.rows(running.stream)

    def test_an_empty_page_is_not_the_end(self, running: Provider) -> None:
        """Where the provider promises more."""
        needs(running, Can.EMPTY_PAGE)
        running.trouble(Trouble.EMPTY_PAGE, skip=2, count=1)
        assert synced(running, table_of(running)).rows == running.rows(running.stream)

    def test_a_body_without_end_is_given_up(self, running: Provider) -> None:
        """Memory is bounded, whatever is sent."""
        needs(running, Can.TOO_LARGE)
        running.trouble(Trouble.TOO_LARGE, count=1)
        with pytest.raises(FatalError) as caught:
            synced(running, table_of(running))
        assert "\n" not in str(caught.value)

    def test_close_from_another_thread_cuts_a_request_that_hangs(self, running: Provider) -> None:
        """So the end of a term does not wait for a provider."""
        needs(running, Can.FAILS)
        running.trouble(Trouble.HANG)
        ended: list[BaseException] = []
        context = self.context()
        with connected(running) as connector:

            def read() -> None:
                try:
                    list(connector.read(running.stream, None, context))
                except LeaderJobsError as error:
                    ended.append(error)

            reading = threading.Thread(target=read)
            reading.start()
            _wait_for_a_request(running)
            began = clock.elapsed()
            context.stop_with = LeadershipLost("over")
            connector.close()
            reading.join(MOST_HANGING.total_seconds())
            assert clock.elapsed() - began < MOST_CUTTING.total_seconds()
        assert [type(error) for error in ended] == [LeadershipLost]

    @pytest.mark.parametrize("seed", range(2))
    def test_any_mixture_of_passing_troubles_ends_with_the_providers_rows(
        self, running: Provider, seed: int
    ) -> None:
        """However often it is killed, refused and cut off, nothing is lost or kept too long."""
        needs(running, Can.FAILS)
        chance = random.Random(seed)
        kinds = [*_PASSING, *([Trouble.DUPLICATE_ID] if Can.DUPLICATE_ID in running.can else [])]
        table = table_of(running)
        for _ in range(_ROUNDS):
            running.trouble(chance.choice(kinds), skip=chance.randrange(4), count=chance.randrange(1, 6))
            with suppress(TransientError):
                synced(running, table, self.context())
            running.add(2)
            if table.stream.cursor is not CursorKind.NEWER:
                running.modify(5)
            if Can.DELETES in running.can:
                running.remove(2)
        running.calm()
        synced(running, table)
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert table.staged == []


def _wait_for_a_request(provider: Provider) -> None:
    end, pause = clock.elapsed() + MOST_HANGING.total_seconds(), threading.Event()
    while asked(provider) == 0:
        assert clock.elapsed() < end, "no request has come"
        pause.wait(_POLL.total_seconds())
