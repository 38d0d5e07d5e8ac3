"""The table of leaderjobs.testing does with every batch what Postgres does."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Marker
from leaderjobs.testing import Table
from tests.integration.store.rig import STREAM, Admin, Cluster

BATCHES = 25
LABELS = ("red", "green", None)
SCOPED = frozenset({Landing.REPLACE, Landing.SWEEP, Landing.APPLY})


class Maker:
    """Batches at random, all with one kind of order key."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._kind = self._random.choice(("sequence", "order", "ordered"))
        self._made = 0

    def batch(self) -> Batch:
        landing = self._random.choice(list(Landing))
        if landing is Landing.RESTART:
            return Batch("things", b"{}", (), None, {}, landing, 0)
        rows = [self._row() for _ in range(self._random.randrange(6))]
        gone = [{"id": self._id()} for _ in range(self._random.choice((0, 0, 1, 2)))]
        body: dict[str, Any] = {"rows": rows, "gone": gone}
        if self._kind == "ordered":
            body |= {"rows_orders": self._orders(rows), "gone_orders": self._orders(gone)}
        scope = landing in SCOPED and self._random.random() < 0.5
        return Batch(
            "things",
            json.dumps(body).encode(),
            ("rows",),
            "gone",
            {"at": self._random.randrange(100)},
            landing,
            len(rows) + len(gone),
            order=self._random.randrange(20) if self._kind != "sequence" else None,
            ordered=self._kind == "ordered",
            scope=("label", self._random.choice(("red", "green"))) if scope else None,
        )

    def _id(self) -> str:
        return self._random.choice("abcdefgh")

    def _row(self) -> dict[str, Any]:
        # Rows with order keys never come twice as they were: the store does not write those, and so keeps the
        # older key.
        self._made = self._random.randrange(3) if self._kind == "sequence" else self._made + 1
        return {"id": self._id(), "label": self._random.choice(LABELS), "n": self._made}

    def _orders(self, rows: list[Any]) -> list[int]:
        return [self._random.randrange(20) for _ in rows]


@pytest.mark.parametrize("seed", range(9))
def test_any_batches_leave_the_same_rows_as_in_postgres(seed: int, cluster: Cluster, admin: Admin) -> None:
    led, table, maker = cluster.lead(), Table(STREAM), Maker(seed)
    job = cluster.start(led)
    marker: Marker | None = None
    for _ in range(BATCHES):
        batch = maker.batch()
        table.commit(batch)
        marker = cluster.commit(led, job, batch, marker)
        assert marker.sequence == table.sequence
        found = admin.execute("SELECT id, doc::text, deleted_at IS NULL FROM shop.things").fetchall()
        live = {key: json.loads(str(doc), parse_float=Decimal) for key, doc, lives in found if lives}
        assert live == table.rows, batch
        assert {key for key, _, lives in found if not lives} == table.deleted, batch
