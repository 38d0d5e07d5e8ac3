"""What every connector promises to the runner, over a sandbox of its provider.

A table that lands batches exactly as Landing says stands in for the database, so that a gap, a duplicate or
a half update shows as a difference from the provider's own rows.
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.connectors import registry
from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.plaid import SYNC_PATH
from leaderjobs.errors import (
    FatalError,
    Interrupted,
    LeaderJobsError,
    LeadershipLost,
    RateLimited,
    TransientError,
)
from leaderjobs.model.batch import Landing
from leaderjobs.model.stream import Stream
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid import PlaidSandbox
from tests.support import eventually
from tests.unit.connectors.harness import Context, Table, plaid, settings

PAGES = 6


@dataclass(frozen=True)
class Case:
    """One connector over its sandbox; `stream` is the one that comes in many pages."""

    name: str
    stream: str
    path: str
    sandbox: Callable[[], PlaidSandbox]
    connect: Callable[..., Connector]
    secrets: Callable[[PlaidSandbox], tuple[str, ...]]


CASES = [
    Case(
        name="plaid",
        stream="transactions",
        path=SYNC_PATH,
        sandbox=lambda: PlaidSandbox(transactions=10 * PAGES - 5),
        connect=plaid,
        secrets=lambda sandbox: (sandbox.client_id, sandbox.secret, sandbox.access_token),
    )
]


@dataclass(frozen=True)
class Rig:
    """A case with its sandbox running."""

    case: Case
    sandbox: PlaidSandbox

    @contextmanager
    def connector(self, **options: object) -> Iterator[Connector]:
        made = self.case.connect(self.sandbox, **options)
        try:
            yield made
        finally:
            made.close()

    @property
    def stream(self) -> Stream:
        return next(found for found in registry.streams(self.case.name) if found.name == self.case.stream)

    def table(self) -> Table:
        return Table(self.stream.key)

    def truth(self) -> dict[str, Any]:
        return self.sandbox.rows()


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with request.param.sandbox() as sandbox:
        yield Rig(request.param, sandbox)


def test_it_is_what_the_registry_says(rig: Rig) -> None:
    with rig.connector() as connector:
        assert connector.name == rig.case.name
        assert connector.streams == registry.streams(rig.case.name)
        made = registry.make(rig.case.name, "other", settings(rig.sandbox), Paces())
        assert type(made) is type(connector)
        made.close()


def test_every_batch_is_a_json_object_with_the_arrays_it_names_and_as_many_rows_as_it_says(rig: Rig) -> None:
    with rig.connector() as connector:
        for stream in connector.streams:
            for batch in connector.read(stream.name, None, Context()):
                document = json.loads(batch.body)
                members = [document[name] for name in (*batch.upserts, *filter(None, [batch.deletes]))]
                assert batch.stream == stream.name
                assert batch.rows == sum(map(len, members))
                assert all(row[stream.key] for rows in members for row in rows)
                assert len(json.dumps(batch.cursor)) < 1000


def test_every_generated_column_reads_something_that_the_provider_sends(rig: Rig) -> None:
    with rig.connector() as connector:
        for stream in connector.streams:
            table = Table(stream.key)
            table.sync(connector, stream.name)
            for column in stream.columns:
                values = [_at(row, column.path) for row in table.rows.values()]
                assert "missing" not in values, column.name


def test_reading_to_the_end_gives_the_providers_rows(rig: Rig) -> None:
    table = rig.table()
    with rig.connector() as connector:
        table.sync(connector, rig.case.stream)
    assert table.rows == rig.truth()
    assert len(table.landings) == PAGES


def test_a_second_read_brings_what_has_changed_since_and_then_nothing(rig: Rig) -> None:
    table = rig.table()
    with rig.connector() as connector:
        table.sync(connector, rig.case.stream)
        rig.sandbox.add(3)
        rig.sandbox.modify(7)
        rig.sandbox.remove(4)
        received = table.received
        table.sync(connector, rig.case.stream)
        assert table.rows == rig.truth()
        assert table.received - received <= 14
        assert list(connector.read(rig.case.stream, table.cursor, Context())) == []


@pytest.mark.parametrize("committed", range(PAGES + 1))
@pytest.mark.parametrize("ahead", [0, 1])
def test_another_process_goes_on_from_any_marker_without_a_gap_or_a_page_twice(
    rig: Rig, committed: int, ahead: int
) -> None:
    """The first reader dies after `committed` pages; with `ahead` it had fetched one more, which is lost."""
    table = rig.table()
    with rig.connector() as connector:
        pages = connector.read(rig.case.stream, None, Context())
        for number, batch in enumerate(islice(pages, committed + ahead)):
            if number < committed:
                table.commit(batch)
    with rig.connector() as successor:
        table.sync(successor, rig.case.stream)
    assert table.rows == rig.truth()
    asked_twice = 1 if ahead and committed < PAGES else 0
    assert rig.sandbox.state()["pages_asked_twice"] == asked_twice


def test_a_death_after_every_single_page_costs_no_row_and_no_extra_page(rig: Rig) -> None:
    table = rig.table()
    while True:
        with rig.connector() as connector:
            batch = next(iter(connector.read(rig.case.stream, table.cursor, Context())), None)
        if batch is None:
            break
        table.commit(batch)
    assert table.rows == rig.truth()
    assert rig.sandbox.state()["pages_asked_twice"] == 0


def test_a_term_that_is_over_sends_no_further_request(rig: Rig) -> None:
    context = Context()
    with rig.connector() as connector:
        pages = connector.read(rig.case.stream, None, context)
        next(pages)
        context.stop_with = LeadershipLost("over")
        with pytest.raises(LeadershipLost):
            next(pages)
    assert rig.sandbox.requests()[rig.case.path] == 1


def test_close_from_another_thread_cuts_a_request_that_hangs(rig: Rig) -> None:
    rig.sandbox.faults.replace(Fault(kind=FaultKind.HANG))
    ended: list[BaseException] = []
    context = Context()
    with rig.connector() as connector:

        def read() -> None:
            try:
                list(connector.read(rig.case.stream, None, context))
            except LeaderJobsError as error:
                ended.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        eventually(rig.sandbox.requests)
        began = clock.elapsed()
        context.stop_with = LeadershipLost("over")
        connector.close()
        reading.join(5)
        assert clock.elapsed() - began < 1
    assert [type(error) for error in ended] == [LeadershipLost]


def test_closed_twice_and_then_read_it_is_interrupted_and_sends_nothing(rig: Rig) -> None:
    with rig.connector() as connector:
        connector.close()
        connector.close()
        with pytest.raises(Interrupted):
            list(connector.read(rig.case.stream, None, Context()))
    assert rig.sandbox.requests() == {}


def test_a_stream_that_does_not_exist_is_refused_with_those_there_are(rig: Rig) -> None:
    with rig.connector() as connector, pytest.raises(FatalError, match=rig.case.stream):
        list(connector.read("nonsense", None, Context()))


def test_check_is_one_request_that_passes_on_a_healthy_connection(rig: Rig) -> None:
    with rig.connector() as connector:
        connector.check()
    assert sum(rig.sandbox.requests().values()) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind=FaultKind.RATE_LIMITED, retry_after="5"), RateLimited),
        (Fault(kind=FaultKind.RATE_LIMITED), RateLimited),
        (Fault(kind=FaultKind.SERVER_ERROR), TransientError),
        (Fault(kind=FaultKind.HTML, status=503), TransientError),
        (Fault(kind=FaultKind.HTML), TransientError),
        (Fault(kind=FaultKind.RESET), TransientError),
        (Fault(kind=FaultKind.TRUNCATED), TransientError),
        (Fault(kind=FaultKind.REDIRECT), FatalError),
        (Fault(kind=FaultKind.SHAPELESS), FatalError),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
def test_each_fault_ends_the_read_with_its_error_and_no_secret_anywhere(
    rig: Rig, fault: Fault, expected: type[LeaderJobsError], caplog: pytest.LogCaptureFixture
) -> None:
    rig.sandbox.faults.replace(fault)
    caplog.set_level(logging.DEBUG)
    with rig.connector() as connector:
        with pytest.raises(LeaderJobsError) as caught:
            list(connector.read(rig.case.stream, None, Context()))
        shown = "".join(
            [*traceback.format_exception(caught.value), repr(connector), caplog.text, repr(caught.value)]
        )
    assert type(caught.value) is expected
    assert "\n" not in str(caught.value)
    for secret in rig.case.secrets(rig.sandbox):
        assert secret not in shown


@pytest.mark.parametrize("seed", range(8))
def test_any_mixture_of_passing_faults_ends_with_the_providers_rows(rig: Rig, seed: int) -> None:
    """I8 for a connector: however often it is killed, refused and cut off, nothing is lost or kept too long."""
    kinds = ("reset", "truncated", "html", "server_error", "rate_limited", "mutation", "duplicate_id")
    rig.sandbox.faults.replace(*(Fault(kind=FaultKind(kind), probability=0.06) for kind in kinds))
    rig.sandbox.faults._random.seed(seed)
    table = rig.table()
    for _ in range(30):
        with rig.connector() as connector, suppress(TransientError):
            table.sync(connector, rig.case.stream)
        # Also where the read broke off inside an update: then its pages are worth nothing any more.
        rig.sandbox.add(5)
        rig.sandbox.modify(25)
        rig.sandbox.remove(5)
        rig.sandbox.post_pending(2)
    assert rig.sandbox.faults.struck() > 10
    rig.sandbox.faults.replace()
    with rig.connector() as connector:
        table.sync(connector, rig.case.stream)
    assert table.rows == rig.truth()
    assert table.staged == []
    assert Landing.RESTART in table.landings


def _at(row: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(row, dict) or name not in row:
            return "missing"
        row = row[name]
    return "found"
