"""The queue by hand: what its leader does in a loop, one step at a time."""

from __future__ import annotations

from collections.abc import Collection

from leaderjobs import clock
from leaderjobs.engine.ahead import Ahead
from leaderjobs.engine.limiter import Limiter, Limits
from leaderjobs.model.job import Job, JobState, Outcome
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections
from leaderjobs.store.queue import Finished, Queue, job_of

ENOUGH = 1_000


def claim(
    queue: Queue, connections: TermConnections, term: Term, limit: int = 1, busy: Collection[str] = ()
) -> list[Job]:
    """Start due jobs as an idle leader would, the most urgent first; no sync of a busy connection."""
    limiter = Limiter(Limits(ENOUGH), clock.elapsed)
    ahead = Ahead(limiter.line_up)
    limiter.set_holds(queue.holds())
    ahead.found(queue.strands(ENOUGH), clock.elapsed())
    asked = ahead.readings()
    ahead.came(asked, queue.read(asked.readings, asked.each) if asked.readings else (), clock.elapsed())
    wanted: list[int] = []
    while len(wanted) < limit and (strand := limiter.next()) is not None:
        _, job = ahead.taken(strand)
        limiter.line_up(strand)
        if strand.operations or strand.connection not in busy:
            wanted.append(job)
    claimed = {row[0]: job_of(row) for row in queue.turn(connections, term, wanted=wanted).claimed}
    return [claimed[job] for job in wanted if job in claimed]


def finish(
    queue: Queue,
    connections: TermConnections,
    term: Term,
    job: Job,
    outcome: Outcome,
    mended: Collection[str] = (),
) -> JobState:
    """Record how an attempt ended; the state that the job is in afterwards."""
    ended = queue.turn(
        connections,
        term,
        [finished(job, outcome)],
        mended=mended,
    ).ended
    return ended[job.id].state


def finished(job: Job, outcome: Outcome) -> Finished:
    """An attempt that is over, as far as its end is concerned."""
    return Finished((job.id, job.attempt, job.connection, job.effect), outcome)
