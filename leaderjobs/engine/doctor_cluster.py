"""What is assumed of the members together, judged: their clocks, and the connections they take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.coordination.base import PARTITION, Coordinator
from leaderjobs.engine.doctor import Check, failed, ok, skipped, warning
from leaderjobs.model.finding import Finding
from leaderjobs.model.member import LeaderInfo
from leaderjobs.model.term import LONGEST_BEAT
from leaderjobs.store.doctor import ClockSample, DatabaseLooks
from leaderjobs.store.pool import MOST_IDLE

MEMBERS = "cluster.members"
CONNECT_PATIENCE = timedelta(seconds=5)
MOST_APART = timedelta(seconds=2)
"""Between two clocks; due times are the database's, but tokens for providers are signed by a member's."""
LOOK_EVERY = 0.05
"""Seconds between two looks at the leader's heartbeat."""
BEATS = 3
"""So many heartbeats may pass before the leader counts as silent."""
LISTENING = 1
"""A member's connection for notifications."""
BESIDES = 8
"""A leader's connections besides those of its attempts: claiming, recording, and its services."""


@dataclass(frozen=True, slots=True)
class ClusterChecks:
    """The checks of one cluster; `coordinator` is connected by the first and used by one thread at a time."""

    coordinator: Coordinator
    looks: DatabaseLooks
    concurrency: int

    def checks(self, coordinator: str, database: str) -> list[Check]:
        """In the order they are shown; named are the checks that say whether the servers answer."""
        both = (coordinator, database)
        return [
            Check(MEMBERS, self._members, (coordinator,)),
            Check("cluster.clock", self._clock, (database,)),
            Check("cluster.leader_clock", self._leader_clock, (MEMBERS, *both)),
            # After the leader's: one thread at a time asks the coordinator.
            Check("cluster.connections", self._connections, ("cluster.leader_clock", *both)),
        ]

    def _members(self) -> Iterator[Finding]:
        self.coordinator.connect(CONNECT_PATIENCE)
        members, leader = self.coordinator.members(), self.coordinator.leader(PARTITION)
        versions = sorted({member.version for member in members})
        if leader is None:
            yield warning(
                MEMBERS,
                f"nobody leads; members: {len(members)}",
                "start members: leaderjobs run, on every machine",
            )
        elif len(versions) > 1:
            yield warning(
                MEMBERS,
                f"members run different versions: {', '.join(versions)}",
                "finish the upgrade: the same leaderjobs on every machine",
            )
        else:
            yield ok(MEMBERS, f"{leader.id} leads; members: {len(members)}")

    def _clock(self) -> Iterator[Finding]:
        yield _judged("cluster.clock", "this machine", self.looks.clock())

    def _leader_clock(self) -> Iterator[Finding]:
        """Where the leader's own clock stood when a heartbeat had just come, against the database's."""
        check, leader = "cluster.leader_clock", self.coordinator.leader(PARTITION)
        if leader is None:
            # Not skipped: what comes next needs no leader.
            yield ok(check, "nobody leads, so there is no clock to compare")
            return
        fresh = self._next_beat(leader)
        if fresh is None:
            silent = LONGEST_BEAT * BEATS
            yield warning(
                check,
                f"{leader.id} leads and has not been heard of for {silent:g} s",
                "see its log; if it is gone, another takes over when its session ends",
            )
            return
        sample = self.looks.clock()
        # The heartbeat is older than it looks by the time since it was sent: half a look, and the sampling.
        age = sample.now - fresh.heartbeat_at
        slack = timedelta(seconds=LOOK_EVERY) + sample.error * 4
        yield _judged(check, fresh.id, ClockSample(age - slack, slack, sample.now))

    def _next_beat(self, before: LeaderInfo) -> LeaderInfo | None:
        deadline = clock.elapsed() + LONGEST_BEAT * BEATS
        pause = threading.Event()
        while clock.elapsed() < deadline:
            found = self.coordinator.leader(PARTITION)
            if found is not None and found.heartbeat_at != before.heartbeat_at:
                return found
            pause.wait(LOOK_EVERY)
        return None

    def _connections(self) -> Iterator[Finding]:
        check, server = "cluster.connections", self.looks.server()
        if self.looks.pooling().between:
            yield skipped(check, "a pooler stands in between: its own limits count")
            return
        members = max(1, len(self.coordinator.members()))
        wanted = members * (MOST_IDLE + LISTENING) + self.concurrency + BESIDES
        limits = (server.most - server.reserved, server.most_of_role, server.most_of_database)
        most = min(limit for limit in limits if limit is not None)
        others = server.connected - server.ours
        told = f"members: {members}; they may want {wanted} connections of {most}; others take {others}"
        remedy = "raise max_connections (or the role's CONNECTION LIMIT), or lower cluster.concurrency"
        if wanted > most:
            yield failed(check, told, remedy)
        elif wanted + others > most:
            yield warning(check, told, remedy)
        else:
            yield ok(check, told)


def _judged(check: str, whose: str, sample: ClockSample) -> Finding:
    apart, error = sample.ahead.total_seconds(), sample.error.total_seconds()
    where = "behind" if apart > 0 else "ahead of"
    if abs(apart) - error > MOST_APART.total_seconds():
        return warning(
            check,
            f"the clock of {whose} is {abs(apart):.1f} s (±{error:.2f}) {where} the database's: a provider "
            "may refuse what it signs, and its log misleads",
            "let both follow one time source (chrony, systemd-timesyncd)",
        )
    return ok(check, f"the clock of {whose} is within {abs(apart) + error:.2f} s of the database's")
