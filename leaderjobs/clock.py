"""The two clocks: the one people read, and the one deadlines are measured on.

Deadlines use CLOCK_BOOTTIME: CLOCK_MONOTONIC stands still while a machine is suspended, and a
leader that slept through its session must find on waking that its term is over. The wall clock
may jump and is only ever shown or stored.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC goes on during sleep, which is what we need.
_DEADLINE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds on the deadline clock; comparable only within one boot of one machine."""
    return time.clock_gettime(_DEADLINE_CLOCK)


def now() -> datetime:
    """The wall clock as aware UTC; never part of a deadline."""
    return datetime.now(UTC)
