"""A rig that is kept busy, and the exact instants at which its pages were committed.

The instants come from a deferred trigger in the database: it fires inside COMMIT, so nothing of the page
is left to be done but to make it durable, and it reads the same machine's clock as this process does.
What the members say of themselves is never asked.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import psycopg

from leaderjobs import clock
from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.model.job import Job

LOOK_EVERY = 0.02
PATIENCE = 60.0
T = TypeVar("T")

_DDL = """
CREATE SCHEMA bench;
CREATE TABLE bench.commits (
    id bigint GENERATED ALWAYS AS IDENTITY, stream text, sequence bigint, term bigint, at timestamptz
);
CREATE FUNCTION bench.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO bench.commits (stream, sequence, term, at)
    VALUES (NEW.stream, NEW.sequence, NEW.term, clock_timestamp());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bench AFTER INSERT OR UPDATE ON leaderjobs.markers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bench.note();
"""


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """The first true answer of `look`; RuntimeError when it does not come."""
    end = clock.elapsed() + patience
    pause = threading.Event()
    while clock.elapsed() < end:
        answer = look()
        if answer:
            return answer
        pause.wait(LOOK_EVERY)
    raise RuntimeError(f"waited {patience:g} s in vain for {what}")


def peak_mib(pid: int) -> float:
    """The largest resident size that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


@contextmanager
def started(plan: Plan, *workers: str, before: Callable[[Rig], None] | None = None) -> Iterator[Rig]:
    """A rig in a temporary directory with these workers in it, one of which leads.

    `before` may change the rig before anything is started.
    """
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderjobs-bench-"))
        rig = Rig(Path(directory), plan)
        if before is not None:
            before(rig)
        stack.enter_context(rig)
        for name in workers:
            rig.start_worker(name)
        if workers:
            until(lambda: len(rig.session.members()) == len(workers), "the members")
            until(rig.leader, "a leader")
        yield rig


class Commit(NamedTuple):
    """One committed page."""

    sequence: int
    term: int
    at: datetime


class Commits:
    """The pages of the stream `transactions`, as the database saw them committed."""

    def __init__(self, url: str) -> None:
        """Install the trigger; the schema must be there."""
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_DDL)

    def __enter__(self) -> Self:
        """Nothing more happens."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def last(self) -> Commit | None:
        """The newest one."""
        found = self._select("ORDER BY id DESC LIMIT 1")
        return found[0] if found else None

    def first_after(self, term: int) -> Commit | None:
        """The first one of a later term."""
        found = self._select("AND term > %s ORDER BY id LIMIT 1", term)
        return found[0] if found else None

    def after(self, sequence: int) -> list[Commit]:
        """All with a higher sequence."""
        return self._select("AND sequence > %s ORDER BY id", sequence)

    def _select(self, which: str, *parameters: object) -> list[Commit]:
        query = f"SELECT sequence, term, at FROM bench.commits WHERE stream = 'transactions' {which}"
        return [Commit(*row) for row in self._connection.execute(query.encode(), parameters or None)]


class Flow:
    """Keeps pages coming: a sync that is nearly through is followed by one over new transactions."""

    def __init__(self, rig: Rig, commits: Commits, spare_pages: int) -> None:
        """Enqueue the first sync; `spare_pages` are always left when `ensure` returns."""
        self._rig = rig
        self._commits = commits
        self._spare = spare_pages
        self._expected = rig.plan.transactions // rig.plan.page_size
        self._job = rig.enqueue()

    def ensure(self, more: int = 5) -> Commit:
        """Wait until enough pages are left and `more` further ones are committed; the newest of those."""
        if self._expected - self._now().progress.pages < self._spare:
            until(lambda: self._now().state.final, "the sync to end")
            self._rig.provider.change(add=self._rig.plan.transactions)
            self._job = self._rig.enqueue()
        before = self._commits.last()
        goal = (before.sequence if before else 0) + more

        def reached() -> Commit | None:
            last = self._commits.last()
            return last if last is not None and last.sequence >= goal else None

        return until(reached, f"{more} more pages")

    def _now(self) -> Job:
        return self._rig.stores.jobs.get(self._job.id)
