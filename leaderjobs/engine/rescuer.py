"""What a new leader does before anything else: raise the fence, check the replica, take over the jobs."""

from __future__ import annotations

from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.replica import Replica
from leaderjobs.engine.stores import Stores
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.term import Term
from leaderjobs.store.pool import TermConnections


def raise_fence(stores: Stores, term: Term, emit: Emit) -> None:
    """Make this term the one whose writes count; nothing of the term may run before.

    FencedOut when a newer term leads, UnknownOrigin when the coordinator's data is not the known one.
    """
    term.number = stores.terms.raise_fence(term.partition, term.token, term.origin, term.member)
    emit(Event(EventKind.TERM_BEGAN, {"term": term.number, "token": term.token, "member": term.member}))


def take_over(
    stores: Stores,
    connections: TermConnections,
    term: Term,
    replica: Replica,
    publisher: Publisher,
    emit: Emit,
) -> tuple[str, ...]:
    """Return every running job of older terms to the queue and publish the markers; the notes for people.

    Running rows of older terms are dead by definition: the fence was raised first, so no age guess is
    needed (I6). The replica is compared with the database in one query (I4); the database's cursor is
    the one that work goes on from, so lost pages are pulled again.
    """
    rescued = stores.jobs.rescue(connections, term)
    if rescued:
        emit(Event(EventKind.JOBS_RESCUED, {"term": term.number, "jobs": rescued}))
    markers = stores.markers.all()
    lost = replica.ahead_of(markers)
    publisher.begin(term, markers)
    for copy, sequence in lost:
        facts = {
            "connection": copy.connection,
            "stream": copy.stream,
            "replica": copy.sequence,
            "database": sequence,
        }
        emit(Event(EventKind.REPLICA_AHEAD, facts))
    return tuple(
        f"the database has lost commits: {copy.connection}.{copy.stream} was at sequence {copy.sequence}, "
        f"the database holds {sequence}; it is pulled again from there"
        for copy, sequence in lost[:10]
    )
