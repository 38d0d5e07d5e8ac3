"""The schedule of faults depends on the seed, and on nothing else."""

from __future__ import annotations

from itertools import pairwise

from tests.cluster.nemesis import ON_LEADER, WEIGHTS, schedule
from tests.cluster.strikes import STRIKES, Kind


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 300) == schedule(7, 300)
    assert schedule(7, 300) != schedule(8, 300)


def test_a_longer_run_begins_with_the_faults_of_a_shorter_one() -> None:
    short = schedule(7, 60)
    assert schedule(7, 600)[: len(short)] == short
    assert all(fault.at < 60 for fault in short)


def test_every_kind_of_fault_is_drawn_and_can_be_made() -> None:
    faults = schedule(2026, 3600)
    assert {fault.kind for fault in faults} == set(Kind) == set(WEIGHTS) == set(STRIKES)
    on_leader = sum(fault.target == "leader" for fault in faults) / len(faults)
    assert abs(on_leader - ON_LEADER) < 0.1


def test_faults_overlap_and_some_come_at_the_same_instant() -> None:
    faults = schedule(2026, 600)
    together = sum(before.at == after.at for before, after in pairwise(faults))
    overlapping = sum(before.at + before.seconds > after.at for before, after in pairwise(faults))
    assert together > len(faults) // 10
    assert overlapping > len(faults) // 4


def test_ten_minutes_hold_more_than_two_hundred_faults() -> None:
    assert len(schedule(2026, 600)) > 250
