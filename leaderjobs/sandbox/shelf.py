"""One kind of a provider's objects: in the order of creation, with what each of them was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from leaderjobs import clock

MOST_OBJECTS = 1_000_000
MOST_VERSIONS = 32
"""Of one object; older ones are forgotten, so that a stale read shows the oldest that is known."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What all objects have; frozen, so that an older state is simply kept."""

    id: str
    created: int
    """Unix seconds by the sandbox's clock."""


R = TypeVar("R", bound=Row)


class AnchorGoneError(Exception):
    """A page was asked for beside an object that does not exist."""

    def __init__(self, parameter: str, row_id: str) -> None:
        super().__init__(parameter, row_id)
        self.parameter, self.row_id = parameter, row_id


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of a list."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None


class Shelf(Generic[R]):
    """Objects by id. `as_of` is an instant by `clock.elapsed`; None shows them as they are."""

    def __init__(self, path: str, noun: str) -> None:
        """`path` is the list's address, `noun` the object in messages."""
        self.path = path
        self.noun = noun
        self._order: list[str] = []
        self._place: dict[str, int] = {}
        self._versions: dict[str, list[tuple[float, R | None]]] = {}

    def __len__(self) -> int:
        """How many exist."""
        return sum(versions[-1][1] is not None for versions in self._versions.values())

    def put(self, row: R) -> None:
        """Add an object, or replace it by its next state; OverflowError when there are too many."""
        if row.id not in self._versions:
            if len(self._order) >= MOST_OBJECTS:
                raise OverflowError(f"the sandbox holds {MOST_OBJECTS} of {self.path} and takes no more")
            self._versions[row.id] = []
            self._place[row.id] = len(self._order)
            self._order.append(row.id)
        self._append(self._versions[row.id], row)

    def remove(self, row_id: str) -> None:
        """Let one be gone from now on."""
        self._append(self._versions[row_id], None)

    def get(self, row_id: str, as_of: float | None = None) -> R | None:
        """The object; None when there is, or was, none."""
        versions = self._versions.get(row_id)
        if versions is None:
            return None
        if as_of is None:
            return versions[-1][1]
        return next((row for at, row in reversed(versions) if at <= as_of), None)

    def rows(self, as_of: float | None = None) -> Iterator[R]:
        """Every object, newest first."""
        for place in reversed(range(len(self._order))):
            row = self.get(self._order[place], as_of)
            if row is not None:
                yield row

    def page(
        self, wanted: Wanted, fits: Callable[[R], bool], as_of: float | None = None
    ) -> tuple[list[R], bool]:
        """Newest first, and whether there are more beyond; the page lies next to its anchor.

        `starting_after` goes on towards the older ones, `ending_before` towards the newer ones.
        """
        found: list[R] = []
        more = False
        for place in self._places(wanted, as_of):
            row = self.get(self._order[place], as_of)
            if row is not None and fits(row):
                if len(found) == wanted.limit:
                    more = True
                    break
                found.append(row)
        return (found[::-1] if wanted.ending_before is not None else found), more

    def _places(self, wanted: Wanted, as_of: float | None) -> Iterator[int]:
        """Where to look, beginning beside the anchor."""
        if wanted.ending_before is not None:
            return iter(
                range(self._anchor("ending_before", wanted.ending_before, as_of) + 1, len(self._order))
            )
        if wanted.starting_after is not None:
            return reversed(range(self._anchor("starting_after", wanted.starting_after, as_of)))
        return reversed(range(len(self._order)))

    def _anchor(self, parameter: str, row_id: str, as_of: float | None) -> int:
        if self.get(row_id, as_of) is None:
            raise AnchorGoneError(parameter, row_id)
        return self._place[row_id]

    def _append(self, versions: list[tuple[float, R | None]], row: R | None) -> None:
        versions.append((clock.elapsed(), row))
        if len(versions) > MOST_VERSIONS:
            (since, _), (_, second), *_ = versions
            versions[:2] = [(since, second)]
