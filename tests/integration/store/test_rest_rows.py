"""Declared streams in Postgres: typed columns, exact numbers, rows that drift, and rows that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.model.marker import Marker
from leaderjobs.sandbox.catalog.sandbox import CatalogSandbox
from leaderjobs.store.pool import Database
from leaderjobs.store.tables import Tables
from leaderjobs.testing import Context
from tests.integration.store.rig import Admin, Cluster
from tests.unit.connectors.catalog import catalog, truth

SCHEMA = "catalog"
STREAMS = ("cursor", "changes", "members", "groups")


@pytest.fixture
def connector(database: Database, admin: Admin) -> Iterator[tuple[CatalogSandbox, RestConnector]]:
    with CatalogSandbox(items=35) as sandbox:
        made = catalog(sandbox, *STREAMS, schema=SCHEMA)
        Tables(database).ensure(SCHEMA, made.streams)
        yield sandbox, made
        made.close()
    admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.mark.parametrize("name", ["cursor", "changes", "members"])
def test_rows_land_typed_and_exact_whatever_they_become(
    cluster: Cluster, admin: Admin, connector: tuple[CatalogSandbox, RestConnector], name: str
) -> None:
    sandbox, made = connector
    assert made.schema_of("shop", made._options) == SCHEMA
    stream = next(found for found in made.streams if found.name == name)
    led = cluster.lead()
    job = cluster.start(led, "shop")
    marker: Marker | None = None
    for change in (0, 5):
        sandbox.modify(change)
        sandbox.drift(change)
        sandbox.remove(change)
        sandbox.add(change)
        for batch in made.read(name, marker.cursor if marker else None, Context()):
            marker = cluster.batches.commit(led.connections, led.term, job, SCHEMA, stream, batch, marker)
        found = admin.execute(
            f"SELECT id, name, price, available, owner_name, doc::text FROM {SCHEMA}.{name}_current"
        ).fetchall()
        docs = {str(row[0]): json.loads(str(row[-1]), parse_float=Decimal) for row in found}
        assert docs == truth(sandbox, name)
        for row in found:
            assert list(row[1:-1]) == _columns(docs[str(row[0])])
        drifted = [doc for doc in docs.values() if "made_up" in doc]
        assert bool(drifted) is bool(change)
        assert all(doc["weight"] in {Decimal("0.1"), 10**400} for doc in docs.values())
    gone = admin.execute(f"SELECT count(*) FROM {SCHEMA}.{name} WHERE deleted_at IS NOT NULL").fetchone()
    assert gone is not None
    assert gone[0] != 0


def _columns(doc: dict[str, Any]) -> list[Any]:
    available = doc["available"]
    return [
        doc["name"],
        doc["price"],
        available if isinstance(available, bool) else None,
        doc["owner"]["name"],
    ]
