"""What `leaderjobs doctor` says of the members together: their clocks, and the connections they may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from leaderjobs import clock
from leaderjobs.coordination.memory import MemoryCoordinator
from leaderjobs.coordination.memory_server import MemoryServer
from leaderjobs.engine.doctor_cluster import ClusterChecks
from leaderjobs.model.member import LeaderInfo
from leaderjobs.store.doctor import DatabaseLooks
from leaderjobs.store.pool import Database

SESSION = timedelta(seconds=15)


@contextmanager
def beating(server: MemoryServer, ahead: timedelta) -> Iterator[None]:
    """A leader whose clock is ahead, for as long as the block lasts."""
    leader = MemoryCoordinator(server, "acme", "leader", SESSION)
    at = clock.now() + ahead
    info = LeaderInfo("a", "leader", 1, at, at, 10.0)
    leader.listen(lambda _event: None)
    leader.connect(SESSION)
    leader.campaign(0)
    claim = leader.claim(0, info)
    assert claim is not None
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.2):
            leader.heartbeat(claim, replace(info, heartbeat_at=clock.now() + ahead), {})

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        leader.close()


@pytest.mark.parametrize(
    ("ahead", "verdict", "said"),
    [
        (0.0, "ok", "the clock of a is within"),
        (30.0, "warning", "ahead of the database's"),
        (-30.0, "warning", "behind"),
    ],
)
def test_a_leader_s_clock_is_compared_right_after_a_heartbeat(
    database_url: str, ahead: float, verdict: str, said: str
) -> None:
    server = MemoryServer(SESSION)
    with (
        closing(Database(database_url, application="test")) as database,
        beating(server, timedelta(seconds=ahead)),
    ):
        session = MemoryCoordinator(server, "acme", "doctor", SESSION)
        session.listen(lambda _event: None)
        made = ClusterChecks(session, DatabaseLooks(database), 8).checks("coordinator", "database")
        findings = [finding for check in made for finding in check.look()]
        session.close()
    by_name = {each.check: each for each in findings}
    assert by_name["cluster.leader_clock"].verdict.value == verdict
    assert said in by_name["cluster.leader_clock"].message
    assert by_name["cluster.clock"].verdict.value == "ok"
    assert by_name["cluster.connections"].verdict.value == "ok"


def test_more_connections_than_there_are_is_a_failure(database_url: str) -> None:
    server = MemoryServer(SESSION)
    with closing(Database(database_url, application="test")) as database:
        session = MemoryCoordinator(server, "acme", "doctor", SESSION)
        session.listen(lambda _event: None)
        session.connect(SESSION)
        made = ClusterChecks(session, DatabaseLooks(database), 256).checks("coordinator", "database")
        (found,) = made[-1].look()
        session.close()
    assert (found.verdict.value, "max_connections" in found.remedy) == ("failed", True)
