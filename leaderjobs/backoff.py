"""How long to wait before the next try: exponential, with full jitter, bounded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that doubles from `first` up to `most`, then a random part of it is taken.

    Full jitter (a draw from the whole interval, not its upper end) keeps many clients that failed
    together from coming back together; see "Exponential Backoff And Jitter", AWS Architecture Blog.

    >>> Backoff(first=timedelta(seconds=1), most=timedelta(minutes=5)).ceiling(3)
    datetime.timedelta(seconds=4)
    """

    first: timedelta
    most: timedelta

    def ceiling(self, attempt: int) -> timedelta:
        """The longest delay after the `attempt`-th failure, counted from 1."""
        doublings = min(max(attempt - 1, 0), 62)
        return min(self.first * 2.0**doublings, self.most) if doublings < 40 else self.most

    def delay(self, attempt: int) -> timedelta:
        """A random delay between the shortest one and the ceiling."""
        return self.ceiling(attempt) * random.uniform(_LEAST_SHARE, 1.0)

    def shortest(self, attempt: int) -> timedelta:
        """The shortest delay that `delay` gives: a tenth of the ceiling, so that it is never nothing."""
        return self.ceiling(attempt) * _LEAST_SHARE
