"""What a connector promises of its streams, batches, cursors, and of stopping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from leaderjobs.errors import FatalError, Interrupted, LeadershipLost
from leaderjobs.testing.provider import Can, Provider
from leaderjobs.testing.suite import Suite, asked, connected, synced, table_of
from leaderjobs.testing.table import Table


class Promises(Suite):
    """A provider that answers, and one process."""

    def test_it_says_what_it_is_and_what_it_has(self, running: Provider) -> None:
        """The names that the configuration, the tables and the command line use."""
        with connected(running) as connector:
            assert connector.name == running.name
            assert issubclass(type(connector).settings, msgspec.Struct)
            names = [stream.name for stream in connector.streams]
            assert running.stream in names
            assert len(set(names)) == len(names)
            for stream in connector.streams:
                columns = [column.name for column in stream.columns]
                assert stream.key, f"{stream.name} has no key"
                assert stream.comment, f"{stream.name} has no comment"
                assert len(set(columns)) == len(columns)
        assert asked(running) == 0

    def test_every_stream_comes_in_batches_as_promised_with_small_cursors(self, running: Provider) -> None:
        """`Table.commit` is strict about a batch; a cursor is JSON, and the same again after a database."""
        with connected(running) as connector:
            for stream in connector.streams:
                table = Table(stream)
                for batch in connector.read(stream.name, None, self.context()):
                    table.commit(batch)
                    assert json.loads(json.dumps(batch.cursor, allow_nan=False)) == dict(batch.cursor)
                    assert len(json.dumps(batch.cursor)) <= running.cursor_bytes

    def test_every_column_reads_something_that_the_provider_sends(self, running: Provider) -> None:
        """A misspelt path would be a column of NULLs for ever."""
        with connected(running) as connector:
            for stream in connector.streams:
                table = Table(stream)
                table.take(connector.read(stream.name, None, self.context()))
                assert table.rows, f"the stand-in of {running.name} has no rows of {stream.name}"
                for column in table.stream.columns:
                    assert any(_has(row, column.path) for row in table.rows.values()), (
                        f"no row of {stream.name} has anything for its column {column.name}"
                    )

    def test_numbers_keep_every_digit(self, running: Provider) -> None:
        """In the body, to the byte: what a float has touched ends in other digits."""
        if not running.numbers:
            pytest.skip(f"the stand-in of {running.name} has no numbers that a float would spoil")
        if Can.DRIFT in running.can:
            running.drift()
        with connected(running) as connector:
            bodies = b"".join(batch.body for batch in connector.read(running.stream, None, self.context()))
        for number in running.numbers:
            assert number.encode() in bodies

    def test_no_secret_is_in_a_cursor_a_body_or_a_log_line(self, running: Provider) -> None:
        """Both are kept for ever, and shown to anyone who may read the database."""
        context = self.context()
        with connected(running) as connector:
            shown = [repr(connector), str(connector)]
            for stream in connector.streams:
                for batch in connector.read(stream.name, None, context):
                    shown += [repr(batch), json.dumps(batch.cursor)]
        assert running.secrets
        for secret in running.secrets:
            assert secret not in "".join([*shown, *context.lines])

    def test_check_is_one_request_that_passes_on_a_healthy_connection(self, running: Provider) -> None:
        """It is run for every connection, and costs what a request costs."""
        with connected(running) as connector:
            connector.check()
        assert asked(running) == 1

    def test_a_stream_that_does_not_exist_is_refused_with_those_there_are(self, running: Provider) -> None:
        """The message is for whoever misspelt it."""
        with connected(running) as connector, pytest.raises(FatalError, match=running.stream):
            list(connector.read("nonsense", None, self.context()))

    def test_a_cursor_that_it_never_wrote_is_refused(self, running: Provider) -> None:
        """Guessing would skip rows for good."""
        with connected(running) as connector, pytest.raises(FatalError) as caught:
            list(connector.read(running.stream, {"made_up": [1]}, self.context()))
        assert "\n" not in str(caught.value)

    def test_a_term_that_is_over_sends_no_further_request(self, running: Provider) -> None:
        """What has been fetched before may still be handed over; nobody will commit it."""
        context = self.context()
        with connected(running) as connector:
            pages = connector.read(running.stream, None, context)
            next(pages)
            before = asked(running)
            context.stop_with = LeadershipLost("over")
            with suppress(LeadershipLost):
                list(pages)
        assert asked(running) == before

    def test_closed_twice_and_then_read_it_is_interrupted_and_sends_nothing(self, running: Provider) -> None:
        """The end of a term may close it from another thread before it has begun."""
        with connected(running) as connector:
            connector.close()
            connector.close()
            with pytest.raises(Interrupted):
                list(connector.read(running.stream, None, self.context()))
        assert asked(running) == 0

    def test_unknown_members_and_other_types_are_kept_as_they_come(self, running: Provider) -> None:
        """A provider may add members at any time, and change their types against its word."""
        if Can.DRIFT not in running.can:
            pytest.skip(f"the stand-in of {running.name} does not drift")
        table = synced(running, table_of(running))
        running.drift()
        synced(running, table)
        assert table.rows == running.rows(running.stream)
        assert synced(running, table_of(running)).rows == running.rows(running.stream)


def _has(row: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    found: Any = row
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
