"""What the tests of the suite share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leaderjobs.connectors.base import Connector
from leaderjobs.model.stream import Stream
from leaderjobs.testing.context import Context
from leaderjobs.testing.provider import Provider
from leaderjobs.testing.table import Table

MOST_BATCHES = 1000
"""Of one read; more of them is a loop."""


class Suite:
    """The base of every part of the suite."""

    def provider(self) -> Provider:
        """The provider to run against, not yet started; called once for every test."""
        raise NotImplementedError(f"{type(self).__name__}: define provider(), which gives a Provider")

    def context(self) -> Context:
        """The context of one read."""
        return Context()

    @pytest.fixture
    def running(self) -> Iterator[Provider]:
        """The provider, started."""
        with self.provider() as provider:
            yield provider


@contextmanager
def connected(provider: Provider, **options: object) -> Iterator[Connector]:
    """A connector that is closed in the end, as the one of a process is."""
    connector = provider.connect(**options)
    try:
        yield connector
    finally:
        connector.close()


def stream_of(provider: Provider) -> Stream:
    """The stream that the suite is about."""
    with connected(provider) as connector:
        found = [stream for stream in connector.streams if stream.name == provider.stream]
    assert found, f"{provider.name} has no stream {provider.stream}"
    return found[0]


def table_of(provider: Provider) -> Table:
    """An empty table for that stream."""
    return Table(stream_of(provider))


def synced(provider: Provider, table: Table, context: Context | None = None) -> Table:
    """The table, once a new process has read to the end from where its marker stands."""
    with connected(provider) as connector:
        for number, batch in enumerate(
            connector.read(provider.stream, table.cursor, context or Context()), start=1
        ):
            assert number <= MOST_BATCHES, f"{provider.stream} has not ended after {MOST_BATCHES} batches"
            table.commit(batch)
    return table


def asked(provider: Provider) -> int:
    """How many requests the provider has got."""
    return sum(provider.requests().values())


def needs(provider: Provider, what: str) -> None:
    """Skip the test where the provider's stand-in cannot do that."""
    if what not in provider.can:
        pytest.skip(f"the stand-in of {provider.name} does not offer {what!r}")
