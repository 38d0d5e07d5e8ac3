"""The leader's side of replication: committed markers wait here until a heartbeat takes them along."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from leaderjobs.engine import shards
from leaderjobs.model.marker import Marker
from leaderjobs.model.term import Term


class Publisher:
    """A map of markers and the set of shards that changed; latest wins, so it is bounded by the streams.

    `put` comes from the runners' threads, `take` and `put_back` from the elector's.
    """

    def __init__(self) -> None:
        """Empty until `begin`."""
        self._lock = threading.Lock()
        self._copies: dict[str, dict[tuple[str, str], shards.MarkerCopy]] = {}
        self._dirty: set[str] = set()
        self._term: Term | None = None
        self._flush = 0
        self._tell: Callable[[], None] = lambda: None

    def on_dirty(self, tell: Callable[[], None]) -> None:
        """Name who is told that something waits; called outside the lock, must not block."""
        self._tell = tell

    @property
    def dirty(self) -> bool:
        """Whether a heartbeat would have something to take along."""
        return bool(self._dirty)

    def begin(self, term: Term, markers: Iterable[Marker]) -> None:
        """Start a term from the database's markers; every shard is rewritten once, also the empty ones."""
        with self._lock:
            self._term = term
            self._copies = {name: {} for name in shards.all_names()}
            for marker in markers:
                self._keep(marker)
            self._dirty = set(self._copies)
        self._tell()

    def end(self, term: Term) -> None:
        """Forget everything, unless a newer term has begun meanwhile."""
        with self._lock:
            if self._term is term:
                self._term, self._copies, self._dirty = None, {}, set()

    def put(self, term: Term, marker: Marker) -> None:
        """Publish a committed marker with the next heartbeat; a late one of an older term is dropped."""
        with self._lock:
            if self._term is not term:
                return
            self._dirty.add(self._keep(marker))
        self._tell()

    def take(self) -> dict[str, bytes]:
        """The dirty shards, encoded; they count as clean until `put_back`."""
        with self._lock:
            if self._term is None or not self._dirty:
                return {}
            self._flush += 1
            taken = {
                name: shards.encode(
                    self._term.origin,
                    self._term.token,
                    self._term.number,
                    self._flush,
                    self._copies[name].values(),
                )
                for name in self._dirty
            }
            self._dirty = set()
            return taken

    def put_back(self, taken: Mapping[str, bytes]) -> None:
        """Mark shards dirty again whose heartbeat was not acknowledged; newer content wins by itself."""
        with self._lock:
            if self._term is not None:
                self._dirty.update(taken)

    def _keep(self, marker: Marker) -> str:
        name = shards.name_of(marker.connection, marker.stream)
        self._copies[name][marker.key] = shards.copy_of(marker)
        return name
