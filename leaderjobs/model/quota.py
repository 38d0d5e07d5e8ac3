"""What a provider allows in a period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """An allowance that the provider renews at an instant, counted over all connections that share it."""

    name: str
    """Tells it from every other: no secret, and the same for all who share it."""
    limit: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What is known to be used of one, as of the last request."""

    name: str
    used: int
    limit: int
    resets_at: datetime
