"""Leaders that die at the worst of moments, one or two in turn: one payment each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from leaderjobs.demo.rig import Plan
from leaderjobs.model.effect import EffectState
from tests.cluster.checks import ALWAYS, judge
from tests.cluster.checks_effects import check_jobs_of_effects, check_settled
from tests.cluster.feeding import collect, open_invoices, settled
from tests.cluster.field import MEMBERS, Field, Terrain
from tests.cluster.points import Do
from tests.cluster.working import ask, payments, restart_the_dead, state
from tests.support import eventually

ONE = (
    "before_stamp",
    "after_stamp",
    "after_send",
    "after_answer",
    "before_record",
    "before_settle",
    "after_settle",
)
TWO = ("before_stamp", "after_stamp", "after_send", "after_answer", "before_record")
QUICK = ("after_stamp", "after_send")
STALE = ("after_send", "after_answer", "before_record")
"""The first send has acted: the second leader only sends again where the look-up does not show it yet."""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    plan = Plan(session_timeout=timedelta(milliseconds=1200), transactions=100)
    terrain = Terrain(plan, tick=timedelta(milliseconds=250), invoices=40)
    with Field(tmp_path_factory.mktemp("field"), terrain) as field:
        for name in MEMBERS:
            field.start_member(name)
        yield field


@pytest.mark.parametrize(
    ("place", "leaders"),
    [
        *((place, 1) for place in ONE),
        *((place, 2) for place in TWO if place in QUICK),
        *(pytest.param(place, 2, marks=pytest.mark.soak) for place in TWO if place not in QUICK),
    ],
)
def test_leaders_killed_there_in_turn_pay_once(field: Field, place: str, leaders: int) -> None:
    restart_the_dead(field)
    field.stripe.change(read_lag_ms=5_000 if leaders == 2 and place in STALE else 0)
    invoice = open_invoices(field)[0]
    field.tokens.clear()
    field.tokens.lay(place, Do.KILL, leaders)

    effect = ask(field, invoice)

    eventually(lambda: len(set(field.tokens.taken(place))) == leaders, 60, "leaders to come to this place")
    eventually(partial(state, field, effect), 60, "the effect to be settled")
    assert state(field, effect) is EffectState.SUCCEEDED
    assert payments(field, invoice) == 1


def test_the_whole_history_holds(field: Field) -> None:
    restart_the_dead(field)
    eventually(partial(settled, field), 60, "everything to be settled")
    collect(field)
    judge(field.history.entries(), (*ALWAYS, check_settled, check_jobs_of_effects))
