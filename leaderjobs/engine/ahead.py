"""What the leader has read ahead of the queue, strand by strand. Pure: no I/O, no clock of its own.

A *strand* is what is read in order: the syncs, or the operations, of one connection and priority. For each
one we keep the place up to which it was read and the due jobs that were read and not started yet. Reading on
from a place costs the same however many jobs have run before it; reading from the beginning would walk their
dead index entries, which pile up while anybody holds an old snapshot.

Jobs that are not due are not kept: the place stays before them, so whatever is enqueued meanwhile lies behind
it, and the strand is read again when the first of them is due. What comes before the place all the same (a
transaction that commits late, a job that is due earlier now) is told by a signal, and by every rescan.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from leaderjobs.store.queue import Found, Place, Read, Reading

MOST_STRANDS = 20_000
"""Strands that are known at a time; what is in another one waits until a rescan finds room for it."""
MOST_AHEAD = 32_768
"""Jobs that are kept ahead of all strands together, beside LEAST_EACH for every strand."""
MOST_EACH = 256
LEAST_EACH = 2
MOST_READINGS = 512
"""Strands that are read at a time."""

Key: TypeAlias = tuple[str, int, bool]
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True, eq=False)
class Strand:
    """The syncs (or the operations) of one connection and priority."""

    connection: str
    priority: int
    operations: bool
    place: Place = (_BEFORE_ALL, 0)
    """Everything up to here was read."""
    waiting: deque[Place] = field(default_factory=deque)
    """Due and not started, in order."""
    more: bool = True
    """Whether there may be due jobs beyond the place."""
    due_at: float | None = None
    """When, by the caller's clock, the first job beyond the place is due; None when none is known."""
    rewinds: int = 0
    """How often the place went back: what was being read from beyond it then is read again."""
    lined_up: bool = False
    """The limiter's: whether it stands in one of its lines."""

    @property
    def key(self) -> Key:
        """What tells strands apart."""
        return self.connection, self.priority, self.operations


@dataclass(frozen=True, slots=True)
class Asked:
    """Readings that are on their way; several may be, for no strand is read twice at a time."""

    readings: Sequence[Reading] = ()
    each: int = LEAST_EACH
    """Jobs of each at most."""
    strands: Sequence[tuple[Strand, int]] = ()
    """In the order of the readings, with their rewinds."""


class Ahead:
    """The strands, and which of them to read next. One thread."""

    def __init__(self, lined_up: Callable[[Strand], None], most: int = MOST_AHEAD) -> None:
        """Nothing is known; `lined_up` is told of every strand that has due jobs."""
        self._strands: dict[Key, Strand] = {}
        self._lined_up = lined_up
        self._most = most
        self._unread: OrderedDict[Strand, None] = OrderedDict()
        self._due: list[tuple[float, int, Strand]] = []
        self._order = itertools.count()
        self._looked: deque[Key] = deque()
        self._kept = 0
        self._each = MOST_EACH

    @property
    def kept(self) -> int:
        """How many jobs are kept; never more than `most` and LEAST_EACH for every strand."""
        return self._kept

    @property
    def strands(self) -> int:
        """How many strands are known."""
        return len(self._strands)

    # -- what is heard -------------------------------------------------------------------------------------

    def heard(self, connection: str, priority: int, at: datetime) -> None:
        """A job of this connection and priority, of either kind, may start from `at` on."""
        for operations in (False, True):
            strand = self._known((connection, priority, operations), (at, 0))
            if strand is not None:
                self._rewind(strand, (at, 0))

    def again(self, key: Key, place: Place) -> None:
        """A job of ours is waiting again, from this place on."""
        strand = self._known(key, (place[0], place[1] - 1))
        if strand is None:
            return
        if place <= strand.place:
            self._keep(strand, place)
        else:
            self._ask(strand)

    def found(self, rows: Iterable[Found], now: float) -> None:
        """What a rescan has found: the first job of every strand.

        One at or before the place that is not kept was missed (or has run since the rescan looked): the
        strand is read again from there. What was missed behind a kept one is found once that one has run.
        """
        for row in rows:
            key: Key = (row.connection, row.priority, row.operations)
            first, before = (row.scheduled_at, row.id), (row.scheduled_at, row.id - 1)
            new = key not in self._strands
            strand = self._known(key, before)
            if strand is None:
                continue
            if row.wait is not None:
                self._wake_at(strand, now + row.wait)
            elif new:
                strand.place = first
                self._keep(strand, first)
                self._ask(strand)
            elif first > strand.place:
                self._ask(strand)
            elif first not in strand.waiting:
                self._rewind(strand, before)

    def look_again(self, most: int) -> None:
        """Read so many of the known strands again, in turns: for what no signal has told."""
        for _ in range(min(most, len(self._looked))):
            key = self._looked.popleft()
            strand = self._strands.get(key)
            if strand is not None:
                self._looked.append(key)
                self._ask(strand)

    def pass_time(self, now: float) -> float | None:
        """Have the strands read whose next job is due by now; when the next one is."""
        while self._due and self._due[0][0] <= now:
            at, _, strand = heapq.heappop(self._due)
            if strand.due_at == at:
                strand.due_at = None
                self._ask(strand)
        return self._due[0][0] if self._due else None

    # -- reading -------------------------------------------------------------------------------------------

    def taken(self, strand: Strand) -> Place:
        """Take the first waiting job of a strand, to start it."""
        self._kept -= 1
        place = strand.waiting.popleft()
        # A reading costs as much as three or four of the jobs it brings: not for the last few of them.
        if strand.more and len(strand.waiting) * 2 <= self._each:
            self._unread[strand] = None
        return place

    def readings(self) -> Asked:
        """What to read next; `came` or `not_read` must follow."""
        wanting = len(self._unread)
        if not wanting:
            return _NOTHING_ASKED
        self._each = min(MOST_EACH, max(LEAST_EACH, self._most // len(self._strands)))
        reading: list[tuple[Strand, int]] = []
        for _ in range(min(wanting, 2 * MOST_READINGS)):
            strand, _nothing = self._unread.popitem(last=False)
            if strand.waiting and self._kept >= self._most:
                self._unread[strand] = None
                continue
            strand.more = False
            reading.append((strand, strand.rewinds))
            if len(reading) == MOST_READINGS:
                break
        readings = [
            Reading(strand.connection, strand.priority, strand.operations, strand.place)
            for strand, _ in reading
        ]
        return Asked(readings, self._each, reading)

    def came(self, asked: Asked, rows: Sequence[Read], now: float) -> None:
        """The answer to readings, in the order in which they were asked."""
        due = [0] * len(asked.strands)
        for number, job, at, wait in sorted(rows, key=_in_order):
            strand, rewinds = asked.strands[number - 1]
            place = (at, job)
            if strand.rewinds != rewinds:
                # It was read from beyond its place: what lies between would be passed over.
                continue
            if wait is not None:
                self._wake_at(strand, now + wait)
            elif place > strand.place:
                due[number - 1] += 1
                strand.place = place
                self._keep(strand, place)
        for (strand, rewinds), count in zip(asked.strands, due, strict=True):
            if strand.rewinds != rewinds:
                self._ask(strand)
            else:
                # More of it are read when half of these are taken.
                strand.more = strand.more or count == asked.each

    def not_read(self, asked: Asked) -> None:
        """The readings got no answer."""
        for strand, _ in asked.strands:
            self._ask(strand)

    # -- parts ---------------------------------------------------------------------------------------------

    def _known(self, key: Key, before: Place) -> Strand | None:
        strand = self._strands.get(key)
        if strand is None and (len(self._strands) < MOST_STRANDS or self._made_room()):
            strand = self._strands[key] = Strand(*key, place=before, more=False)
            self._looked.append(key)
        return strand

    def _made_room(self) -> bool:
        """Forget the strand without jobs that was looked at longest ago."""
        for _ in range(len(self._looked)):
            key = self._looked.popleft()
            strand = self._strands[key]
            if not strand.waiting and not strand.more and strand.due_at is None and not strand.lined_up:
                del self._strands[key]
                return True
            self._looked.append(key)
        return False

    def _rewind(self, strand: Strand, before: Place) -> None:
        if before < strand.place:
            strand.place = before
            strand.rewinds += 1
        self._ask(strand)

    def _ask(self, strand: Strand) -> None:
        strand.more = True
        self._unread[strand] = None

    def _keep(self, strand: Strand, place: Place) -> None:
        waiting = strand.waiting
        if not waiting or waiting[-1] < place:
            waiting.append(place)
        elif place in waiting:
            return
        else:
            insort(waiting, place)
        self._kept += 1
        if not strand.lined_up:
            self._lined_up(strand)

    def _wake_at(self, strand: Strand, at: float) -> None:
        if strand.due_at is not None and strand.due_at <= at:
            return
        strand.due_at = at
        heapq.heappush(self._due, (at, next(self._order), strand))
        if len(self._due) > 2 * MOST_STRANDS:
            self._due = [each for each in self._due if each[2].due_at == each[0]]
            heapq.heapify(self._due)


_NOTHING_ASKED = Asked()


def _in_order(row: Read) -> tuple[int, datetime, int]:
    return row[0], row[2], row[1]
