"""The shelf: pages next to their anchor, and what was there before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderjobs import clock
from leaderjobs.sandbox import shelf
from leaderjobs.sandbox.shelf import AnchorGoneError, Row, Shelf, Wanted


class Thing(Row, frozen=True, kw_only=True):
    color: str = "red"


def filled(colors: list[str]) -> Shelf[Thing]:
    things: Shelf[Thing] = Shelf("/things", "thing")
    for place, color in enumerate(colors):
        things.put(Thing(id=f"t_{place}", created=0, color=color))
    return things


@given(
    colors=st.lists(st.sampled_from(["red", "blue"]), min_size=1, max_size=30),
    limit=st.integers(1, 8),
    data=st.data(),
)
def test_pages_are_slices_of_the_whole_newest_first(colors: list[str], limit: int, data: Any) -> None:
    things = filled(colors)
    anchor = data.draw(st.integers(0, len(colors) - 1))
    color = data.draw(st.sampled_from([None, "red"]))
    newest_first = [place for place in reversed(range(len(colors))) if color in {None, colors[place]}]
    older = [f"t_{place}" for place in newest_first if place < anchor]
    newer = [f"t_{place}" for place in newest_first if place > anchor]

    def fits(row: Thing) -> bool:
        return color in {None, row.color}

    page, more = things.page(Wanted(limit, starting_after=f"t_{anchor}"), fits)
    assert ([row.id for row in page], more) == (older[:limit], len(older) > limit)
    page, more = things.page(Wanted(limit, ending_before=f"t_{anchor}"), fits)
    assert ([row.id for row in page], more) == (newer[-limit:], len(newer) > limit)


def test_what_was_before_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [0.0]
    monkeypatch.setattr(clock, "elapsed", lambda: at[0])
    things = filled(["red"])
    for second, color in ((1, "blue"), (2, "green")):
        at[0] = second
        things.put(Thing(id="t_0", created=0, color=color))
    at[0] = 3
    things.remove("t_0")
    seen = [things.get("t_0", as_of) for as_of in (-1, 0, 0.5, 1, 2.9, 3)]
    assert [row and row.color for row in seen] == [None, "red", "red", "blue", "green", None]
    assert (things.get("t_0"), len(things), list(things.rows())) == (None, 0, [])
    assert [row.color for row in things.rows(1.5)] == ["blue"]
    with pytest.raises(AnchorGoneError):
        things.page(Wanted(ending_before="t_0"), lambda _row: True)
    assert things.page(Wanted(ending_before="t_0"), lambda _row: True, 1.5) == ([], False)


def test_of_many_states_the_oldest_known_stands_for_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [0.0]
    monkeypatch.setattr(clock, "elapsed", lambda: at[0])
    things = filled(["0"])
    for second in range(1, shelf.MOST_VERSIONS + 3):
        at[0] = second
        things.put(Thing(id="t_0", created=0, color=str(second)))
    oldest, latest = things.get("t_0", 0), things.get("t_0")
    assert oldest is not None
    assert latest is not None
    assert (oldest.color, latest.color) == ("3", str(shelf.MOST_VERSIONS + 2))


def test_it_takes_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_OBJECTS", 2)
    things = filled(["a", "b"])
    with pytest.raises(OverflowError):
        things.put(Thing(id="t_9", created=0))
    things.put(Thing(id="t_1", created=0, color="c"))
    assert len(things) == 2
