"""A history is a file that can be read again, has an end, and tells its stories shortly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import history
from tests.cluster.history import MOST_STORY_LINES, Entry, History, Violation, What, load, told
from tests.cluster.made_up import Tale, paid_once


def test_what_is_written_can_be_read_again_in_order(tmp_path: Path) -> None:
    entries = paid_once().entries
    with History(tmp_path / "history") as written:
        written.add(*reversed(entries))
        assert written.entries() == entries
    assert load(tmp_path / "history") == entries


def test_a_history_takes_no_more_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_ENTRIES", 3)
    with History(tmp_path / "history") as written:
        written.add(*paid_once().entries[:3])
        with pytest.raises(OverflowError, match="3 entries, and takes no more"):
            written.add(paid_once().entries[3])


def test_rows_of_one_transaction_keep_their_order() -> None:
    stamp, effect = (Entry(at=1.0, who="postgres", what=What.STAMP, id=number) for number in (1, 2))
    assert history.ordered([effect, stamp]) == [stamp, effect]


def test_a_story_tells_each_event_in_one_line_with_what_it_is_about() -> None:
    violation = Violation("I2", "it happened twice", reversed(paid_once().entries[1:4]))
    lines = str(violation).splitlines()
    assert lines[0] == "I2: it happened twice"
    assert lines[1].split() == ["+0.0000", "s", "postgres", "raise", "term", "1", "member=b"]
    assert lines[3].split()[:7] == ["+2.0000", "s", "postgres", "stamp", "term", "1", "effect"]
    assert len(lines) == 4


def test_a_long_story_is_told_from_both_ends() -> None:
    tale = Tale().raises(1)
    for sequence in range(1, 200):
        tale.batch(1, sequence)
    lines = list(told(tale.entries))
    assert len(lines) == MOST_STORY_LINES + 1
    assert f"... {len(tale.entries) - MOST_STORY_LINES} more ..." in lines[MOST_STORY_LINES // 2]
    assert "sequence=199" in lines[-1]
