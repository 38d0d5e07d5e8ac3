"""A leader as a process that dies by SIGKILL at a page's boundary; imported by the process that is forked.

It leads as a member does once it is elected: raises the fence, takes over what the one before left running, claims,
runs the attempt, records how it ended. Who elects it is the tests' matter, so a death costs a fork and not a
session's timeout.

    before   the page is fetched, nothing of it has been sent to Postgres
    inside   all of the page's statements are sent, the fence is not asked yet and COMMIT has not been sent
    after    the page is committed, and nobody has been told
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderjobs import app, clock, config
from leaderjobs.engine import rescuer
from leaderjobs.engine.attempt import Attempt
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.replica import Replica
from leaderjobs.engine.runner import Runner
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.model.term import Term
from leaderjobs.store.batches import Batches
from leaderjobs.store.pool import Database, TermConnections
from tests import one_turn

PLACES = ("before", "inside", "after")
PATIENCE = 60.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "tests.integration.deaths",
        "leaderjobs.connectors.http",
        "leaderjobs.connectors.plaid.connector",
        "leaderjobs.connectors.rest.connector",
        "leaderjobs.connectors.stripe.connector",
    ]
)


@dataclass(frozen=True)
class Death:
    """Where a leader dies."""

    place: str
    page: int
    """The n-th page of its life, from 1."""


def lead(path: Path, database_url: str, token: int, death: Death | None = None) -> int:
    """Run one leader over one job, until it has ended or the leader has died; its exit code."""
    process = _FORKS.Process(target=_lead, args=(path, database_url, token, death), daemon=True)
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"the leader neither ended nor died within {PATIENCE} s")
    return process.exitcode


def _lead(path: Path, database_url: str, token: int, death: Death | None) -> None:
    settings = config.load(path, {})
    cluster = settings.cluster.name
    database = Database(database_url, application=f"leader-{token}")
    stores = app.stores(database, cluster)
    term = Term(
        cluster=cluster,
        partition=0,
        number=0,
        token=token,
        origin="origin",
        member=f"leader-{token}",
        began_at=clock.now(),
        session_timeout=settings.cluster.session_timeout,
        elapsed=clock.elapsed,
        sent_at=clock.elapsed(),
    )
    rescuer.raise_fence(stores, term, _silent)
    connections = TermConnections(database, term, limit=4)
    publisher = Publisher()
    rescuer.take_over(stores, connections, term, Replica(None), publisher, _silent)
    (job,) = one_turn.claim(stores.queue, connections, term)
    if death is not None:
        _die(death, term)
    runner = Runner(
        stores=stores,
        connections=connections,
        publisher=publisher,
        make_connector=app.connector_maker(lambda: settings),
        upkeep=Upkeep(stores.tables, _silent),
        emit=_silent,
    )
    outcome = runner.run(Attempt(term, job))
    one_turn.finish(stores.queue, connections, term, job, outcome)


def _silent(_event: object) -> None:
    """Nobody listens."""


def _die(death: Death, term: Term) -> None:
    commit = Batches.commit
    check = Term.check
    pages = 0
    committing = False

    def watched(*arguments: Any, **options: Any) -> Any:
        nonlocal pages, committing
        pages += 1
        if pages == death.page and death.place == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        committing = pages == death.page and death.place == "inside"
        entered.clear()
        done = commit(*arguments, **options)
        if pages == death.page and death.place == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    entered: list[bool] = []

    def checked(found: Term) -> None:
        # The transaction asks the term once before its first statement and once before the fence and COMMIT.
        if committing and found is term:
            entered.append(True)
            if len(entered) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        check(found)

    Batches.commit = watched  # type: ignore[method-assign]
    Term.check = checked  # type: ignore[method-assign, assignment]
