"""What the elector's thread waits on: a set of things to look at, filled from any thread."""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TypeAlias

from leaderjobs.coordination.base import CoordinatorEvent


class Nudge(StrEnum):
    """Reasons of our own to look again."""

    DIRTY = "dirty"
    """A marker waits to be published."""
    SERVICES = "services"
    """The services of the term finished or failed."""
    STOP = "stop"
    """The member was asked to stop."""


Notice: TypeAlias = CoordinatorEvent | Nudge


class Inbox:
    """A set of notices under a condition: bounded by nature, and `put` never blocks a callback's thread.

    The order of notices is not kept. The elector is level-triggered: a notice says where to look, and
    only an acknowledged heartbeat says how things are.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._condition = threading.Condition()
        self._notices: set[Notice] = set()

    def put(self, notice: Notice) -> None:
        """Add a notice; any thread."""
        with self._condition:
            self._notices.add(notice)
            self._condition.notify_all()

    def wait(self, seconds: float) -> frozenset[Notice]:
        """Take all notices, waiting at most `seconds` for the first one."""
        with self._condition:
            if not self._notices and seconds > 0:
                self._condition.wait(seconds)
            taken = frozenset(self._notices)
            self._notices.clear()
            return taken
