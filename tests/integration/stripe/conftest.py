from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaderjobs.connectors.stripe import StripeConnector
from leaderjobs.sandbox.stripe import StripeSandbox
from tests.integration.stripe.rig import connect


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(invoices=2) as running:
        yield running


@pytest.fixture
def stripe(sandbox: StripeSandbox) -> Iterator[StripeConnector]:
    made = connect(sandbox)
    yield made
    made.close()
