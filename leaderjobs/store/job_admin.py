"""What a person does to jobs, one or many: find them, try them again, cancel and delete them.

Nothing here needs a term: a job that nobody runs is anybody's to change under its row's lock, and a job that
is running is only asked to end. Bulk changes go in bites of MOST_AT_ONCE, newest first, so that no lock is
held for long; what changed meanwhile is left alone and told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg import errors

from leaderjobs.errors import Refused
from leaderjobs.model.job import Job, JobState
from leaderjobs.store import queries
from leaderjobs.store.jobs import job_of
from leaderjobs.store.pool import LOCK_PATIENCE, SHORT_STATEMENT, Database, milliseconds, piped, rows_of
from leaderjobs.store.text import storable

MOST_AT_ONCE = 500
"""Jobs that one transaction changes."""
MOST_CHANGED = 100_000
"""Jobs that one call changes; it says when there are more."""
MOST_NAMED = 100
"""Jobs, and refusals, that a report names; the rest is counted."""
MOST_TRIES = 5
"""How often a bite is tried in which somebody else took a key meanwhile."""
PRUNED_AT_ONCE = 1000
RETRIABLE = (JobState.DISCARDED, JobState.CANCELLED)
CANCELLABLE = (JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE, JobState.RUNNING)
PRUNABLE = (JobState.COMPLETED, JobState.CANCELLED, JobState.DISCARDED)
_NEWEST = 2**63 - 1
_SQL = queries.load("job_admin")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; what is left out lets all through."""

    ids: tuple[int, ...] = ()
    states: tuple[JobState, ...] = ()
    target: str | None = None
    connection: str | None = None
    schedule: str | None = None
    since: datetime | None = None
    """Created at this instant or later; aware, as `until`."""
    until: datetime | None = None
    """Created before this instant."""
    error: str | None = None
    """Part of the last error, whatever its case."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A job that was asked for and left as it is."""

    job: int
    target: str
    """Empty when there is no such job."""
    reason: str


@dataclass(slots=True)
class Changed:
    """What became of the jobs that were asked for, or would become of them."""

    count: int = 0
    asked_to_end: int = 0
    """Of those, running jobs that were asked to end."""
    jobs: list[int] = field(default_factory=list)
    """The ids of the newest MOST_NAMED of them."""
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    """The first MOST_NAMED of those."""
    more: bool = False
    """MOST_CHANGED was reached: asking again goes on."""

    def take(self, job: int, *, running: bool = False) -> None:
        """Count a job that was changed."""
        self.count += 1
        self.asked_to_end += running
        if len(self.jobs) < MOST_NAMED:
            self.jobs.append(job)

    def refuse(self, job: int, target: str, reason: str) -> None:
        """Count a job that was left alone."""
        self.refused += 1
        if len(self.refusals) < MOST_NAMED:
            self.refusals.append(Refusal(job, target, reason))


class JobAdmin:
    """The jobs of one cluster, for people. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def find(self, wanted: JobFilter, limit: int) -> list[Job]:
        """The newest jobs that `wanted` lets through."""
        return self._page(wanted, _NEWEST, limit)

    def cancelled_by(self, job_id: int) -> str:
        """Who cancelled the job, or asked for it; empty when nobody did."""
        found = self._database.rows(_SQL["cancelled_by"], self._who(id=job_id))
        return str(found[0]["cancelled_by"]) if found else ""

    def retry(self, wanted: JobFilter, *, dry_run: bool = False) -> Changed:
        """Make discarded and cancelled syncs available again, with all attempts, and wake the leader.

        Left alone, and told: jobs in other states, jobs of operations, and all but the newest of those whose
        key another unfinished job has, or would have.
        """
        report, taken = Changed(), dict[str, int]()
        for jobs in self._bites(wanted, report):
            fine = [job for job in jobs if _retriable(job, report)]
            done = self._revive(fine, taken, dry_run=dry_run)
            for job in fine:
                if job.id in done:
                    report.take(job.id)
                else:
                    report.refuse(job.id, job.target, _why_not_again(job, taken))
        return report

    def cancel(self, wanted: JobFilter, who: str, *, dry_run: bool = False) -> Changed:
        """End syncs that wait, and ask those that run to end at the next page's end; `who` is kept with them.

        Left alone, and told: jobs that have ended, and jobs of operations.
        """
        report = Changed()
        for jobs in self._bites(wanted, report):
            fine = [job for job in jobs if _cancellable(job, report)]
            states = {job.id: job.state for job in fine} if dry_run else self._cancel(fine, who)
            for job in fine:
                state = states.get(job.id)
                if state is None:
                    report.refuse(job.id, job.target, "it has just ended")
                else:
                    report.take(job.id, running=state is JobState.RUNNING)
        return report

    def prune(
        self, states: Collection[JobState], older_than: timedelta, *, dry_run: bool = False
    ) -> dict[JobState, int]:
        """Delete jobs that ended longer ago, and what is known of their attempts; how many, by state."""
        asked = self._who(states=[state.value for state in states], age=older_than)
        counted: Counter[JobState] = Counter(dict.fromkeys(states, 0))
        if dry_run:
            found = self._database.rows(_SQL["prunable"], asked)
            counted.update({JobState(row["state"]): row["jobs"] for row in found})
            return dict(counted)
        after = 0
        while True:
            gone = self._database.rows(_SQL["prune_bite"], {**asked, "after": after, "most": PRUNED_AT_ONCE})
            if not gone:
                return dict(counted)
            counted.update({JobState(row["state"]): row["jobs"] for row in gone})
            after = max(row["last"] for row in gone)

    # -- one transaction each ------------------------------------------------------------------------------

    def _revive(self, jobs: Collection[Job], taken: dict[str, int], *, dry_run: bool) -> set[int]:
        """The ids that are available again; `taken` learns who holds the keys that were met."""
        for _ in range(MOST_TRIES):
            held = {**self._keys_held(jobs), **taken}
            free = list(_newest_of_key(jobs, held))
            done = {job.id for job in free} if dry_run else self._retry(free)
            if done is not None:
                taken.update(held)
                taken.update({job.key: job.id for job in free if job.key is not None and job.id in done})
                return done
        raise Refused("jobs with the same keys come and go too fast; try again")

    def _retry(self, jobs: Collection[Job]) -> set[int] | None:
        """The ids that are available again; None when somebody took a key meanwhile, and nothing happened."""
        if not jobs:
            return set()
        bounds = milliseconds(LOCK_PATIENCE, SHORT_STATEMENT)
        with self._database.session() as connection:
            try:
                with piped(connection, SHORT_STATEMENT, bounds):
                    cursor = connection.execute(_SQL["retry"], self._who(ids=[job.id for job in jobs]))
                    connection.execute(_SQL["rescan"], self._who())
            except errors.UniqueViolation:
                return None
            return {row["id"] for row in rows_of(cursor)}

    def _cancel(self, jobs: Collection[Job], who: str) -> dict[int, JobState]:
        """The states that the jobs are in now, of those that had not ended."""
        if not jobs:
            return {}
        asked = self._who(ids=[job.id for job in jobs], who=storable(who))
        with self._database.transaction() as connection:
            cursor = connection.execute(_SQL["cancel"], asked)
            connection.execute(_SQL["told_cancel"], asked)
        return {row["id"]: JobState(row["state"]) for row in rows_of(cursor)}

    def _keys_held(self, jobs: Collection[Job]) -> dict[str, int]:
        keys = [job.key for job in jobs if job.key is not None]
        if not keys:
            return {}
        return {row["key"]: row["id"] for row in self._database.rows(_SQL["keys_held"], self._who(keys=keys))}

    # -- finding -------------------------------------------------------------------------------------------

    def _bites(self, wanted: JobFilter, report: Changed) -> Iterator[list[Job]]:
        """What is wanted, newest first; ids that are not there are refused, and too many are cut off."""
        before, left, missing = _NEWEST, MOST_CHANGED, set(wanted.ids)
        while left:
            jobs = self._page(wanted, before, min(MOST_AT_ONCE, left))
            if not jobs:
                break
            yield jobs
            before = jobs[-1].id
            left -= len(jobs)
            missing -= {job.id for job in jobs}
        report.more = not left
        if not report.more:
            for job_id in sorted(missing):
                report.refuse(job_id, "", "there is no such job" + _among(wanted))

    def _page(self, wanted: JobFilter, before: int, limit: int) -> list[Job]:
        found = self._database.rows(
            _SQL["find"],
            self._who(
                before=before,
                limit=limit,
                ids=list(wanted.ids) or None,
                states=[state.value for state in wanted.states] or None,
                target=wanted.target,
                connection=wanted.connection,
                schedule=wanted.schedule,
                since=wanted.since,
                until=wanted.until,
                error=wanted.error,
            ),
        )
        return [job_of(row) for row in found]

    def _who(self, **more: object) -> dict[str, object]:
        return {"cluster": self._cluster, **more}


def _retriable(job: Job, report: Changed) -> bool:
    if job.effect is not None:
        report.refuse(
            job.id, job.target, f"it is an operation's: leaderjobs effects retry {str(job.effect)[:8]}"
        )
        return False
    if job.state not in RETRIABLE:
        report.refuse(
            job.id, job.target, f"it is {job.state}; only {' and '.join(RETRIABLE)} jobs are tried again"
        )
        return False
    return True


def _cancellable(job: Job, report: Changed) -> bool:
    if job.effect is not None:
        report.refuse(
            job.id, job.target, f"it is an operation's: leaderjobs effects cancel {str(job.effect)[:8]}"
        )
        return False
    if job.state not in CANCELLABLE:
        report.refuse(job.id, job.target, f"it is {job.state} already")
        return False
    return True


def _newest_of_key(jobs: Collection[Job], held: Mapping[str, int]) -> Iterator[Job]:
    """Jobs without a key, and of each key that nobody holds the first; `jobs` are newest first."""
    seen = set(held)
    for job in jobs:
        if job.key is None or job.key not in seen:
            yield job
        if job.key is not None:
            seen.add(job.key)


def _why_not_again(job: Job, taken: Mapping[str, int]) -> str:
    if job.key is None or job.key not in taken:
        return "somebody else has just changed it"
    return f"its key {job.key!r} is held by job {taken[job.key]}"


def _among(wanted: JobFilter) -> str:
    """What else was asked for, when ids alone do not say which jobs are meant."""
    return "" if wanted == JobFilter(ids=wanted.ids) else " among those that the filters let through"
