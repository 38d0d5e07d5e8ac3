"""The operation that a user would write, held to what is promised, and run as its README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import platformdirs
import pytest

from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import UsageError
from leaderjobs.model.effect import EffectState, Told
from leaderjobs.model.settle import Basis, Wait
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.orders import OrdersSandbox
from tests.examples.commands import ROOT
from tests.unit.connectors.ledger import Ledger, planned

EXAMPLE = ROOT / "examples" / "python_operation"
PARCEL = {"order": "A1001", "parcel": "1", "grams": "850"}


@pytest.fixture
def carrier() -> Iterator[OrdersSandbox]:
    with OrdersSandbox() as running:
        yield running


@pytest.fixture
def connector(carrier: OrdersSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    """As the example's own configuration has it."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("CARRIER_AUTHORIZATION", f"Bearer {carrier.token}")
    environment = {"LEADERJOBS_CONNECTIONS_CARRIER_BASE_URL": carrier.url}
    found = config.load(EXAMPLE / "leaderjobs.toml", environment).connections["carrier"]
    made = registry.make(found.connector, found.name, found.options, Paces(), found.operations)
    yield made
    made.close()


def test_equal_wishes_are_one_label(connector: Connector) -> None:
    operation = connector.operations["create_label"]
    arguments = operation.parse(PARCEL)
    assert arguments == operation.parse(arguments) == {"order": "A1001", "parcel": 1, "grams": 850}
    assert operation.business_key(arguments) == "label:A1001-1"
    assert operation.build(arguments, "lj-1") == operation.build(arguments, "lj-1")
    for wrong in ({}, PARCEL | {"colour": "red"}, PARCEL | {"grams": "0"}, PARCEL | {"grams": "31501"},
                  PARCEL | {"parcel": "x"}, PARCEL | {"order": "a/b"}):  # fmt: skip
        with pytest.raises(UsageError):
            operation.parse(wrong)


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET, FaultKind.HTML, FaultKind.SHAPELESS, FaultKind.SERVER_ERROR]
)
def test_a_lost_answer_is_found_and_nothing_is_printed_twice(
    carrier: OrdersSandbox, connector: Connector, kind: FaultKind
) -> None:
    carrier.faults.replace(Fault(kind=kind, method="POST", after=True, count=1))
    ledger = Ledger(connector, "create_label", **PARCEL)
    effect = ledger.run()
    assert (effect.state, effect.facts) == (EffectState.SUCCEEDED, {"cents": 449})
    assert ledger.told == [Told.UNKNOWN]
    assert carrier.book.orders_per_reference() == {"A1001-1": 1}


def test_what_the_carrier_has_dropped_is_sent_again_only_after_its_time(
    carrier: OrdersSandbox, connector: Connector
) -> None:
    carrier.faults.replace(Fault(kind=FaultKind.RESET, method="POST", count=1))
    ledger = Ledger(connector, "create_label", **PARCEL)
    ledger.step()
    ledger.now += timedelta(minutes=4)
    assert isinstance(ledger.step(), Wait)
    ledger.now += timedelta(minutes=1)
    assert ledger.run().state is EffectState.SUCCEEDED
    assert [send.basis for send in ledger.effect.sends] == [Basis.FIRST, Basis.ABSENCE]
    assert carrier.book.orders_per_reference() == {"A1001-1": 1}


def test_a_label_that_is_there_at_another_price_is_none_of_ours(
    carrier: OrdersSandbox, connector: Connector
) -> None:
    Ledger(connector, "create_label", **PARCEL).run()
    effect = Ledger(connector, "create_label", **(PARCEL | {"grams": "20000"})).run()
    assert (effect.state, effect.code, effect.sends) == (EffectState.FAILED, "other_price", ())
    assert Ledger(connector, "create_label", **PARCEL).run().by_other


@pytest.mark.parametrize(
    ("status", "told"),
    [(200, Told.UNKNOWN), (201, Told.UNKNOWN), (302, Told.UNKNOWN), (400, Told.DECLINED), (401, Told.REFUSED),
     (404, Told.UNKNOWN), (429, Told.REFUSED), (500, Told.UNKNOWN)],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[" * 100_000, b'{"id":1}'])
def test_no_answer_is_taken_for_more_than_it_says(
    connector: Connector, status: int, body: bytes, told: Told
) -> None:
    operation = connector.operations["create_label"]
    assert operation.classify(Answer(status, body)).told is told
    look = operation.look_up(planned(operation, **PARCEL), lambda _: Answer(status, body))
    assert look.told is Told.UNAVAILABLE


@pytest.mark.timeout(240)
def test_the_example_runs_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        # Only what was downloaded, and is downloaded once for every test of the machine.
        "XDG_CACHE_HOME": str(platformdirs.user_cache_path()),
    }
    ran = subprocess.run(
        [EXAMPLE / "run.sh"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(re.findall(r"\(label:A1001-[12]\): succeeded", ran.stdout)) == 2
    assert sorted(re.findall(r'"reference":"(.*?)","cents":(\d+)', ran.stdout)) == [
        ("A1001-1", "449"),
        ("A1001-2", "1899"),
    ]
    assert list((tmp_path / "tmp").iterdir()) == []
