"""A clock that can be put forward, for what takes a provider a day or a month."""

from __future__ import annotations

import threading
from datetime import timedelta

from leaderjobs import clock

MOST_ADVANCE = timedelta(days=3650)


class SettableClock:
    """The wall clock and an offset that only grows."""

    def __init__(self) -> None:
        """It is now."""
        self._lock = threading.Lock()
        self._offset = timedelta(0)

    def now(self) -> float:
        """Seconds since 1970 by this clock."""
        with self._lock:
            return (clock.now() + self._offset).timestamp()

    def advance(self, by: timedelta) -> None:
        """Put it forward; ValueError for backward, and for more than ten years in all."""
        with self._lock:
            if by < timedelta(0) or self._offset + by > MOST_ADVANCE:
                raise ValueError(f"advance by {by}: allowed: forward, {MOST_ADVANCE.days} days in all")
            self._offset += by
