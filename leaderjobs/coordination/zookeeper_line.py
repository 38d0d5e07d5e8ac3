"""A member's place in line: its candidate nodes, and whom it waits for.

One object per session: what is known here ends with the session, so a place from before can never be
mistaken for one of now. Every answer is read afresh; the watches only say when to ask again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from leaderjobs.coordination.paths import Paths, candidate_prefix, guid_of, in_line
from leaderjobs.coordination.zookeeper_session import NodeGone, Session
from leaderjobs.errors import CoordinatorUnavailable

MOST_LOOKS: Final = 8
"""Each look but the last finds that the predecessor has gone since the line was read."""


class Line:
    """The candidates of one session."""

    def __init__(self, session: Session, paths: Paths, guid: str, on_change: Callable[[Any], None]) -> None:
        """`on_change` is the one watch callback of the session.

        kazoo keeps callbacks in a set per node, so with one object arming twice is arming once.
        """
        self._session = session
        self._paths = paths
        self._guid = guid
        self._on_change = on_change
        self._places: dict[int, str] = {}

    def place(self, partition: int) -> str | None:
        """The name of the own candidate, as last seen."""
        return self._places.get(partition)

    def find(self, partition: int) -> bool:
        """Look for an own candidate, also one whose creation was never acknowledged."""
        mine = self._mine(partition)
        if mine:
            self._places[partition] = mine[0]
        else:
            self._places.pop(partition, None)
        return bool(mine)

    def stand(self, partition: int) -> None:
        """Make a candidate; NodeGone when there is no line to stand in yet."""
        prefix = self._paths.candidate(partition, candidate_prefix(self._guid))
        made = self._session.create(prefix, ephemeral=True, sequence=True)
        self._places[partition] = made.rpartition("/")[2]

    def forget(self, partition: int) -> None:
        """The own candidate is gone."""
        self._places.pop(partition, None)

    def leave(self, partition: int) -> None:
        """Remove every own candidate."""
        self._places.pop(partition, None)
        for name in self._mine(partition):
            with contextlib.suppress(NodeGone):
                self._session.delete(self._paths.candidate(partition, name))

    def _mine(self, partition: int) -> list[str]:
        """By guid AND session, oldest first: what an earlier session of ours left behind is not ours."""
        try:
            line = in_line(self._session.children(self._paths.candidates(partition)))
        except NodeGone:
            return []
        mine = []
        for name in line:
            if guid_of(name) == self._guid:
                stat = self._session.exists(self._paths.candidate(partition, name))
                if stat is not None and stat.owner == self._session.id:
                    mine.append(name)
        return mine

    def may_claim(self, partition: int) -> bool:
        """Whether nobody stands before us and nobody else's leader node is left; arms the watches."""
        for _ in range(MOST_LOOKS):
            place = self._places.get(partition)
            if place is None:
                return False
            own = self._paths.candidate(partition, place)
            if self._session.exists(own, self._on_change) is None:
                self._places.pop(partition, None)
                return False
            line = in_line(self._session.children(self._paths.candidates(partition)))
            at = line.index(place) if place in line else 0
            if at == 0:
                return self._no_leader(partition)
            # `get`, not `exists`: where the node is gone already it leaves no watch behind.
            with contextlib.suppress(NodeGone):
                self._session.get(self._paths.candidate(partition, line[at - 1]), self._on_change)
                return False
        raise CoordinatorUnavailable("the line moves faster than it can be read; ask again")

    def _no_leader(self, partition: int) -> bool:
        try:
            _, stat = self._session.get(self._paths.leader(partition), self._on_change)
        except NodeGone:
            return True
        # One of this very session is left of a term that has ended: the claim takes its place.
        return stat.owner == self._session.id
