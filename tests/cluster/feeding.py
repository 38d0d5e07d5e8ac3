"""Who keeps a field busy, who looks at it meanwhile, and who collects what it says in the end."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from leaderjobs import app, clock
from leaderjobs.demo.judge import judge as compare
from leaderjobs.errors import CoordinatorUnavailable, StoreError
from leaderjobs.model.job import JobState
from tests.cluster.field import Field
from tests.cluster.field_config import BILLING
from tests.cluster.history import Entry, What
from tests.cluster.leaks import command_lines, leaks, nodes, tables
from tests.support import eventually

RETRY_EVERY: Final = 0.1
LOOK_EVERY: Final = 2.0
TWICE: Final = 0.1
"""How often the same payment is asked for a second time."""
KINDS: Final = {
    "payments": ("payment", "invoice"),
    "refunds": ("refund", "payment_intent"),
    "orders": ("order", "reference"),
}
"""Of the book's lines: the kind of entry, and what names the thing."""


class Background:
    """Threads that go on until told to stop; the first failure of any of them is raised by `stop`."""

    def __init__(self) -> None:
        """Nothing runs."""
        self.over = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._failed: list[BaseException] = []

    def start(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run `work` on a thread of its own; its event says when to end."""

        def run() -> None:
            try:
                work(self.over)
            except BaseException as error:  # noqa: BLE001 - raised by `stop`
                self._failed.append(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def finish(self, name: str, seconds: float) -> None:
        """Wait for one that ends by itself."""
        self._threads[name].join(seconds)
        assert not self._threads[name].is_alive(), f"{name} did not end within {seconds:g} s"

    def stop(self) -> None:
        """Wait until all have ended."""
        self.over.set()
        for thread in self._threads.values():
            thread.join()
        if self._failed:
            raise self._failed[0]


@contextmanager
def background() -> Iterator[Background]:
    """Whatever is started ends with the block."""
    made = Background()
    try:
        yield made
    finally:
        made.over.set()
    made.stop()


def open_invoices(field: Field) -> list[dict[str, Any]]:
    """Every invoice that can be paid, the oldest first."""
    rows = [row for row in field.stripe.rows().values() if row.get("object") == "invoice"]
    return sorted((row for row in rows if row["status"] == "open"), key=lambda row: str(row["id"]))


def pay(field: Field, invoices: Sequence[dict[str, Any]], seconds: float, over: threading.Event) -> None:
    """Ask for the payment of each, evenly over a time, some of them twice; waits for Postgres where it is away."""
    source = random.Random(field.terrain.seed)
    began = clock.elapsed()
    with app.planner(field.settings, field.stores) as planner:
        for place, invoice in enumerate(invoices):
            if over.wait(max(0.0, began + seconds * place / len(invoices) - clock.elapsed())):
                return
            arguments = {
                "invoice": invoice["id"],
                "amount": str(invoice["amount_due"]),
                "currency": invoice["currency"],
            }
            for _ in range(2 if source.random() < TWICE else 1):
                while True:
                    with suppress(StoreError):
                        planner.plan(BILLING, "pay_invoice", arguments)
                        break
                    if over.wait(RETRY_EVERY):
                        return


def sync(field: Field, over: threading.Event) -> None:
    """One sync after the other, each over new rows."""
    job = None
    while not over.wait(RETRY_EVERY):
        with suppress(StoreError):
            if job is None or field.stores.jobs.get(job.id).state.final:
                field.provider.change(add=500, modify=50, remove=20, post_pending=5)
                job = field.enqueue()


def look(field: Field, over: threading.Event) -> None:
    """Take snapshots: of pages in Postgres, and of what the members' replicas hold against it."""
    while not over.wait(LOOK_EVERY):
        with suppress(psycopg.Error):
            field.history.add(*field.audit.pages(field.cluster))
        with suppress(psycopg.Error, CoordinatorUnavailable, OSError):
            look_at_replicas(field)


def look_at_replicas(field: Field) -> None:
    """First the replicas, then the database: so a replica that is ahead has something that was never committed."""
    with app.observer(field.settings) as session:
        members = session.members()
    rows = field.audit.execute(
        "SELECT coalesce(sum(sequence), 0)::bigint AS sum FROM leaderjobs.markers WHERE cluster = %s",
        field.cluster,
    )
    for member in members:
        field.tell(
            "rig",
            What.REPLICA,
            member=member.id,
            position=member.replica.position,
            database=rows[0]["sum"],
        )


def settled(field: Field) -> bool:
    """Whether nothing moves on any more but what is uncertain."""
    counts = field.stores.jobs.counts()
    waiting = (JobState.SCHEDULED, JobState.AVAILABLE, JobState.RUNNING, JobState.RETRYABLE)
    return not any(counts[state] for state in waiting)


def final_sync(field: Field, seconds: float) -> None:
    """One last sync in peace, and the comparison of what both sides hold."""
    job = field.enqueue()
    eventually(lambda: field.stores.jobs.get(job.id).state.final, seconds, "the last sync to end")
    found = compare(field)
    field.tell(
        "rig", What.BOOKS, provider=found.provider_rows, postgres=found.postgres_rows, agree=found.agree
    )


def collect(field: Field) -> None:
    """Write down what the database, the provider's book and every place where a secret could be have to say."""
    field.history.add(*field.audit.entries(field.cluster), *field.audit.pages(field.cluster))
    for provider in (field.stripe, field.orders):
        said = [*_arrivals(provider.sends()), *_happened(provider.book())]
        field.history.add(*(entry for entry in said if entry.at >= field.began))
    secrets = {**field.secrets(), "database password": field.postgres.password_file.read_text().strip()}
    places = {
        "a command line": command_lines(),
        "a log": field.logs().encode(),
        "a row": tables(field.audit),
        "a node": nodes(",".join(server.address for server in field.ensemble.servers)),
    }
    for secret, place in leaks(secrets, places):
        field.tell("rig", What.LEAK, secret=secret, place=place)


def _happened(book: dict[str, list[dict[str, Any]]]) -> Iterator[Entry]:
    for name, lines in book.items():
        kind, thing = KINDS[name]
        for line in lines:
            key = line.get("idempotency_key") or ""
            yield Entry(
                at=float(line["at"]),
                who="provider",
                what=What.PAYMENT,
                effect=key.removeprefix("lj-"),
                facts={"kind": kind, "thing": line[thing], "by": line["by"]},
            )


def _arrivals(sends: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    for send in sends:
        facts = {name: send[name] for name in ("path", "acted", "status", "replayed")}
        key = send["idempotency_key"].removeprefix("lj-")
        yield Entry(at=float(send["at"]), who="provider", what=What.SERVED, effect=key, facts=facts)
