"""Destination tables in a schema of the test's own, with rows, and pages that land in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta

from psycopg import sql

from leaderjobs.model.marker import Marker
from leaderjobs.model.stream import Stream
from leaderjobs.store.tables import Tables
from tests.integration.store.rig import Admin, Cluster, raw_page
from tests.support import eventually

SCHEMA = "grown"


@dataclass
class Grown:
    """A schema, its tables, and a job that lands pages in them."""

    cluster: Cluster
    admin: Admin
    markers: dict[str, Marker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = Tables(self.cluster.database)
        # A term that outlasts the filling of large tables on a busy machine.
        self.cluster.session_timeout = timedelta(hours=1)
        self.led = self.cluster.lead()
        self.job = self.cluster.start(self.led)

    def ensure(self, *streams: Stream) -> bool:
        return self.tables.ensure(SCHEMA, streams)

    def pending(self, *streams: Stream) -> list[str]:
        return self.tables.pending(SCHEMA, streams)

    def fill_some(self, *streams: Stream) -> bool:
        return self.tables.fill_some(SCHEMA, streams)

    def fill(self, *streams: Stream) -> None:
        """Until nothing is pending; a row that a page holds is asked for again."""
        eventually(lambda: not self.fill_some(*streams) and not self.pending(*streams), timeout=60)

    def land(self, stream: Stream, *rows: object, gone: tuple[str, ...] = ()) -> None:
        """Commit a page as the leader does."""
        body = json.dumps({"rows": rows, "removed": [{"id": each} for each in gone]}).encode()
        led, marker = self.led, self.markers.get(stream.name)
        page = raw_page(body, rows=len(rows) + len(gone))
        self.markers[stream.name] = self.cluster.batches.commit(
            led.connections, led.term, self.job, SCHEMA, stream, page, marker
        )

    def insert(self, stream: Stream, rows: int) -> None:
        """Rows r0, r1… of 300 bytes, with a mood, a price, whether they are fine, and tags."""
        self.admin.execute(
            sql.SQL(
                "INSERT INTO {} SELECT 'acme', 'household', 'r' || n, jsonb_build_object('id', 'r' || n, "
                "'mood', 'm' || n, 'price', n::text || '.10', 'fine', n % 2 = 0, 'tags', "
                "jsonb_build_array(n), 'pad', repeat(md5(n::text), 6)), 1, NULL, now() "
                "FROM generate_series(0, {} - 1) n"
            ).format(sql.Identifier(SCHEMA, stream.name), sql.Literal(rows))
        )

    def one(self, query: str) -> object:
        """The only value of the only row that a query gives."""
        (row,) = self.admin.execute(query.encode()).fetchall()
        return row[0]

    def column_names(self, table: str) -> list[object]:
        """In their order, without our own."""
        query = (
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 7 "
            "AND NOT attisdropped ORDER BY attnum"
        )
        return [row[0] for row in self.admin.execute(query, (f"{SCHEMA}.{table}",))]
