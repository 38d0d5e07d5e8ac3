"""Everything at once, for a fixed minute in all, and for as long as it takes to pay 2,000 invoices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster import chaos
from tests.cluster.chaos import Result, Wanted, run
from tests.cluster.history import Violation
from tests.cluster.made_up import paid_once

pytestmark = pytest.mark.alone
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


def judged(monkeypatch: pytest.MonkeyPatch, directory: Path, *violations: Violation) -> int:
    """The exit code of a run that came to this."""
    result = Result(directory / "history", paid_once().entries, 1.0, list(violations))
    monkeypatch.setattr(chaos, "run", lambda *_: result)
    return chaos.main(["--seconds", "1", "--seed", "7", "--keep", str(directory / "kept")])


def test_a_violation_is_told_with_how_to_see_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    violation = Violation("I2", "in_1 took effect 2 times", paid_once().entries[2:5])
    assert judged(monkeypatch, tmp_path, violation) == 1
    told = capsys.readouterr().out
    assert "VIOLATION I2: in_1 took effect 2 times\n     +0.0000 s  postgres   effect" in told
    assert "chaos --seconds 1 --seed 7 --zookeeper 3 --invoices 4\n" in told
    assert "effects: succeeded=1" in told


def test_a_run_without_one_says_what_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judged(monkeypatch, tmp_path) == 0
    assert "I1 to I9 hold (I5: there are no schedules yet)" in capsys.readouterr().out


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "wanted",
    [pytest.param(Wanted(18, 176, 1, 80), marks=pytest.mark.soak), Wanted(18, 353, 3, 80)],
    ids=["one", "three"],
)
def test_invariants_hold_while_everything_breaks(tmp_path: Path, wanted: Wanted) -> None:
    assert assert_holds(tmp_path, wanted) >= LEAST


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_thousand_invoices_are_paid_once_through_two_hundred_faults(tmp_path: Path) -> None:
    assert assert_holds(tmp_path, WHOLE) >= LEAST_FAULTS
