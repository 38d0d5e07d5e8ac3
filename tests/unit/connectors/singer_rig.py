"""What tests of the Singer connector share: the source of the test tap, and connectors that run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.singer.connector import SingerConnector
from leaderjobs.connectors.singer.settings import SingerSelection, SingerSettings
from leaderjobs.values import Duration, Secret
from tests.unit.connectors import orders_tap

TAP = Path(orders_tap.__file__)
COMMAND = (sys.executable, "-I", "-S", str(TAP))
TOKEN = "let-me-in"


class Source:
    """The tap's file, by changes in their order."""

    def __init__(self, folder: Path, rows: int = 0) -> None:
        self.path = folder / "orders.tsv"
        self._changes: list[tuple[str, str]] = []
        self._made = 0
        self.extra = ""
        """Members of rows that are made or changed from now on."""
        self.add(rows)

    def add(self, count: int) -> None:
        for _ in range(count):
            self._made += 1
            self._put(f"o{self._made:05}", "false")
        self._save()

    def modify(self, count: int) -> None:
        for identity in list(self.rows())[:count]:
            self._put(identity, "true")
        self._save()

    def remove(self, count: int) -> None:
        for identity in list(self.rows())[:count]:
            self._changes.append(
                (identity, f'{{"id": "{identity}", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}}')
            )
        self._save()

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is there, numbers with a point as Decimal."""
        latest = dict(self._changes)
        found = {identity: json.loads(text, parse_float=Decimal) for identity, text in latest.items()}
        return {identity: row for identity, row in found.items() if "_sdc_deleted_at" not in row}

    def runs(self) -> list[dict[str, Any]]:
        """What each run of the tap looked like from inside."""
        file = self.path.with_suffix(".runs")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def child(self) -> int:
        """The pid of the child that the tap has left behind."""
        return int(self.path.with_suffix(".child").read_text())

    def _put(self, identity: str, paid: str) -> None:
        members = (
            f'"id": "{identity}", "amount": {self._made}.10000000000000000001, "paid": {paid}, '
            f'"placed_at": "2026-01-01T00:00:00Z", "lines": [{len(self._changes)}]{self.extra}'
        )
        self._changes.append((identity, f"{{{members}}}"))

    def _save(self) -> None:
        # One line per row, as a provider that lists by the time of the last change.
        latest = {identity: number for number, (identity, _) in enumerate(self._changes, start=1)}
        lines = [f"{number}\t{self._changes[number - 1][1]}\n" for number in latest.values()]
        self.path.write_text("".join(lines))


def settings(source: Source, *, config: Mapping[str, Any] | None = None, **other: Any) -> SingerSettings:
    """Settings that run the test tap with a catalog that is there already; `config` is its own."""
    own = {"source": str(source.path), **(config or {})}
    catalog = source.path.with_name(f"catalog-{own.get('method', '')}.json")
    catalog.write_text(json.dumps(orders_tap.catalog(own)))
    values: dict[str, Any] = {
        "command": COMMAND,
        "streams": ("orders",),
        "config": own,
        "secrets": {"token": Secret(literal=TOKEN)},
        "timeout": Duration(seconds=20),
        "catalog": str(catalog),
    }
    return SingerSettings(**(values | other))


def made(options: SingerSettings) -> SingerConnector:
    """A connector as another process would make it; the caller closes it."""
    return SingerConnector("crm", options, Paces())


def connector(source: Source, *, method: str | None = None, **config: Any) -> SingerConnector:
    """The same with the test tap's own configuration."""
    select: dict[str, SingerSelection] = {}
    if method is not None:
        config["method"] = method
        select["orders"] = SingerSelection(replication_method=method)  # type: ignore[arg-type]
    return made(settings(source, config=config, select=select))
