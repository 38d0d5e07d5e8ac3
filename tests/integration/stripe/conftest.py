from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.values import Duration
from tests.integration.stripe.rig import connect


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(invoices=2) as running:
        yield running


@pytest.fixture
def stripe(sandbox: StripeSandbox, request: pytest.FixtureRequest) -> Iterator[StripeConnector]:
    """Impatient where nothing will come."""
    callspec = getattr(request.node, "callspec", None)
    fault = callspec.params.get("fault") if callspec else None
    hangs = isinstance(fault, Fault) and fault.kind is FaultKind.HANG
    made = connect(sandbox, timeout=Duration(seconds=0.7 if hangs else 5))
    yield made
    made.close()


@pytest.fixture
def sandboxed() -> Iterator[Callable[..., StripeSandbox]]:
    """Makes a sandbox that is stopped in the end."""
    made: list[StripeSandbox] = []

    def make(**seeds: Any) -> StripeSandbox:
        made.append(StripeSandbox(**seeds).start())
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.stop()
