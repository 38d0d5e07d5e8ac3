"""Days as Google's quotas count them: in California, whatever the zone of whoever asks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

CALIFORNIA = ZoneInfo("America/Los_Angeles")


def california_day(instant: datetime) -> date:
    """The day that it is then in California."""
    return instant.astimezone(CALIFORNIA).date()


def midnight_after(day: date) -> datetime:
    """The end of a day there, as UTC."""
    return datetime.combine(day + timedelta(days=1), time(), CALIFORNIA).astimezone(UTC)
