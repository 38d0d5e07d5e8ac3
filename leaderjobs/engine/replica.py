"""A member's copy of the markers, in memory and on its own disk.

The disk copy is what lets a restarted member notice that the database has lost commits: Postgres alone
cannot tell that it was set back. A copy that cannot be read is thrown away and filled again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from leaderjobs.engine.shards import MarkerCopy, Shard, decode
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import ReplicaPosition

MOST_FILE_BYTES = 4 * 1024 * 1024


class Replica:
    """Shards by name, each replaced only by a newer one; any thread."""

    def __init__(self, path: Path | None, notes: Callable[[], tuple[str, ...]] = tuple) -> None:
        """Load what `path` holds; None keeps the copy in memory only. `notes` go out with the position."""
        self._lock = threading.Lock()
        self._path = path
        self._notes = notes
        self._shards: dict[str, Shard] = {}
        self.discarded = ""
        """Why the copy on disk was thrown away; empty when it was not."""
        if path is not None:
            self._load(path)

    def apply(self, name: str, data: bytes) -> bool:
        """Take a shard as published; False when it is unreadable or not newer than what is here."""
        shard = decode(data)
        with self._lock:
            if shard is None or not shard.newer_than(self._shards.get(name)):
                return False
            self._shards[name] = shard
            return True

    def position(self) -> ReplicaPosition:
        """How far this copy is, as the member acknowledges it."""
        copies = self.copies()
        newest = max((copy.committed_at for copy in copies), default=None)
        return ReplicaPosition(sum(copy.sequence for copy in copies), newest, self._notes())

    def copies(self) -> list[MarkerCopy]:
        """Every marker known here."""
        with self._lock:
            return [copy for shard in self._shards.values() for copy in shard.markers]

    def ahead_of(self, stored: Iterable[Marker]) -> list[tuple[MarkerCopy, int]]:
        """Markers that are further here than in the database, with the database's sequence (I4).

        That cannot happen while the database keeps what it committed: markers are published after the
        commit. So each one is a commit that the database has lost.
        """
        sequences = {marker.key: marker.sequence for marker in stored}
        found = ((copy, sequences.get((copy.connection, copy.stream), 0)) for copy in self.copies())
        return [(copy, sequence) for copy, sequence in found if copy.sequence > sequence]

    def save(self) -> None:
        """Write the copy to disk, whole or not at all; OSError is the caller's to report."""
        if self._path is None:
            return
        with self._lock:
            data = msgspec.json.encode(self._shards)
        beside = self._path.with_suffix(".new")
        beside.write_bytes(data)
        beside.replace(self._path)

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as handle:
                data = handle.read(MOST_FILE_BYTES + 1)
            if len(data) > MOST_FILE_BYTES:
                raise msgspec.DecodeError("too large")
            self._shards = msgspec.json.decode(data, type=dict[str, Shard])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self.discarded = f"the replica in {path} cannot be read ({error}); it is filled again"
            with contextlib.suppress(OSError):
                path.unlink()
