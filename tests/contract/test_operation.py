"""What every operation promises to the engine, over a sandbox of its provider.

The ledger takes the same steps as the engine; the sandbox's book says what really happened.
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta

import pytest

from leaderjobs.connectors import registry
from leaderjobs.connectors.base import Connector, Operation
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import ConfigError, Interrupted, LeadershipLost, TransientError
from leaderjobs.model.effect import MOST_BUSINESS_KEY_CHARS, EffectState, Request, Told, Verdict
from leaderjobs.sandbox.faults import Fault, FaultKind
from tests.contract.official import Description
from tests.contract.operations import CASES, ORDER, Rig
from tests.support import free_port
from tests.unit.connectors.ledger import Ledger, planned


@pytest.fixture(params=CASES, ids=lambda case: f"{case.connector}.{case.operation}")
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with request.param.sandbox() as sandbox:
        yield Rig(request.param, sandbox)
    if request.param.connector == "stripe":
        official = Description.load("stripe")
        assert [complaint for got in sandbox.recorded() for complaint in official.complaints(got)] == []


@pytest.fixture
def connector(rig: Rig) -> Iterator[Connector]:
    with rig.connection() as made:
        yield made


@pytest.fixture
def operation(rig: Rig, connector: Connector) -> Operation:
    return connector.operations[rig.case.operation]


def test_it_goes_by_its_name_and_says_what_may_be_relied_on(rig: Rig, operation: Operation) -> None:
    assert operation.name == rig.case.operation
    assert operation.rules.looks_up
    assert operation.timeout == timedelta(seconds=5)


def test_arguments_are_json_and_reading_them_again_changes_nothing(rig: Rig, operation: Operation) -> None:
    arguments = operation.parse(rig.wish())
    assert json.loads(json.dumps(arguments)) == arguments
    assert operation.parse(arguments) == arguments


def test_its_business_key_is_one_line_and_the_same_for_the_same_wish(rig: Rig, operation: Operation) -> None:
    wish = rig.wish()
    arguments = operation.parse(wish)
    key = operation.business_key(arguments)
    assert key == operation.business_key(operation.parse(dict(reversed(wish.items()))))
    assert 0 < len(key) <= MOST_BUSINESS_KEY_CHARS
    assert key.isprintable()


def test_building_is_pure_and_the_request_carries_the_key_but_no_credentials(
    rig: Rig, operation: Operation
) -> None:
    arguments = operation.parse(rig.wish())
    with rig.connection() as other:
        requests = [each.build(arguments, "lj-key") for each in (operation, other.operations[operation.name])]
    assert requests[0] == requests[1]
    (one, _) = requests
    assert "lj-key" in (*one.headers.values(), one.path) or b"lj-key" in one.body
    assert rig.secret not in json.dumps([one.path, dict(one.headers), one.body.decode()])
    assert "authorization" not in {name.lower() for name in one.headers}
    assert one.path.startswith("/")


def test_nothing_of_the_credentials_is_in_a_verdict_an_error_or_a_log(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the provider sends back what it was sent."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    with rig.connection() as made:
        ledger = Ledger(made, rig.case.operation, **rig.wish())
        for kind in (
            FaultKind.HTML,
            FaultKind.RESET,
            FaultKind.RATE_LIMITED,
            FaultKind.ERROR,
            FaultKind.SHAPELESS,
        ):
            rig.sandbox.faults.replace(Fault(kind=kind))
            shown += [repr(asdict(ledger.send())), repr(asdict(ledger.look()))]
        shown += [repr(made), repr(ledger.operation), repr(ledger.effect)]
    for body in (f'{{"error":{{"message":"{rig.secret}"}}}}', f"<p>{rig.secret}</p>"):
        for status in (200, 400, 401, 500):
            shown.append(repr(asdict(ledger.operation.classify(Answer(status, body.encode())))))
    with rig.connection(f"http://127.0.0.1:{free_port()}") as made, pytest.raises(TransientError) as caught:
        made.exchange(ledger.effect.request, timeout=timedelta(seconds=1), guard=lambda: None)
    shown += traceback.format_exception(caught.value)
    assert rig.secret not in "".join([*shown, caplog.text])


def test_a_look_up_changes_nothing_and_sees_what_has_happened(rig: Rig, connector: Connector) -> None:
    ledger = Ledger(connector, rig.case.operation, **rig.wish())
    asked: list[Request] = []
    exchange = connector.exchange

    def ask(request: Request) -> Answer:
        asked.append(request)
        return exchange(request, timeout=timedelta(seconds=5), guard=lambda: None)

    assert ledger.operation.look_up(ledger.effect, ask).told is Told.OPEN
    assert rig.sandbox.requests().keys() == {
        path for path in rig.sandbox.requests() if path.startswith("GET")
    }
    assert ledger.send().told is Told.DONE
    before = rig.happened()
    found = ledger.operation.look_up(ledger.effect, ask)
    assert (found.told, bool(found.remote_id)) == (Told.DONE, True)
    assert rig.happened() == before
    assert {(request.method, request.body) for request in asked} == {("GET", b"")}


def test_a_look_up_without_an_answer_passes_that_on(rig: Rig, operation: Operation) -> None:
    def ask(_: Request) -> Answer:
        raise TransientError("no answer", code=NO_ANSWER)

    with pytest.raises(TransientError, match="no answer"):
        operation.look_up(planned(operation, **rig.wish()), ask)


FAULTS = [
    Fault(kind=kind, method="POST", after=after, count=1)
    for kind in (FaultKind.RESET, FaultKind.DROP, FaultKind.HTML, FaultKind.REDIRECT, FaultKind.HANG)
    for after in (False, True)
] + [
    Fault(kind=FaultKind.TRUNCATED, method="POST", count=1),
    Fault(kind=FaultKind.RATE_LIMITED, method="POST", count=2),
    Fault(kind=FaultKind.SERVER_ERROR, method="POST", stored=False, count=1),
    Fault(kind=FaultKind.SERVER_ERROR, method="POST", stored=False, after=True, count=1),
    Fault(kind=FaultKind.RESET, method="GET", count=2),
    Fault(kind=FaultKind.HTML, method="GET", skip=1, count=1),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.method}-{fault.after}")
def test_whatever_goes_wrong_once_it_happens_once(rig: Rig, fault: Fault) -> None:
    with rig.connection(timeout=0.7 if fault.kind is FaultKind.HANG else 5) as made:
        ledger = Ledger(made, rig.case.operation, **rig.wish())
        before = rig.happened()
        rig.sandbox.faults.replace(fault)
        for _ in range(5):
            if ledger.run().state.final:
                break
    assert ledger.effect.state is EffectState.SUCCEEDED, ledger.told
    assert rig.happened() - before == 1


def test_two_sends_at_once_make_one_effect(rig: Rig, connector: Connector) -> None:
    """A deposed leader's send that was already past its guard, and its successor's."""
    ledger = Ledger(connector, rig.case.operation, **rig.wish())
    before = rig.happened()
    rig.sandbox.latency = timedelta(milliseconds=50)

    def send() -> None:
        connector.exchange(ledger.effect.request, timeout=timedelta(seconds=5), guard=lambda: None)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert ledger.run().state is EffectState.SUCCEEDED
    assert rig.happened() - before == 1


def test_the_guard_has_the_last_word(rig: Rig, connector: Connector) -> None:
    def lost() -> None:
        raise LeadershipLost("over")

    ledger = Ledger(connector, rig.case.operation, **rig.wish())
    before = rig.happened()
    with pytest.raises(LeadershipLost):
        ledger.send(guard=lost)
    assert rig.sandbox.requests() == {}
    assert rig.happened() == before


def test_a_provider_that_cannot_be_reached_was_sent_nothing(rig: Rig) -> None:
    with rig.connection(f"http://127.0.0.1:{free_port()}") as made:
        verdict = Ledger(made, rig.case.operation, **rig.wish()).send()
    assert (verdict.told, verdict.code) == (Told.NOT_SENT, NOT_SENT)


def test_close_cuts_off_what_is_out_and_lets_nothing_more_out(rig: Rig) -> None:
    rig.sandbox.faults.replace(Fault(kind=FaultKind.HANG, method="POST"))
    with rig.connection(timeout=30) as made:
        ledger = Ledger(made, rig.case.operation, **rig.wish())
        verdicts: list[Verdict] = []
        sending = threading.Thread(target=lambda: verdicts.append(ledger.send()))
        sending.start()
        while not rig.sandbox.requests():
            sending.join(0.01)
        made.close()
        made.close()
        sending.join(5)
        assert [verdict.told for verdict in verdicts] == [Told.UNKNOWN]
        with pytest.raises(Interrupted):
            ledger.look()


def test_a_connection_without_operations_says_so() -> None:
    with pytest.raises(ConfigError, match="allowed: google_analytics, plaid, rest, singer, stripe"):
        registry.make("nobody", "shop", ORDER, Paces())
