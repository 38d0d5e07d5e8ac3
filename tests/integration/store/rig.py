"""The stores of a cluster, terms that were raised in it, and pages to commit."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

import psycopg

from leaderjobs import clock
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.effect import Effect, NewEffect, Request
from leaderjobs.model.job import Completed, Job, JobState, NewJob, Outcome
from leaderjobs.model.marker import Marker
from leaderjobs.model.settle import Basis
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.model.term import Term
from leaderjobs.store.batches import Batches
from leaderjobs.store.effects import Effects, Stamp
from leaderjobs.store.holds import Holds
from leaderjobs.store.jobs import Jobs
from leaderjobs.store.markers import Markers
from leaderjobs.store.pool import Database, TermConnections
from leaderjobs.store.queue import Queue
from leaderjobs.store.quotas import Quotas
from leaderjobs.store.terms import Terms
from tests import one_turn

Admin: TypeAlias = psycopg.Connection[tuple[object, ...]]
STREAM = Stream(
    "things",
    ("id",),
    "Things for tests",
    (
        Column("label", ColumnType.TEXT, ("label",), "Its label", indexed=True),
        Column("amount", ColumnType.NUMERIC, ("price", "amount")),
        Column("day", ColumnType.DATE, ("day",), indexed=True),
        Column("seen_at", ColumnType.TIMESTAMP, ("seen_at",)),
        Column("fine", ColumnType.BOOLEAN, ("fine",)),
    ),
)
CONNECTOR = "shop"


@dataclass
class Led:
    """A term that leads, and its connections."""

    term: Term
    connections: TermConnections


@dataclass
class Cluster:
    """The stores of one cluster, and shortcuts for what tests do all the time."""

    database: Database
    name: str
    session_timeout: timedelta = timedelta(seconds=60)
    made: list[TermConnections] = field(default_factory=list)
    tokens: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.terms = Terms(self.database, self.name)
        self.jobs = Jobs(self.database, self.name)
        self.queue = Queue(self.database, self.name)
        self.holds = Holds(self.database, self.name)
        self.effects = Effects(self.database, self.name)
        self.markers = Markers(self.database, self.name)
        self.batches = Batches(self.database, self.name)
        self.quotas = Quotas(self.database, self.name)

    def lead(self, limit: int = 4) -> Led:
        """Raise the fence with the next token."""
        token = next(self.tokens)
        member = f"member-{token}"
        number = self.terms.raise_fence(0, token, "origin", member)
        term = Term(
            cluster=self.name,
            partition=0,
            number=number,
            token=token,
            origin="origin",
            member=member,
            began_at=clock.now(),
            session_timeout=self.session_timeout,
            elapsed=clock.elapsed,
            sent_at=clock.elapsed(),
        )
        connections = TermConnections(self.database, term, limit)
        self.made.append(connections)
        return Led(term, connections)

    def enqueue(self, connection: str = "household", **more: object) -> Job:
        job, _ = self.jobs.enqueue(NewJob("sync", connection, ("things",), **more))  # type: ignore[arg-type]
        return job

    def wish(
        self, key: str = "invoice:in_1:pay", connection: str = "billing", **arguments: object
    ) -> NewEffect:
        """An effect to plan."""
        effect_id = uuid.uuid4()
        request = Request("POST", "/pay", b"amount=1200", {"Idempotency-Key": f"lj-{effect_id}"})
        return NewEffect(effect_id, connection, "pay", key, arguments, request, f"lj-{effect_id}")

    def plan(self, key: str = "invoice:in_1:pay", connection: str = "billing", **arguments: object) -> Effect:
        return self.effects.plan(self.wish(key, connection, **arguments))[0]

    def stamp(
        self, led: Led, effect: Effect, basis: Basis = Basis.FIRST, window: timedelta | None = None
    ) -> Stamp:
        return self.effects.stamp(led.connections, led.term, effect, uuid.uuid4(), basis, window)

    def claim(self, led: Led, limit: int = 1, busy: tuple[str, ...] = ()) -> list[Job]:
        return one_turn.claim(self.queue, led.connections, led.term, limit, busy)

    def finish(self, led: Led, job: Job, outcome: Outcome) -> JobState:
        """The state that the job is in afterwards; a completed one ends its connection's hold."""
        mended = (job.connection,) if isinstance(outcome, Completed) else ()
        return one_turn.finish(self.queue, led.connections, led.term, job, outcome, mended)

    def start(self, led: Led, connection: str = "household", **more: object) -> Job:
        """A job that runs under the term."""
        self.enqueue(connection, **more)
        (job,) = self.claim(led, busy=tuple(running.connection for running in self.jobs.running()))
        return job

    def commit(
        self, led: Led, job: Job, batch: Batch, marker: Marker | None, stream: Stream = STREAM
    ) -> Marker:
        return self.batches.commit(led.connections, led.term, job, CONNECTOR, stream, batch, marker)

    def close(self) -> None:
        for connections in self.made:
            connections.close()


def page(
    *rows: object,
    gone: tuple[str, ...] = (),
    landing: Landing = Landing.UPSERT,
    cursor: dict[str, object] | None = None,
) -> Batch:
    """A page of `rows`, with the ids of the rows that are gone."""
    body = json.dumps({"rows": rows, "removed": [{"id": each} for each in gone]}).encode()
    return raw_page(body, rows=len(rows) + len(gone), landing=landing, cursor=cursor)


def raw_page(
    body: bytes, *, rows: int = 1, landing: Landing = Landing.UPSERT, cursor: dict[str, object] | None = None
) -> Batch:
    return Batch("things", body, ("rows",), "removed", cursor or {"next": "abc"}, landing, rows)


def live(admin: Admin) -> set[str]:
    """The ids of rows that are not deleted."""
    return {str(row[0]) for row in admin.execute("SELECT id FROM shop.things WHERE deleted_at IS NULL")}


def label_of(admin: Admin, row_id: str) -> object:
    """The label column of a row; None where there is no such row."""
    row = admin.execute("SELECT label FROM shop.things WHERE id = %s", (row_id,)).fetchone()
    return row and row[0]
