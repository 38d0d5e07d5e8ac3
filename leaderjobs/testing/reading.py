"""Rows in the table are the provider's rows, wherever a reader died and a successor went on."""

from __future__ import annotations

from itertools import islice

import pytest

from leaderjobs.errors import QuotaExhausted
from leaderjobs.model.quota import Quota
from leaderjobs.model.stream import CursorKind
from leaderjobs.testing.context import Context
from leaderjobs.testing.provider import LEAST_PAGES, Can, Provider
from leaderjobs.testing.suite import Suite, asked, connected, needs, stream_of, synced, table_of

_AGAIN = frozenset({CursorKind.FULL, CursorKind.WINDOW})
"""Streams that read again what they have read, though nothing is new."""


class Reading(Suite):
    """A provider that answers, and processes that die."""

    def test_reading_to_the_end_gives_the_providers_rows(self, running: Provider) -> None:
        """All of them, in at least as many pages as the other tests need."""
        table = synced(running, table_of(running))
        assert table.rows == running.rows(running.stream)
        assert len(table.landings) >= LEAST_PAGES
        assert table.staged == []

    def test_a_second_read_brings_what_has_changed_and_a_third_nothing(self, running: Provider) -> None:
        """Where the provider tells what has changed, not much more than that is sent again."""
        table = synced(running, table_of(running))
        running.add(3)
        if table.stream.cursor is not CursorKind.NEWER:
            running.modify(7)
        if Can.DELETES in running.can:
            running.remove(4)
        received = table.received
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        if table.stream.cursor not in _AGAIN:
            assert table.received - received <= 14 + running.overlap
            received = table.received
            synced(running, table)
            assert table.received - received <= running.overlap
            assert table.rows == running.rows(running.stream)

    def test_an_empty_cursor_reads_from_the_beginning(self, running: Provider) -> None:
        """`leaderjobs reset` writes one."""
        fresh, reset = table_of(running), table_of(running)
        synced(running, fresh)
        reset.reset()
        synced(running, reset)
        assert reset.rows == fresh.rows
        assert reset.landings == fresh.landings

    def test_a_reset_brings_every_row_again(self, running: Provider) -> None:
        """Into a table that holds them already, and what is gone at the provider is gone there too."""
        table = synced(running, table_of(running))
        received = table.received
        table.reset()
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert table.received - received >= len(table.rows)

    @pytest.mark.parametrize("committed", range(LEAST_PAGES + 1))
    @pytest.mark.parametrize("ahead", [0, 1])
    def test_another_process_goes_on_from_any_marker_without_a_gap_or_a_page_twice(
        self, running: Provider, committed: int, ahead: int
    ) -> None:
        """The first reader dies after `committed` pages; with `ahead` it had fetched one more, now lost."""
        table = table_of(running)
        with connected(running) as connector:
            pages = connector.read(running.stream, None, self.context())
            taken = 0
            for taken, batch in enumerate(islice(pages, committed + ahead), start=1):
                if taken <= committed:
                    table.commit(batch)
            lost = taken > committed
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert table.staged == []
        begins_anew = committed >= LEAST_PAGES and table.stream.cursor in _AGAIN
        if Can.PAGES_ASKED_TWICE in running.can and not begins_anew:
            assert running.pages_asked_twice() == int(lost)

    def test_a_death_after_every_single_page_costs_no_row_and_no_extra_page(self, running: Provider) -> None:
        """Every process commits one page only."""
        table = table_of(running)
        with self.provider() as other:
            whole = len(synced(other, table_of(other)).landings)
        for _ in range(2 * whole + 2):
            with connected(running) as connector:
                batch = next(iter(connector.read(running.stream, table.cursor, self.context())), None)
            if batch is None:
                break
            table.commit(batch)
            if len(table.landings) >= whole and table.rows == running.rows(running.stream):
                break
        assert table.rows == running.rows(running.stream)
        assert len(table.landings) == whole
        if Can.PAGES_ASKED_TWICE in running.can:
            assert running.pages_asked_twice() == 0

    def test_changes_between_pages_are_in_the_table_in_the_end(self, running: Provider) -> None:
        """The provider does not stand still while it is read; one more sync must be enough."""
        table = table_of(running)
        modifies = table.stream.cursor is not CursorKind.NEWER
        for _ in range(LEAST_PAGES // 2):
            with connected(running) as connector:
                for batch in islice(connector.read(running.stream, table.cursor, self.context()), 2):
                    table.commit(batch)
            running.add(2)
            if modifies:
                running.modify(5)
            if Can.DELETES in running.can:
                running.remove(2)
        synced(running, table)
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert table.staged == []

    def test_a_window_brings_its_rows_and_leaves_the_others_alone(self, running: Provider) -> None:
        """`enqueue --since/--until` pulls a span anew, beside the marker."""
        needs(running, Can.WINDOW)
        assert stream_of(running).windowed
        table = synced(running, table_of(running))
        before = table.rows
        running.modify(len(before))
        with connected(running) as connector:
            table.cursor = None
            table.take(connector.read(running.stream, None, _windowed(self.context(), running)))
        truth = running.rows(running.stream)
        inside = {key for key, row in truth.items() if running.inside(row)}
        assert 0 < len(inside) < len(truth)
        assert {key: table.rows[key] for key in inside} == {key: truth[key] for key in inside}
        outside = {key for key, row in before.items() if not running.inside(row)}
        assert {key: table.rows.get(key) for key in outside} == {key: before[key] for key in outside}

    def test_no_request_leaves_before_its_units_are_counted(self, running: Provider) -> None:
        """Where the provider has a quota; and when it is used up, a later process goes on from the marker."""
        needs(running, Can.QUOTA)
        table, context = table_of(running), _Counted(running, allowed=3)
        with pytest.raises(QuotaExhausted):
            synced(running, table, context)
        assert asked(running) <= 3
        context.allowed = 10**6
        synced(running, table, context)
        assert table.rows == running.rows(running.stream)
        # When the n-th was counted, fewer than n had left.
        assert all(before <= number for number, before in enumerate(context.before))
        assert asked(running) <= len(context.before)


def _windowed(context: Context, provider: Provider) -> Context:
    context.window = provider.window()
    return context


class _Counted(Context):
    """Notes at every `spend` how many requests have left, and allows only so many."""

    def __init__(self, provider: Provider, *, allowed: int) -> None:
        super().__init__()
        self.allowed = allowed
        self.before: list[int] = []
        self._provider = provider

    def spend(self, quota: Quota, units: int) -> None:
        if len(self.before) >= self.allowed:
            raise QuotaExhausted(f"quota {quota.name} is used up", until=quota.resets_at)
        super().spend(quota, units)
        self.before.append(asked(self._provider))
