"""The state machine from follower to leader and back, on one thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.coordination.base import Claim, Coordinator, CoordinatorEvent
from leaderjobs.engine.inbox import Inbox, Nudge
from leaderjobs.engine.publisher import Publisher
from leaderjobs.errors import CoordinatorUnavailable, LeadershipLost
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.member import LeaderInfo, Member
from leaderjobs.model.term import DEADLINE_PASSED, Term

CONNECT_TIMEOUT = timedelta(seconds=10)
FLUSH_EVERY = 0.25
"""Seconds that dirty markers may wait: the first one goes at once, later ones are gathered."""
LOOK_AGAIN = 1.0
"""Seconds after which a follower looks at the line again without having been told to."""
_RECONNECT = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=1))
_REST = Backoff(first=timedelta(milliseconds=500), most=timedelta(seconds=10))


class Services(Protocol):
    """What runs for one term; `engine.leader.Leader` is the one that counts."""

    @property
    def finished(self) -> bool:
        """Whether everything has ended, by draining or by failing."""

    @property
    def failure(self) -> str | None:
        """Why the services could not go on; None when they could."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know for as long as this term lasts."""

    def start(self) -> None:
        """Raise the fence and begin, on threads of their own."""

    def drain(self) -> None:
        """Claim nothing more and stop what runs at its next safe point; returns at once."""

    def close(self) -> None:
        """Cut everything off and wait, bounded, until it has ended."""


Begin = Callable[[Term, Callable[[], None]], Services]
"""Make the services of a term; the second argument is called when they finish."""


class Elector:
    """Runs the election of one partition for one member; `run` blocks until `stop`."""

    def __init__(
        self,
        *,
        coordinator: Coordinator,
        member: Member,
        cluster: str,
        partition: int,
        publisher: Publisher,
        begin: Begin,
        on_join: Callable[[], None],
        emit: Emit,
    ) -> None:
        """Nothing happens before `run`; `on_join` is called after every joining, also of a new session."""
        self._coordinator = coordinator
        self._member = member
        self._cluster = cluster
        self._partition = partition
        self._publisher = publisher
        self._begin = begin
        self._on_join = on_join
        self._emit = emit
        self._inbox = Inbox()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._left_over: Claim | None = None
        self._failed_starts = 0
        self._rest_until = 0.0
        self._flushed_at = 0.0
        coordinator.listen(self._inbox.put)
        publisher.on_dirty(lambda: self._inbox.put(Nudge.DIRTY))

    def stop(self, *, now: bool = False) -> None:
        """Drain and resign; with `now` without draining. Any thread, also a signal handler."""
        if now:
            self._hurry.set()
        self._stopping.set()
        self._inbox.put(Nudge.STOP)

    def run(self) -> None:
        """Take part until stopped; a ConfigError (a timeout that cannot be kept) ends it at once."""
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._take_part()
                    failures = 0
                except CoordinatorUnavailable as error:
                    failures += 1
                    self._emit(Event(EventKind.COORDINATOR_UNAVAILABLE, {"error": str(error)}))
                    self._inbox.wait(_RECONNECT.delay(failures).total_seconds())
        finally:
            self._coordinator.close()

    # -- following -----------------------------------------------------------------------------------------

    def _take_part(self) -> None:
        """Join and stand in line until the session is lost or the member stops."""
        self._coordinator.connect(CONNECT_TIMEOUT)
        self._inbox.wait(0)  # what the old session still had to say
        self._coordinator.join(self._member)
        self._on_join()
        self._emit(Event(EventKind.MEMBER_JOINED, {"member": self._member.id}))
        patience = self._coordinator.session_timeout.total_seconds()
        answered_at = clock.elapsed()
        told = False
        while not self._stopping.is_set():
            try:
                claim = self._try_to_claim(in_line=told)
                answered_at = clock.elapsed()
            except CoordinatorUnavailable:
                # The session may well live on: giving it up at once would cost our place in line.
                if clock.elapsed() - answered_at > patience:
                    raise
                claim = None
            if claim is not None:
                lost, told = self._lead(claim), False
            else:
                notices = self._inbox.wait(LOOK_AGAIN)
                lost, told = CoordinatorEvent.LOST in notices, CoordinatorEvent.CHANGED in notices
            if lost:
                self._emit(Event(EventKind.SESSION_LOST, {"member": self._member.id}))
                return
        self._coordinator.withdraw(self._partition)

    def _try_to_claim(self, *, in_line: bool) -> Claim | None:
        """Claim if it is our turn; `in_line` trusts that our candidate stands until the next look without it.

        A watch tells of somebody's death most often, and two reads less bring the next leader sooner.
        """
        if clock.elapsed() < self._rest_until:
            return None
        if self._left_over is not None:
            # A session that outlived its term still holds the old nodes: they must go before we line up anew.
            self._coordinator.resign(self._left_over)
            self._left_over = None
        if not in_line:
            self._coordinator.campaign(self._partition)
        if not self._coordinator.first_in_line(self._partition):
            return None
        return self._coordinator.claim(self._partition, self._info(None))

    # -- leading -------------------------------------------------------------------------------------------

    def _lead(self, claim: Claim) -> bool:
        """Heartbeat for as long as the term lasts; every way out of here ends the term for good.

        True when the session went with it.
        """
        term = Term(
            cluster=self._cluster,
            partition=self._partition,
            number=0,
            token=claim.token,
            origin=self._coordinator.origin(),
            member=self._member.id,
            began_at=clock.now(),
            session_timeout=self._coordinator.session_timeout,
            elapsed=clock.elapsed,
            sent_at=claim.sent_at,
        )
        services = self._begin(term, lambda: self._inbox.put(Nudge.SERVICES))
        services.start()
        self._left_over = claim
        try:
            return self._keep(claim, term, services)
        finally:
            term.end("the member stopped" if self._stopping.is_set() else "the leader resigned")
            self._give_up(claim, services)
            self._emit(
                Event(EventKind.TERM_ENDED, {"term": term.number, "token": term.token, "why": term.reason})
            )

    def _keep(self, claim: Claim, term: Term, services: Services) -> bool:
        last_beat = claim.sent_at
        draining = False
        while not term.is_over() and not services.finished and not self._hurry.is_set():
            if not draining and (self._stopping.is_set() or self._coordinator.resign_requested(claim)):
                draining = True
                services.drain()
                self._emit(Event(EventKind.TERM_DRAINING, {"term": term.number}))
            due = last_beat + term.beat_every
            if self._publisher.dirty:
                due = min(due, self._flushed_at + FLUSH_EVERY)
            notices = self._inbox.wait(due - clock.elapsed())
            if CoordinatorEvent.LOST in notices:
                term.end("the session with the coordinator was lost")
                return True
            if CoordinatorEvent.SUSPENDED in notices:
                term.paused = True
                self._emit(Event(EventKind.SESSION_SUSPENDED, {"term": term.number}))
            told = CoordinatorEvent.CHANGED in notices or CoordinatorEvent.RESUMED in notices
            if told or clock.elapsed() >= due:
                last_beat = clock.elapsed()
                self._beat(claim, term, services)
        if term.is_over():
            term.end(DEADLINE_PASSED)
        elif services.failure:
            term.end(services.failure)
        return False

    def _beat(self, claim: Claim, term: Term, services: Services) -> None:
        """One committed write that proves the claim; only its acknowledgement moves the deadline."""
        shards = self._publisher.take()
        try:
            sent_at = self._coordinator.heartbeat(claim, self._info(term, services.notes), shards)
        except LeadershipLost as error:
            term.end(str(error))
        except CoordinatorUnavailable:
            self._publisher.put_back(shards)
            self._flushed_at = clock.elapsed()  # else dirty markers would make this a loop without a pause
            term.paused = True
        else:
            if shards:
                self._flushed_at = clock.elapsed()
            term.extend(sent_at)
            if term.paused:
                term.paused = False
                self._emit(Event(EventKind.SESSION_RESUMED, {"term": term.number}))

    def _give_up(self, claim: Claim, services: Services) -> None:
        """End the services, then resign; a leader that could not even begin rests before it tries again."""
        if not services.finished:
            services.close()
        try:
            self._coordinator.resign(claim)
            self._left_over = None
        except (CoordinatorUnavailable, LeadershipLost):
            pass  # the nodes go with the session, or before we line up again
        services.close()
        if services.failure is None:
            self._failed_starts = 0
        else:
            self._failed_starts += 1
            self._rest_until = clock.elapsed() + _REST.delay(self._failed_starts).total_seconds()

    def _info(self, term: Term | None, notes: tuple[str, ...] = ()) -> LeaderInfo:
        return LeaderInfo(
            id=self._member.id,
            guid=self._member.guid,
            number=term.number if term else 0,
            since=self._member.since if term is None else term.began_at,
            heartbeat_at=clock.now(),
            trusted_for=max(0.0, term.trusted_until - clock.elapsed()) if term else 0.0,
            notes=notes,
        )
