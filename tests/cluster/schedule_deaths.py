"""A leader that fires schedules, as a process that dies by SIGKILL; imported by the process that is forked.

before   the fire time is due and its job is made up, nothing of it has been sent to Postgres
inside   the decision is sent, the fence is not asked yet and COMMIT has not been sent
after    the decision is committed, and nobody has been told
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from leaderjobs import app, clock
from leaderjobs.cron import Expression
from leaderjobs.engine import scheduler
from leaderjobs.engine.firing import Configured, Wishes
from leaderjobs.engine.planner import Planner
from leaderjobs.engine.scheduler import Scheduler
from leaderjobs.model.job import NewJob
from leaderjobs.model.schedule import ScheduleSpec
from leaderjobs.model.term import Term
from leaderjobs.store import schedules
from leaderjobs.store.pool import Database, TermConnections
from leaderjobs.store.schedules import Schedules
from tests.support import eventually

PLACES = ("before", "inside", "after")
PATIENCE = 60.0
FIRES_AT_ONCE = 2
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.cluster.schedule_deaths"])


@dataclass(frozen=True)
class Death:
    """Where a leader dies."""

    place: str
    decision: int
    """The n-th decision of its life, from 1."""


@dataclass(frozen=True)
class Lead:
    """What a leader is told at its birth."""

    url: str
    cluster: str
    token: int
    specs: tuple[ScheduleSpec, ...]
    until: datetime
    """It ends once all of it is decided up to here, if it has not died."""


def lead(told: Lead, death: Death | None = None) -> int:
    """Run one leader until it has died or everything is decided; its exit code."""
    process = _FORKS.Process(target=_lead, args=(told, death), daemon=True)
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"the leader neither ended nor died within {PATIENCE} s")
    return process.exitcode


def _lead(told: Lead, death: Death | None) -> None:
    scheduler.MOST_AT_ONCE = FIRES_AT_ONCE
    # Nobody runs the jobs: all of them wait.
    schedules.MOST_QUEUED = 100_000
    configured = Configured(
        {spec.name: spec for spec in told.specs}, {"sync": NewJob("sync", "household", ("transactions",))}
    )
    with closing(Database(told.url, application=f"leader-{told.token}")) as database:
        stores = app.stores(database, told.cluster)
        number = stores.terms.raise_fence(0, told.token, "origin", f"leader-{told.token}")
        term = Term(
            cluster=told.cluster,
            partition=0,
            number=number,
            token=told.token,
            origin="origin",
            member=f"leader-{told.token}",
            began_at=clock.now(),
            session_timeout=timedelta(seconds=60),
            elapsed=clock.elapsed,
            sent_at=clock.elapsed(),
        )
        connections = TermConnections(database, term, limit=2)
        made = Scheduler(
            term=term,
            connections=connections,
            schedules=stores.schedules,
            wishes=Wishes(lambda: configured, Planner(stores.effects, _no_connector)),
            current=lambda: configured,
            subscribe=(),
            emit=lambda _event: None,
        )
        if death is not None:
            _die(death, term)
            made.run()
            return
        thread = threading.Thread(target=made.run)
        thread.start()
        eventually(lambda: _done(stores.schedules, told), PATIENCE)
        made.stop()
        thread.join()
        connections.close()


def _done(stored: Schedules, told: Lead) -> bool:
    """Whether no fire time up to `until` is left to decide."""
    found = stored.all()
    return len(found) == len(told.specs) and all(
        next(Expression.of(each.spec, told.cluster).after(each.decided_until, told.until), None) is None
        for each in found
    )


def _no_connector(name: str) -> Any:
    raise AssertionError(f"nobody asks for {name}")


def _die(death: Death, term: Term) -> None:
    decide: Callable[..., Any] = Schedules.decide
    check = Term.check
    decisions = 0
    checks = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal decisions, checks
        decisions += 1
        checks = 0
        if decisions == death.decision and death.place == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = decide(*arguments, **options)
        if decisions == death.decision and death.place == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def checked(found: Term) -> None:
        # The transaction asks the term once before its first statement and once before the fence and COMMIT.
        nonlocal checks
        checks += 1
        if found is term and death.place == "inside" and decisions == death.decision and checks == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        check(found)

    Schedules.decide = dying  # type: ignore[method-assign]
    Term.check = checked  # type: ignore[method-assign, assignment]
