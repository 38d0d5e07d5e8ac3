"""The protocol holds in every order of events; without a guard it does not; and the model says something at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.model.programs import Programs, Unavailable, find
from tests.model.spin import MODEL, Bounds, search, shortest_story

FEW = Bounds(2, 2, 2)
SMALL = Bounds(2, 3, 2)
THREE_SENDS = Bounds(2, 2, 3)
BOUNDS = frozenset({"MEMBERS", "TERMS", "SENDS"})
ONLY_PAYMENTS = "ONLY_PAYMENTS"

# Without it some order of events ends in a second payment (other claims may break before; they are not looked at).
PAID_TWICE = [
    ("NO_STAMP",),
    ("NO_WINDOW",),
    ("WINDOW_NOT_AT_STAMP",),
    ("WINDOW_FROM_LAST_SEND",),
    ("NEW_KEY_PER_SEND",),
    ("NO_FENCE", "NO_VERSION"),
    ("READ_BEFORE_RAISE", "NO_VERSION"),
    ("UNKNOWN_IS_UNTOUCHED",),
    ("ABSENT_AT_ONCE",),
    # What is assumed, and not so.
    ("NO_GUARD",),
    ("LATE_REQUESTS",),
    ("KEYS_IGNORED_BUT_TRUSTED",),
    ("ACTS_LATE_BUT_TRUSTED",),
    ("SENT_TWICE",),
    ("DB_FORGETS",),
]
# Without it the ledger may come to say `failed` or `cancelled` of what is paid, or will be.
SETTLED_WRONGLY = [
    ("UNKNOWN_IS_FAILED",),
    ("ABSENCE_IS_FAILURE",),
    ("LAST_DECLINE_DECIDES",),
    ("OLD_REPLAYS",),
    ("EVIDENCE_SETTLES",),
    ("CANCEL_READS_FIRST",),
    ("RESOLVED_TOO_EARLY",),
    ("RESOLVED_ON_OLD_NEWS",),
]
BREAKS = [
    *((("NO_FENCE",), "one_term"), (("NO_LOCK",), "one_term"), (("STAMP_IGNORES_STATE",), "sent_while_open")),
    *(((*switches, ONLY_PAYMENTS), "acted_once") for switches in PAID_TWICE),
    *((switches, "truly_settled") for switches in SETTLED_WRONGLY),
]
# One for each claim, and what a program is most likely to forget.
SOME_BREAKS = [*BREAKS[:4], BREAKS[7], BREAKS[-8]]
# Each of these alone breaks nothing, because something else holds.
HOLDS = [
    (("NO_LOOKUP",), FEW),  # a look-up saves effects from being uncertain, not from being paid twice
    (("READ_BEFORE_RAISE",), FEW),  # what was decided before the raise is void: the version
    (("NO_VERSION",), THREE_SENDS),  # nobody else writes between read and write: the fence
    (("NO_FENCE", ONLY_PAYMENTS), FEW),  # two leaders, but the second stamp finds another version
]


@pytest.fixture(scope="session")
def programs() -> Programs:
    try:
        return find()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(3, 3, 2),
        pytest.param(THREE_SENDS, marks=pytest.mark.soak),
        pytest.param(Bounds(3, 3, 3), marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
    ids=str,
)
def test_no_order_of_events_breaks_a_claim(programs: Programs, tmp_path: Path, bounds: Bounds) -> None:
    verdict = search(programs, tmp_path, (), bounds, large=True)
    assert not verdict.broken, "\n" + shortest_story(programs, tmp_path, (), bounds)
    assert verdict.complete, verdict.output
    assert verdict.states > 500_000


def soaking(cases: list[Any], short: Collection[Any]) -> list[Any]:
    """All but the short ones are left to a soak: they say something about the model, which seldom changes."""
    return [each if each in short else pytest.param(*each, marks=pytest.mark.soak) for each in cases]


@pytest.mark.parametrize(("switches", "claim"), soaking(BREAKS, SOME_BREAKS), ids=str)
def test_without_this_guard_a_claim_breaks(
    programs: Programs, tmp_path: Path, switches: tuple[str, ...], claim: str
) -> None:
    bounds = THREE_SENDS if {"OLD_REPLAYS", "WINDOW_FROM_LAST_SEND"} & set(switches) else SMALL
    verdict = search(programs, tmp_path, switches, bounds)
    assert verdict.broken == claim, verdict.story or verdict.output
    assert "claims with token" in verdict.story


@pytest.mark.parametrize(("switches", "bounds"), soaking(HOLDS, HOLDS[:2]), ids=str)
def test_where_two_guards_hold_one_is_enough(
    programs: Programs, tmp_path: Path, switches: tuple[str, ...], bounds: Bounds
) -> None:
    verdict = search(programs, tmp_path, switches, bounds, large=bounds is THREE_SENDS)
    assert not verdict.broken, "\n" + shortest_story(programs, tmp_path, switches, bounds)
    assert verdict.complete, verdict.output


def test_every_step_of_the_model_and_all_it_is_about_happens(programs: Programs, tmp_path: Path) -> None:
    verdict = search(programs, tmp_path, ("SHOW",), FEW, large=True)
    assert verdict.complete, verdict.output
    assert verdict.unreached == ()


def test_what_cannot_happen_would_be_noticed(programs: Programs, tmp_path: Path) -> None:
    once = search(programs, tmp_path, ("SHOW",), Bounds(2, 2, 1))
    assert once.complete, once.output
    assert "sent again by a successor" in once.unreached
    assert "succeeded" not in once.unreached


def test_every_switch_of_the_model_is_tried() -> None:
    tried = {switch for switches, _ in BREAKS for switch in switches}
    tried |= {switch for switches, _ in HOLDS for switch in switches} | {"SHOW"}
    text = "".join(path.read_text() for path in MODEL.parent.glob("*.pml"))
    known = set(re.findall(r"#ifn?def (\w+)|defined\((\w+)\)", text))
    assert {one or other for one, other in known} - BOUNDS == tried


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_a_machine_without_spin_and_compiler_fetches_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = tmp_path / "bin"
    few.mkdir()
    for name in ("apt-get", "cat", "dpkg", "dpkg-deb", "rm", "sh", "tar"):
        (few / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(few))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetched = find()
    assert fetched.spin.startswith(str(tmp_path))
    assert fetched.compiler.program.startswith(str(tmp_path))
    assert search(fetched, tmp_path, ("NO_FENCE",), SMALL).broken == "one_term"


def test_a_machine_without_anything_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Unavailable, match=r"no spin on this machine.*install spin"):
        find()
