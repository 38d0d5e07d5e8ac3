"""When schedules fire, and what becomes of the fire times that have come due; no clock, no database.

`expression` reads a cron expression and walks along its fire times, `hashed` replaces its H, `zones` knows
when a zone shifts, `reading` says it in English; `deciding` judges due fire times, `linting` what people
would not expect of their schedules.
"""

from leaderjobs.cron.deciding import (
    LATE_AFTER,
    MOST_MISSED_ROWS,
    Decided,
    DecidedFire,
    arguments_at,
    decide,
    jitter,
)
from leaderjobs.cron.expression import Expression
from leaderjobs.cron.linting import Finding, lint

__all__ = [
    "LATE_AFTER",
    "MOST_MISSED_ROWS",
    "Decided",
    "DecidedFire",
    "Expression",
    "Finding",
    "arguments_at",
    "decide",
    "jitter",
    "lint",
]
