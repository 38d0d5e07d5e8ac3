"""Keeps the replica of one member in step with what the leader publishes, and says how far it is."""

from __future__ import annotations

import threading
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.coordination.base import Coordinator
from leaderjobs.engine.replica import Replica
from leaderjobs.errors import CoordinatorUnavailable
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.member import ReplicaPosition

ACKNOWLEDGE_EVERY = 0.25
"""Seconds between two acknowledgements of a replica that moves."""
LOOK_EVERY = 1.0
"""Seconds until a follower to whom nothing comes in looks whether its member has something new to say."""
SAVE_EVERY = 1.0
"""Seconds between two writes of the disk copy."""
_RETRY = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=1))


class Follower:
    """One thread: shards come in from the coordinator's callback, latest wins per shard, so it is bounded."""

    def __init__(self, coordinator: Coordinator, partition: int, replica: Replica, emit: Emit) -> None:
        """Nothing happens before `start`."""
        self._coordinator = coordinator
        self._partition = partition
        self._replica = replica
        self._emit = emit
        self._condition = threading.Condition()
        self._waiting: dict[str, bytes] = {}
        self._stopped = False
        self._rejoined = False
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def joined(self) -> None:
        """Begin, or acknowledge afresh after a new session made a new member node; any thread."""
        with self._condition:
            self._rejoined = True
            self._condition.notify_all()
        if not self._thread.is_alive() and not self._stopped:
            self._thread.start()

    def stop(self) -> None:
        """Save and end; bounded by one write and one acknowledgement."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _receive(self, name: str, data: bytes) -> None:
        with self._condition:
            self._waiting[name] = data
            self._condition.notify_all()

    def _run(self) -> None:
        self._watch()
        acknowledged: ReplicaPosition | None = None
        acknowledged_at = saved_at = clock.elapsed() - SAVE_EVERY
        unsaved = False
        while not self._stopped:
            with self._condition:
                if not self._waiting and not self._rejoined:
                    behind = acknowledged != self._replica.position() or unsaved
                    self._condition.wait(ACKNOWLEDGE_EVERY if behind else LOOK_EVERY)
                taken, self._waiting = self._waiting, {}
                if self._rejoined:
                    self._rejoined, acknowledged = False, None
            for name, data in taken.items():
                unsaved |= self._replica.apply(name, data)
            instant = clock.elapsed()
            position = self._replica.position()
            if position != acknowledged and instant - acknowledged_at >= ACKNOWLEDGE_EVERY:
                acknowledged_at = instant
                if self._acknowledge(position):
                    acknowledged = position
            if unsaved and instant - saved_at >= SAVE_EVERY:
                saved_at, unsaved = instant, False
                self._save()
        self._save()

    def _watch(self) -> None:
        failures = 0
        while not self._stopped:
            try:
                self._coordinator.watch_shards(self._partition, self._receive)
            except CoordinatorUnavailable:
                failures += 1
                with self._condition:
                    self._condition.wait(_RETRY.delay(failures).total_seconds())
            else:
                return

    def _acknowledge(self, position: ReplicaPosition) -> bool:
        try:
            self._coordinator.acknowledge(position)
        except CoordinatorUnavailable:
            return False
        return True

    def _save(self) -> None:
        try:
            self._replica.save()
        except OSError as error:
            self._emit(Event(EventKind.SERVICE_FAILED, {"service": "replica on disk", "error": str(error)}))
