"""Each guard is needed: with all of them these stories end well, without one of them a judge says no."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from leaderjobs.demo.rig import Plan
from tests.cluster import scenarios
from tests.cluster.checks import ALWAYS, judge, violations
from tests.cluster.checks_effects import check_jobs_of_effects, check_settled
from tests.cluster.feeding import collect, settled
from tests.cluster.field import Field, Terrain
from tests.cluster.mutations import MUTATIONS
from tests.cluster.scenarios import Scenario
from tests.support import eventually

CHECKS = (*ALWAYS, check_settled, check_jobs_of_effects)
# The three kinds of orders are in test_provider_kinds.py.
STORIES: tuple[Scenario, ...] = (
    scenarios.a_payment_that_is_sent_again,
    scenarios.an_order_a_day_later,
    scenarios.a_payment_a_day_later,
    scenarios.a_leader_whose_wall_clock_jumps,
    scenarios.an_answer_that_a_deposed_leader_brings,
    scenarios.a_leader_stopped_before_a_commit,
    scenarios.a_leader_stopped_before_a_send,
    scenarios.a_leader_frozen_before_a_send,
    scenarios.an_operation_that_tries_again_by_itself,
    scenarios.a_leader_deposed_before_a_send,
    scenarios.a_no_that_belongs_to_another_send,
    scenarios.a_leader_killed_at_work,
)
# The guard that is missing, the story that needs it, and what a judge then says.
WITHOUT: tuple[tuple[str, Scenario, str], ...] = (
    ("stamp_skipped", scenarios.a_payment_that_is_sent_again, "I2: send 1 left without a stamp"),
    ("stamp_after_send", scenarios.a_payment_that_is_sent_again, "I2: send 1 left .* before its stamp"),
    ("fresh_key_per_send", scenarios.an_order_that_is_sent_again, "I2: again .* took effect 2 times"),
    ("window_ignored", scenarios.an_order_a_day_later, "I2: yesterday .* took effect 2 times"),
    ("look_up_ignored", scenarios.an_order_that_only_a_look_up_shows, "I2: .* and a look-up shows that"),
    ("lag_ignored", scenarios.an_order_that_shows_late, "I2: late .* took effect 2 times"),
    (
        "evidence_of_deposed_refused",
        scenarios.an_answer_that_a_deposed_leader_brings,
        "I2: .* it was answered",
    ),
    (
        "fence_ignored",
        scenarios.a_leader_stopped_before_a_commit,
        "I1: stamp of term 1 was committed in term 2",
    ),
    (
        "deadline_ignored",
        scenarios.a_leader_stopped_before_a_send,
        "I1: term 1 sent .* after term 2 had begun",
    ),
    (
        "ledger_not_asked",
        scenarios.a_leader_frozen_before_a_send,
        "I1: term 1 sent .* after term 2 had begun",
    ),
    (
        "second_request_let_out",
        scenarios.an_operation_that_tries_again_by_itself,
        "I2: one stamp let two requests out",
    ),
    ("guard_removed", scenarios.a_leader_deposed_before_a_send, "I1: term 1 sent .* after term 2 had begun"),
    (
        "unreplayed_decline_believed",
        scenarios.a_no_that_belongs_to_another_send,
        "I2: .* is failed, and has happened",
    ),
    (
        "rescue_skipped",
        scenarios.a_leader_killed_at_work,
        "I6: term 2 began to work while job .* was left running",
    ),
    ("attempt_spent", scenarios.a_leader_killed_at_work, "I7: job .* is available with attempt 1"),
)
# One for each judge; the others are left to a soak.
QUICK = {"stamp_skipped", "look_up_ignored", "fence_ignored", "deadline_ignored", "rescue_skipped"}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    plan = Plan(session_timeout=timedelta(milliseconds=1200), transactions=100)
    terrain = Terrain(plan, tick=timedelta(milliseconds=250), invoices=60, shop=True)
    with Field(tmp_path_factory.mktemp("field"), terrain) as field:
        yield field


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_with_all_guards_the_story_ends_well(field: Field, story: Scenario) -> None:
    field.begin(f"well-{story.__name__}")
    story(field, ())
    eventually(lambda: settled(field), 60, "everything to be settled")
    collect(field)
    judge(field.history.entries(), CHECKS)


@pytest.mark.parametrize(
    ("guard", "story", "said"),
    [each if each[0] in QUICK else pytest.param(*each, marks=pytest.mark.soak) for each in WITHOUT],
    ids=[guard for guard, _, _ in WITHOUT],
)
def test_without_the_guard_a_judge_says_no(field: Field, guard: str, story: Scenario, said: str) -> None:
    field.begin(f"without-{guard}")
    story(field, (guard,))
    collect(field)
    found = violations(field.history.entries(), CHECKS)
    assert any(re.match(said, str(violation)) for violation in found), found


def test_every_mutation_has_its_story() -> None:
    assert {guard for guard, _, _ in WITHOUT} == set(MUTATIONS)
