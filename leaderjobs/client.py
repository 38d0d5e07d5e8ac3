"""Enqueuing from a Python program, also as part of what the program itself writes to the same database.

with leaderjobs.Client(Path("leaderjobs.toml")) as client:
    client.enqueue("household", key="household")

    with psycopg.connect(...) as connection:
        connection.execute("INSERT INTO invoices ...")
        client.enqueue("billing.pay_invoice", arguments={"invoice": "in_1"}, connection=connection)
    # Here both are committed, or neither.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias
from uuid import UUID

from leaderjobs.errors import LeaderJobsError, Refused, UsageError
from leaderjobs.model.job import DEFAULT_PRIORITY, Job, NewJob, OnConflict

if TYPE_CHECKING:
    from leaderjobs.app.asking import OperationName, Request
    from leaderjobs.config import Settings
    from leaderjobs.engine.planner import Planned
    from leaderjobs.engine.stores import Stores
    from leaderjobs.store.borrowed import CallersConnection

Policy: TypeAlias = OnConflict | Literal["error", "skip", "replace"]


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What a request led to."""

    job: int
    """The job's id; 0 where the effect was there already and its job has been pruned."""
    created: bool
    """False: an unfinished job had the key, or the effect was there already; `job` is that one's."""
    effect: UUID | None = None
    """Of an operation; None for a sync."""


class Client:
    """Puts syncs and operations into the queue of a configured cluster, and follows them. Any thread.

    Connects when first used and keeps up to four connections; `close`, or the end of a `with` block, lets go
    of them. Members need not run. A request with `connection` is made on that connection alone, on the
    calling thread, in whatever transaction it is in: the leader learns of it with the commit, and nothing of
    it is left after a rollback. psycopg's own errors on it come as they are; all others are LeaderJobsError.
    """

    def __init__(self, config: Path | str | None = None, settings: Settings | None = None) -> None:
        """Read the configuration as the command line does, from `config` or the usual places.

        `settings` are used instead where they are given. ConfigError for a configuration that is wrong.
        """
        if settings is None:
            from leaderjobs.config import load

            settings = load(None if config is None else Path(config), os.environ)
        self._settings = settings
        self._opened = contextlib.ExitStack()
        self._opening = threading.Lock()
        self._stores: Stores | None = None
        self._closed = False

    def __enter__(self) -> Self:
        """Itself; nothing is connected yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """Let go of everything; safe to call twice, nothing can be asked afterwards."""
        with self._opening:
            self._closed = True
            self._stores = None
            self._opened.close()

    def enqueue(
        self,
        target: str,
        *,
        key: str | None = None,
        at: datetime | None = None,
        delay: timedelta | None = None,
        priority: int = DEFAULT_PRIORITY,
        streams: Sequence[str] | None = None,
        full: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        on_conflict: Policy = OnConflict.SKIP,
        time_limit: timedelta | None = None,
        arguments: Mapping[str, object] | None = None,
        connection: CallersConnection | None = None,
    ) -> Enqueued:
        """Enqueue `target`: a sync of the configuration, or an operation as `CONNECTION.OPERATION`.

        Args:
            target: What to run.
            key: At most one unfinished sync of the cluster has this key.
            at: Not before this instant, with its zone; by the database's clock.
            delay: Not before this long from now; excludes `at`.
            priority: 0 runs first, 9 last.
            streams: Only these streams of the sync's connection.
            full: Forget the markers of the streams first, and pull everything again.
            since: Pull the span that begins here instead of going on from the marker; with its zone.
            until: Where that span ends; excluded.
            on_conflict: What to do when an unfinished sync has the key: `skip` returns it, `error` refuses,
                `replace` makes it what is asked for now, unless it runs: then as `skip`.
            time_limit: End an attempt that takes longer; None: that of the configuration.
            arguments: Of an operation: JSON values by name. The same thing asked for twice is one effect.
            connection: Enqueue on this psycopg connection, as part of its transaction.

        Returns:
            The job's id, and whether it is new; for an operation also its effect.

        Raises:
            UsageError: The request cannot be met; says what is allowed.
            Refused: It contradicts what is stored: the key is taken, the effect has other arguments.
            StoreUnavailable: Postgres cannot be reached; with a key, or for an operation, ask again.
            psycopg.Error: Something failed on `connection`.

        """
        from leaderjobs.app.asking import Request, wanted

        policy, names = _policy(on_conflict), _names(streams)
        request = Request(
            target, arguments or {}, key, at, delay, priority, names, full, since, until, policy, time_limit
        )
        found = wanted(self._settings, request)
        stores = self._asked() if connection is None else self._borrowed(connection)
        if isinstance(found, NewJob):
            job, created = stores.jobs.enqueue(found, policy)
            return Enqueued(job.id, created)
        planned = self._plan(stores, found, request)
        return Enqueued(planned.job, planned.created, planned.effect.id)

    def job(self, job_id: int) -> Job:
        """The job as it is now; Refused when the cluster has none of that id."""
        return self._asked().jobs.get(job_id)

    def wait(self, job_id: int, timeout: timedelta = timedelta(hours=24)) -> Job:
        """The job once it has ended, or is uncertain; LeaderJobsError when the time is up.

        It may have failed: see its state. Listens on a connection of its own meanwhile.
        """
        from leaderjobs.engine.waiting import until_ended

        stores = self._asked()
        return until_ended(stores, self._settings.cluster.name, stores.jobs.get(job_id), timeout)

    def cancel(self, job_id: int, who: str = "leaderjobs.Client") -> Job:
        """End a sync that waits, or ask one that runs to end after its page; the job as it is then.

        `who` is kept with the job. Refused when it has ended already, and for an operation's job: an effect
        that may have been sent cannot be taken back (`leaderjobs effects cancel`).
        """
        from leaderjobs.store.job_admin import JobFilter

        stores = self._asked()
        changed = stores.job_admin.cancel(JobFilter(ids=(job_id,)), who)
        if changed.refusals:
            raise Refused(f"job {job_id} cannot be cancelled: {changed.refusals[0].reason}")
        return stores.jobs.get(job_id)

    def _plan(self, stores: Stores, name: OperationName, request: Request) -> Planned:
        from leaderjobs import app
        from leaderjobs.engine.planner import When

        when = When(request.priority, request.at, request.delay)
        with app.planner(self._settings, stores) as planner:
            return planner.plan(name.connection, name.operation, request.arguments, when)

    def _asked(self) -> Stores:
        """The stores on connections of our own, opened and the schema checked at the first call."""
        from leaderjobs import app

        with self._opening:
            if self._closed:
                raise LeaderJobsError("the client is closed; make another one")
            if self._stores is None:
                self._stores = self._opened.enter_context(app.opened_stores(self._settings))
            return self._stores

    def _borrowed(self, connection: CallersConnection) -> Stores:
        from leaderjobs import app
        from leaderjobs.store.borrowed import Borrowed

        return app.stores(Borrowed(connection), self._settings.cluster.name)


def _policy(given: Policy) -> OnConflict:
    try:
        return OnConflict(given)
    except ValueError:
        raise UsageError(f"on_conflict = {given!r}: allowed: error, skip, replace") from None


def _names(streams: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(streams, str):
        raise UsageError(f"streams = {streams!r}: allowed: a sequence of names, such as ({streams!r},)")
    return None if streams is None else tuple(streams)
