"""The suite that leaderjobs' own connectors pass, against a carrier on 127.0.0.1."""  # noqa: INP001 - tests are no package

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from parcels.connector import ParcelsConnector, ParcelsSettings
from stand_in import TOKEN, Carrier

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.testing import LEAST_PAGES, Can, Clock, ConnectorContract, Provider, Trouble
from leaderjobs.values import Duration, Rate, Secret

FAULTS = {
    Trouble.RATE_LIMITED: Fault(kind=FaultKind.RATE_LIMITED, retry_after="5"),
    Trouble.SERVER_ERROR: Fault(kind=FaultKind.SERVER_ERROR),
    Trouble.HTML: Fault(kind=FaultKind.HTML),
    Trouble.UNAVAILABLE: Fault(kind=FaultKind.HTML, status=503),
    Trouble.RESET: Fault(kind=FaultKind.RESET),
    Trouble.TRUNCATED: Fault(kind=FaultKind.TRUNCATED),
    Trouble.REDIRECT: Fault(kind=FaultKind.REDIRECT),
    Trouble.SHAPELESS: Fault(kind=FaultKind.SHAPELESS),
    Trouble.HANG: Fault(kind=FaultKind.HANG),
    Trouble.TOO_LARGE: Fault(kind=FaultKind.HUGE),
    Trouble.EQUAL_TOKENS: Fault(kind=FaultKind.EQUAL_CURSORS),
}


class CarrierProvider(Provider):
    """The carrier as the suite wants it."""

    name = "parcels"
    stream = "parcels"
    can = frozenset(
        {Can.DELETES, Can.FAILS, Can.EQUAL_TOKENS, Can.TOO_LARGE, Can.DRIFT, Can.PAGES_ASKED_TWICE}
    )
    numbers = ("4.49000000000000000001",)

    def start(self) -> None:
        """With six pages of parcels."""
        self.carrier = Carrier(parcels=10 * LEAST_PAGES - 5)
        self.carrier.start()

    def stop(self) -> None:
        """Cut every connection."""
        self.carrier.stop()

    def connect(self, **options: object) -> Connector:
        """At full speed, on a clock that only the test moves."""
        values: dict[str, Any] = {
            "base_url": self.carrier.url,
            "token": Secret(literal=TOKEN),
            "page_size": 10,
            "rate_limit": Rate(1_000_000, timedelta(seconds=1)),
            "timeout": Duration(seconds=10),
        }
        return ParcelsConnector("carrier", ParcelsSettings(**(values | options)), Paces(elapsed=Clock()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (TOKEN,)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        """The truth."""
        assert stream == self.stream
        return self.carrier.rows()

    def add(self, count: int) -> None:
        """New parcels."""
        self.carrier.add(count)

    def modify(self, count: int) -> None:
        """Some move on."""
        self.carrier.modify(count)

    def remove(self, count: int) -> None:
        """Some are cancelled."""
        self.carrier.remove(count)

    def requests(self) -> Mapping[str, int]:
        """By path."""
        return self.carrier.requests()

    def trouble(self, kind: Trouble, *, skip: int = 0, count: int | None = None) -> None:
        """Switch a fault on."""
        self.carrier.faults.replace(msgspec.structs.replace(FAULTS[kind], skip=skip, count=count))

    def calm(self) -> None:
        """None of them."""
        self.carrier.faults.replace()

    def drift(self) -> None:
        """A new member, and a weight in words."""
        self.carrier.extra = ',"insured":{"cents":5000},"grams":"heavy"'
        self.carrier.modify(5)

    def pages_asked_twice(self) -> int:
        """By the number that they were asked for with."""
        return len(self.carrier.asked) - len(set(self.carrier.asked))


class TestParcels(ConnectorContract):
    """All of it."""

    def provider(self) -> Provider:
        """A new carrier for each test."""
        return CarrierProvider()
