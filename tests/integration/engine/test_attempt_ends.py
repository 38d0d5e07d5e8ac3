"""How one attempt ends when it is stopped, refused or silent, and what is kept of it; without a dispatcher."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from leaderjobs import app, clock, logs
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.engine.operator import Operator
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.runner import Runner
from leaderjobs.engine.stores import Stores
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.errors import RateLimited, TransientError
from leaderjobs.model.batch import Batch
from leaderjobs.model.effect import EffectState, Request
from leaderjobs.model.event import Event, EventKind
from leaderjobs.model.job import (
    Cancelled,
    Completed,
    GiveBack,
    Hold,
    Job,
    NewJob,
    Outcome,
    Postpone,
    Retry,
)
from leaderjobs.model.marker import Cursor
from leaderjobs.store import history
from leaderjobs.store.pool import Database
from leaderjobs.values import Rate
from tests.integration.engine.scripted import Script, ScriptedConnector
from tests.integration.engine.shop import Pay, Shop
from tests.integration.store.rig import Cluster, Led
from tests.support import eventually

LIMIT = timedelta(hours=2)


@dataclass
class Workbench:
    """A term that leads, and what runs its attempts."""

    stores: Stores
    led: Led
    script: Script = field(default_factory=Script)
    paces: Paces = field(default_factory=Paces)
    events: list[Event] = field(default_factory=list)
    made: int = 0
    """Connectors."""

    def __post_init__(self) -> None:
        self.runner = Runner(
            stores=self.stores,
            connections=self.led.connections,
            publisher=Publisher(),
            make_connector=self.connector,
            upkeep=Upkeep(self.stores.tables, self.events.append),
            emit=self.events.append,
        )
        self.operator = Operator(
            stores=self.stores,
            connections=self.led.connections,
            make_connector=self.connector,
            emit=self.events.append,
        )

    def connector(self, name: str) -> ScriptedConnector:
        self.made += 1
        made = ScriptedConnector(self.script)
        made.pace = self.paces.of_connection(name)
        return made

    def attempt(self, *streams: str) -> Attempt:
        """At a new job."""
        new = NewJob("sync", "c", streams or ("first",), time_limit=LIMIT)
        return self.at(self.stores.jobs.enqueue(new)[0])

    def at(self, job: Job) -> Attempt:
        with self.stores.database.session() as connection:
            connection.execute(
                "UPDATE leaderjobs.jobs SET state = 'running', attempt = attempt + 1, term = %s, member = 'm', "
                "started_at = now() WHERE id = %s",
                (self.led.term.number, job.id),
            )
        return Attempt(self.led.term, self.stores.jobs.get(job.id))

    def pay(self) -> Attempt:
        """At a new operation."""
        from leaderjobs.engine.planner import Planner

        planner = Planner(self.stores.effects, self.connector)
        effect = planner.plan("shop", "pay", {"invoice": "in_1"}).effect
        job = self.stores.jobs.get(self.stores.effects.job_of(effect.id))
        return self.at(dataclasses.replace(job, time_limit=LIMIT))

    def lines(self, attempt: Attempt) -> list[str]:
        return [line.line for line in self.stores.history.lines(attempt.job.id)]


@pytest.fixture
def bench(migrated_url: str, cluster_name: str) -> Iterator[Workbench]:
    with closing(Database(migrated_url, application="test")) as database:
        cluster = Cluster(database, cluster_name)
        stores = app.stores(database, cluster_name)
        stores.tables.ensure("scripted", ScriptedConnector.streams)
        yield Workbench(stores, cluster.lead(limit=8))
        cluster.close()


def running(run: Callable[[Attempt], Outcome], attempt: Attempt) -> Callable[[], Outcome]:
    """Let it run on a thread of its own; what is returned waits for its end."""
    ended: list[Outcome] = []
    thread = threading.Thread(target=lambda: ended.append(run(attempt)))
    thread.start()

    def outcome() -> Outcome:
        thread.join(20)
        return ended[0]

    return outcome


# -- syncs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", list(Stop))
def test_a_stopped_pull_ends_by_the_reason_and_keeps_what_it_has_committed(
    bench: Workbench, stop: Stop
) -> None:
    bench.script.gate = threading.Semaphore(1)
    attempt = bench.attempt()
    outcome = running(bench.runner.run, attempt)
    eventually(lambda: bench.stores.markers.load("c", "first"))
    assert bench.script.waiting.wait(20)
    attempt.stop(stop)

    match outcome():
        case GiveBack():
            assert stop is Stop.DRAIN
        case Cancelled():
            assert stop is Stop.CANCEL
        case Retry(_, error):
            assert stop is Stop.TIME_LIMIT
            assert error == "took longer than its limit of 2h"
        case other:
            pytest.fail(str(other))
    marker = bench.stores.markers.load("c", "first")
    assert marker is not None
    assert marker.sequence == 1


def test_a_job_with_nothing_left_to_pull_opens_nothing(bench: Workbench) -> None:
    attempt = Attempt(bench.led.term, dataclasses.replace(bench.attempt().job, streams=()))
    rounds = 2_000
    began = clock.elapsed()
    for _ in range(rounds):
        assert bench.runner.run(attempt) == Completed()
    each = (clock.elapsed() - began) / rounds
    assert bench.made == 0
    assert each < 100e-6, "about 1 µs is normal"


def test_a_rate_limit_holds_the_connection_and_spends_no_attempt(bench: Workbench) -> None:
    bench.script.error = lambda _stream, page: (
        RateLimited("slow down", retry_after=timedelta(minutes=3)) if page == 1 else None
    )
    outcome = bench.runner.run(bench.attempt())
    assert outcome == Hold(timedelta(minutes=3), "rate_limited", "slow down", person=False)


# -- operations ----------------------------------------------------------------------------------------------


@pytest.fixture
def shop(bench: Workbench) -> Shop:
    made = Shop()
    bench.script.operations = {"pay": Pay(made.rules)}
    bench.script.exchange = made.exchange
    return made


def answering(shop: Shop, status: int, retry_after: timedelta | None, *methods: str) -> Callable[..., Answer]:
    def exchange(request: Request, guard: Callable[[], None]) -> Answer:
        if request.method in methods:
            guard()
            shop.sends.append(request)
            return Answer(status, b"", retry_after)
        return shop.exchange(request, guard)

    return exchange


def test_a_send_that_was_refused_for_its_rate_holds_the_connection_as_long_as_the_provider_says(
    bench: Workbench, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timedelta(minutes=3)
    bench.script.exchange = answering(shop, 429, asked, "POST")
    classify = Pay.classify
    monkeypatch.setattr(
        Pay,
        "classify",
        lambda self, answer: dataclasses.replace(classify(self, answer), retry_after=answer.retry_after),
    )
    outcome = bench.operator.run(bench.pay())

    assert outcome == Hold(asked, "rate_limited", "429", person=False)
    with pytest.raises(RateLimited):
        bench.paces.of_connection("shop").take(bench.attempt())


def test_without_a_time_from_the_provider_a_refused_send_holds_for_a_backoff(
    bench: Workbench, shop: Shop
) -> None:
    shop.script[:] = ["429"]
    outcome = bench.operator.run(bench.pay())
    assert isinstance(outcome, Hold)
    assert (outcome.code, outcome.person) == ("rate_limited", False)
    assert outcome.delay <= timedelta(seconds=2)


@pytest.mark.parametrize("looks_up", [True, False], ids=["look-up", "send"])
@pytest.mark.parametrize(
    ("stop", "kind"), [(Stop.DRAIN, GiveBack), (Stop.CANCEL, GiveBack), (Stop.TIME_LIMIT, Postpone)]
)
def test_an_operation_that_is_stopped_while_it_waits_for_its_turn_sends_nothing(
    bench: Workbench, shop: Shop, stop: Stop, kind: type[Outcome], *, looks_up: bool
) -> None:
    bench.script.operations = {"pay": Pay(dataclasses.replace(shop.rules, looks_up=looks_up))}
    bench.paces.limit("shop", "scripted", Rate(1, timedelta(hours=1)), None)
    bench.connector("shop").pace.take(bench.attempt())
    attempt = bench.pay()
    outcome = running(bench.operator.run, attempt)
    eventually(lambda: bench.paces._waiting, what="it to wait for its turn")
    attempt.stop(stop)

    assert isinstance(outcome(), kind)
    assert (shop.sends, shop.looks) == ([], 0)
    assert attempt.job.effect is not None
    assert bench.stores.effects.get(attempt.job.effect).sends == ()


@pytest.mark.parametrize("stop", [Stop.CANCEL, Stop.TIME_LIMIT])
def test_a_send_that_is_out_is_not_cut_off_and_what_it_brings_is_written_down(
    bench: Workbench, shop: Shop, stop: Stop
) -> None:
    out, answer = threading.Event(), threading.Event()

    def slow() -> str:
        out.set()
        assert answer.wait(20)
        return "act"

    shop.script[:] = [slow]
    attempt = bench.pay()
    outcome = running(bench.operator.run, attempt)
    assert out.wait(20)
    attempt.stop(stop)
    answer.set()

    assert outcome() == Completed()
    assert attempt.job.effect is not None
    assert bench.stores.effects.get(attempt.job.effect).state is EffectState.SUCCEEDED


# -- what is said meanwhile ----------------------------------------------------------------------------------


def saying(*lines: str, then: Callable[[ReadContext], None] = lambda _context: None) -> Script:
    def read(_stream: str, _cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        for line in lines:
            context.log(line)
        then(context)
        yield from ()

    return Script(read=read)


def test_what_a_connector_says_is_kept_when_its_job_has_ended(bench: Workbench) -> None:
    bench.script = saying("asking for\n page 1", "done")
    attempt = bench.attempt("first", "second")
    assert bench.runner.run(attempt) == Completed()
    assert bench.lines(attempt) == ["asking for  page 1", "done"] * 2
    assert [event.facts["line"] for event in bench.events if event.kind is EventKind.JOB_LOGGED] == [
        "asking for  page 1",
        "done",
    ] * 2


def test_it_can_be_read_while_the_job_runs(bench: Workbench) -> None:
    bench.script = saying("waiting for the export", then=lambda context: context.wait(timedelta(minutes=5)))
    attempt = bench.attempt()
    outcome = running(bench.runner.run, attempt)
    eventually(lambda: bench.lines(attempt) == ["waiting for the export"])
    attempt.stop(Stop.DRAIN)
    assert outcome() == GiveBack()
    assert bench.lines(attempt) == ["waiting for the export"]


def test_the_last_words_of_an_attempt_that_fails_are_kept(bench: Workbench) -> None:
    def fail(_context: ReadContext) -> None:
        raise TransientError("down")

    bench.script = saying("about to fail", then=fail)
    attempt = bench.attempt()
    assert isinstance(bench.runner.run(attempt), Retry)
    assert bench.lines(attempt) == ["about to fail"]


def test_of_a_connector_that_never_stops_talking_the_newest_lines_are_kept(bench: Workbench) -> None:
    said = 3 * history.MOST_LINES + 5
    bench.script = saying(*(f"line {number} " + "x" * 900 for number in range(said)))
    attempt = bench.attempt()
    assert bench.runner.run(attempt) == Completed()

    lines = bench.stores.history.lines(attempt.job.id, limit=10_000)
    assert len(lines) == history.MOST_LINES + 1
    assert lines[0].line == f"… {said - history.MOST_LINES} lines left out"
    assert lines[1].line.startswith(f"line {said - history.MOST_LINES} ")
    assert all(len(line.line) <= 500 for line in lines)


def test_lines_of_an_attempt_that_is_given_back_again_and_again_stay_bounded(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_LINES", 10)
    bench.script = saying(*(str(number) for number in range(8)))
    attempt = bench.attempt()
    for _ in range(4):
        bench.runner.run(attempt)
    assert bench.lines(attempt) == ["… 22 lines left out", "6", "7", *(str(number) for number in range(8))]


def test_a_secret_in_a_line_is_kept_nowhere(bench: Workbench) -> None:
    logs.redact("sk-tell-nobody")
    bench.script = saying("the key is sk-tell-nobody")
    attempt = bench.attempt()
    bench.runner.run(attempt)
    assert bench.lines(attempt) == ["the key is ***"]


def test_when_nobody_speaks_there_is_no_thread_for_it(bench: Workbench) -> None:
    bench.script = saying("hello")
    bench.runner.run(bench.attempt())
    eventually(lambda: not any(thread.name == "job-log" for thread in threading.enumerate()))
