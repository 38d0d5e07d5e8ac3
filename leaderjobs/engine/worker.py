"""One member: stands in the election, follows, and leads when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from leaderjobs.coordination.base import PARTITION, Coordinator
from leaderjobs.engine.elector import Elector
from leaderjobs.engine.follower import Follower
from leaderjobs.engine.leader import Leader, MakeBeside
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.replica import Replica
from leaderjobs.engine.runner import MakeConnector
from leaderjobs.engine.stores import Stores
from leaderjobs.engine.upkeep import Upkeep
from leaderjobs.model.event import Emit
from leaderjobs.model.member import Member
from leaderjobs.model.term import Term
from leaderjobs.store.jobs import Waker


class Worker:
    """Puts the parts of a member together; `run` blocks until `stop`."""

    def __init__(
        self,
        *,
        member: Member,
        cluster: str,
        coordinator: Coordinator,
        stores: Stores,
        replica: Replica,
        make_connector: MakeConnector,
        prepare: Callable[[], None],
        upkeep: Upkeep,
        beside: Sequence[MakeBeside],
        waker: Waker,
        concurrency: int,
        drain_timeout: timedelta,
        emit: Emit,
    ) -> None:
        """Nothing happens before `run`; the caller owns the coordinator and the stores."""
        publisher = Publisher()
        self.replica = replica

        def begin(term: Term, on_finished: Callable[[], None]) -> Leader:
            return Leader(
                term=term,
                stores=stores,
                replica=replica,
                publisher=publisher,
                make_connector=make_connector,
                prepare=prepare,
                upkeep=upkeep,
                beside=beside,
                waker=waker,
                concurrency=concurrency,
                drain_timeout=drain_timeout,
                emit=emit,
                on_finished=on_finished,
            )

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
