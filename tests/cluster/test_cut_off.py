"""The leader alone is cut off from one of its servers, by a proxy that swallows everything."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from leaderjobs.demo.rig import Plan
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.history import What
from tests.cluster.watching import (
    assert_completed,
    flowing,
    newest_term,
    other_config,
    pages,
)
from tests.support import eventually
from tests.support_proxy import TcpProxy

PLAN = Plan(
    session_timeout=timedelta(seconds=2),
    transactions=20_000,
    page_size=100,
    latency=timedelta(milliseconds=30),
)
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def test_a_leader_cut_off_from_zookeeper_is_replaced_and_commits_nothing_more(start: Start) -> None:
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    with TcpProxy("127.0.0.1", rig.zookeeper.port) as proxy:
        config = other_config(rig, "proxied.toml", coordinator=f'"zookeeper://{proxy.address}/leaderjobs"')
        rig.start_worker("a", config)
        assert eventually(rig.leader, 60, "a first leader") == "a"
        rig.start_worker("b")
        eventually(lambda: len(rig.session.members()) == 2, 60, "both members")
        job = rig.enqueue()
        flowing(rig)
        term = newest_term(rig)

        proxy.black_hole()
        cut_at = audit.now()
        eventually(lambda: newest_term(rig) > term, 60, "a page of the next term")

        last_of_a = max(
            entry.at for entry in audit.entries() if entry.what is What.BATCH and entry.term == term
        )
        assert last_of_a - cut_at < PLAN.session_timeout.total_seconds(), (
            "it went on beyond what it may believe"
        )
        proxy.restore()
        eventually(lambda: len(rig.session.members()) == 2, 30, "the cut-off member to be back")
        assert_completed(rig, job)
        audit.check()


def test_a_leader_cut_off_from_postgres_resigns_and_another_goes_on(start: Start) -> None:
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    with TcpProxy("127.0.0.1", rig.postgres.port) as proxy:
        there = urlsplit(rig.postgres.url)
        through = there._replace(netloc=f"{there.username}:{there.password}@{proxy.address}").geturl()
        rig.start_worker("a", other_config(rig, "proxied.toml", database=f'"{through}"'))
        assert eventually(rig.leader, 60, "a first leader") == "a"
        rig.start_worker("b")
        eventually(lambda: len(rig.session.members()) == 2, 60, "both members")
        job = rig.enqueue()
        flowing(rig)
        term, held = newest_term(rig), pages(rig)

        proxy.black_hole()
        eventually(lambda: newest_term(rig) > term, 60, "a page of the next term")
        assert rig.leader() == "b"
        assert pages(rig) > held

        proxy.restore()
        assert_completed(rig, job)
        audit.check()
