"""Three ZooKeeper servers: one dies, the majority goes and comes back, and one is cut off from the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from leaderjobs.demo.rig import Plan
from leaderjobs.model.effect import EffectState
from tests.cluster.checks import ALWAYS, judge
from tests.cluster.checks_effects import check_jobs_of_effects, check_settled
from tests.cluster.feeding import collect, open_invoices, settled
from tests.cluster.field import Field, Terrain
from tests.cluster.history import committed
from tests.cluster.working import ask, leading, newest_member, state
from tests.support import eventually

T = timedelta(seconds=2)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    terrain = Terrain(Plan(session_timeout=T, transactions=100), zookeeper=3, invoices=40)
    with Field(tmp_path_factory.mktemp("field"), terrain) as field:
        yield field


def pays(field: Field, patience: float = 20) -> None:
    """An invoice is paid, whoever leads by now, and the whole history holds."""
    effect = ask(field, open_invoices(field)[0])
    eventually(lambda: state(field, effect) is EffectState.SUCCEEDED, patience, "the invoice to be paid")
    eventually(lambda: settled(field), patience, "all jobs to rest")
    collect(field)
    judge(field.history.entries(), (*ALWAYS, check_settled, check_jobs_of_effects))


def ended_within(field: Field, began: float, seconds: float) -> None:
    """The first term's last write came no later than so many seconds after that."""
    last = max(entry.at for entry in committed(field.audit.entries(field.cluster)) if entry.term == 1)
    assert last - began < seconds, "it went on beyond what it may believe"


def test_a_cluster_survives_the_death_of_the_server_that_leads_the_others(field: Field) -> None:
    field.begin("server-killed")
    leading(field, "a")
    field.start_member("b")
    with field.ensemble.down(field.ensemble.index_of("leader")):
        pays(field)


def test_a_leader_without_a_quorum_steps_down_and_somebody_leads_when_it_is_back(field: Field) -> None:
    field.begin("quorum-lost")
    leading(field, "a")
    field.start_member("b")
    with field.ensemble.down(0, 1):
        began = field.audit.now()
        eventually(lambda: "term_ended" in field.logs("a"), 60, "the leader to step down")
        effect = ask(field, open_invoices(field)[0])
        ended_within(field, began, T.total_seconds())
        assert state(field, effect) is None
    pays(field)


def test_a_leader_on_a_server_that_is_cut_off_from_the_others_steps_down_in_time(field: Field) -> None:
    """Such a server still answers pings and reads, and its clients may not know for a while."""
    field.begin("server-cut-off")
    cut_off = field.ensemble.index_of("follower")
    for index, link in enumerate(field.links["a"].zookeeper):
        if index != cut_off:
            link.refuse()
    leading(field, "a")
    field.start_member("b")
    field.links["b"].zookeeper[cut_off].refuse()
    with field.ensemble.isolated(cut_off):
        began = field.audit.now()
        eventually(lambda: newest_member(field) == "b", 60, "the other member to lead")
        ended_within(field, began, T.total_seconds())
        pays(field)
