"""Everything at once, for a fixed minute in all, and for as long as it takes to pay 2,000 invoices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.chaos import Wanted, run

WHOLE = Wanted(seconds=600, seed=2026, zookeeper=3, invoices=2_000)
LEAST = 12
LEAST_FAULTS = 200


def assert_holds(directory: Path, wanted: Wanted) -> int:
    """Run it; how many faults there were."""

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")

    result = run(directory, wanted, say)
    say(result.summary())
    if result.violations:
        raise result.violations[0]
    return result.faults


@pytest.mark.timeout(180)
@pytest.mark.parametrize("wanted", [Wanted(18, 176, 1, 80), Wanted(18, 353, 3, 80)], ids=["one", "three"])
def test_invariants_hold_while_everything_breaks(tmp_path: Path, wanted: Wanted) -> None:
    assert assert_holds(tmp_path, wanted) >= LEAST


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_thousand_invoices_are_paid_once_through_two_hundred_faults(tmp_path: Path) -> None:
    assert assert_holds(tmp_path, WHOLE) >= LEAST_FAULTS
