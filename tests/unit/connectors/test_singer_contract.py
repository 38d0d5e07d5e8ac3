"""The suite that every connector passes, over a tap that goes on from its STATE; its part on reading for whole tables too."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaderjobs.connectors.base import Connector
from leaderjobs.testing import Can, ConnectorContract, Provider
from leaderjobs.testing.reading import Reading
from tests.unit.connectors.singer_rig import TOKEN, Source, connector


class Tap(Provider):
    """The test tap; what the suite calls a request is a run of it."""

    name = "singer"
    stream = "orders"
    can = frozenset({Can.DELETES, Can.DRIFT})
    numbers = ("60.10000000000000000001",)

    def __init__(self, **config: Any) -> None:
        self._config = config

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.source = Source(Path(self._folder.name), rows=60)

    def stop(self) -> None:
        self._folder.cleanup()

    def connect(self, **options: object) -> Connector:
        return connector(self.source, state_every=10, **(self._config | options))

    @property
    def secrets(self) -> tuple[str, ...]:
        return (TOKEN,)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        assert stream == self.stream
        return self.source.rows()

    def add(self, count: int) -> None:
        self.source.add(count)

    def modify(self, count: int) -> None:
        self.source.modify(count)

    def remove(self, count: int) -> None:
        self.source.remove(count)

    def requests(self) -> Mapping[str, int]:
        return Counter("discover" if run["discover"] else "sync" for run in self.source.runs())

    def drift(self) -> None:
        self.source.extra = ', "colour": {"deep": 1.50}, "paid": "perhaps"'
        self.source.modify(3)


class TestChanges(ConnectorContract):
    def provider(self) -> Provider:
        return Tap(method="LOG_BASED")


class TestFullTable(Reading):
    def provider(self) -> Provider:
        return Tap(method="FULL_TABLE", versions=True)
