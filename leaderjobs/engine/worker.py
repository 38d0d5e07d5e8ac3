"""One member: stands in the election, follows, and leads when its turn comes."""

from __future__ import annotations

from collections.abc import Callable

from leaderjobs.coordination.base import PARTITION, Coordinator
from leaderjobs.engine.elector import Elector
from leaderjobs.engine.follower import Follower
from leaderjobs.engine.leader import Leader, Parts
from leaderjobs.engine.publisher import Publisher
from leaderjobs.model.member import Member
from leaderjobs.model.term import Term


class Worker:
    """Puts the parts of a member together; `run` blocks until `stop`."""

    def __init__(self, *, member: Member, cluster: str, coordinator: Coordinator, parts: Parts) -> None:
        """Nothing happens before `run`; the caller owns the coordinator and the stores."""
        publisher = Publisher()
        replica = self.replica = parts.replica
        emit = parts.emit

        def begin(term: Term, on_finished: Callable[[], None]) -> Leader:
            return Leader(term, parts, publisher, on_finished)

        self._follower = Follower(coordinator, PARTITION, replica, emit)
        self._elector = Elector(
            coordinator=coordinator,
            member=member,
            cluster=cluster,
            partition=PARTITION,
            publisher=publisher,
            begin=begin,
            on_join=self._follower.joined,
            emit=emit,
        )

    def run(self) -> None:
        """Take part until stopped; returns after the last fenced write and the resignation."""
        try:
            self._elector.run()
        finally:
            self._follower.stop()

    def stop(self, *, now: bool = False) -> None:
        """Drain, resign, return from `run`; `now` skips the draining. Any thread."""
        self._elector.stop(now=now)
