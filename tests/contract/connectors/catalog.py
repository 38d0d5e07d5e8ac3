"""Declared REST streams over the catalog: one stand-in for each way in which a stream is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leaderjobs.connectors.base import Connector
from leaderjobs.sandbox.catalog.sandbox import API, OAUTH, CatalogSandbox
from leaderjobs.testing import LEAST_PAGES, Can
from tests.contract.connectors.stand_in import EVERYTHING, StandIn
from tests.unit.connectors.catalog import PAGE, catalog, truth


class CatalogStandIn(StandIn):
    """A complete listing by cursor, and a child beside it."""

    name = "rest"
    stream = "cursor"
    troubled = f"{API}/cursor"
    tokens = frozenset({OAUTH})
    numbers: tuple[str, ...] = ("1E+400", "10000000000000000001", "0.12345678901234567890")
    streams: ClassVar[tuple[str, ...]] = ("cursor", "members", "groups")

    def __init__(self) -> None:
        self.sandbox: CatalogSandbox = CatalogSandbox(items=PAGE * LEAST_PAGES - 5)

    def connect(self, **options: Any) -> Connector:
        auth = {
            "kind": "oauth_client_credentials",
            "token_url": self.sandbox.url + OAUTH,
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
        }
        return catalog(self.sandbox, *self.streams, **{"auth": auth, **options})

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sandbox.client_secret, *self.sandbox.issued())

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        return truth(self.sandbox, stream)

    def add(self, count: int) -> None:
        self.sandbox.add(count)

    def modify(self, count: int) -> None:
        self.sandbox.modify(count)

    def remove(self, count: int) -> None:
        self.sandbox.remove(count)

    def change_shapes(self) -> None:
        self.sandbox.drift(15)

    def pages_asked_twice(self) -> int:
        return int(self.sandbox.state()["pages_asked_twice"])


class ChangesStandIn(CatalogStandIn):
    """What has changed since, and what is gone says so."""

    stream = "changes"
    troubled = f"{API}/changes"
    streams: ClassVar[tuple[str, ...]] = ("changes",)
    overlap = 1


class MembersStandIn(CatalogStandIn):
    """A child; the parent's page is asked for again by whoever goes on, but the child's are not."""

    stream = "members"
    troubled = f"{API}/groups/"
    streams: ClassVar[tuple[str, ...]] = ("members", "groups")
    numbers = ("1E+400", "10000000000000000002")
    # A row of the catalog is in several groups, so that its faults cannot be told by path alone.
    can = EVERYTHING - {Can.PAGES_ASKED_TWICE}
