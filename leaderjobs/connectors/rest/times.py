"""How an API writes the value that an incremental stream goes by.

>>> Form("unix_ms").write(Form("datetime").read("2024-05-06T07:08:09Z"))
1714979289000
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

Value = str | int | datetime
"""As it is compared: instants are aware UTC."""

MOST_CHARS = 200
PATTERN_ALLOWED = (
    '"text", "unix", "unix_ms", "date", "datetime", or a pattern such as "%Y-%m-%d %H:%M:%S" (in UTC)'
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS = frozenset({"text", "unix", "unix_ms", "date", "datetime"})
_DIRECTIVES = re.compile(r"%(.)")
_KNOWN = frozenset("YmdHMSfz%")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def is_form(text: str) -> bool:
    """Whether it is one of the words, or a pattern with at least a whole date in it."""
    if text in _WORDS:
        return True
    found = set(_DIRECTIVES.findall(text))
    return found <= _KNOWN and {"Y", "m", "d"} <= found and len(text) <= MOST_CHARS


class Form:
    """One way to write it; `text` is any text that sorts as the API sorts it, or a whole number."""

    def __init__(self, form: str) -> None:
        """`form` passed `is_form`."""
        self._form = form
        self.timed = form != "text"

    def read(self, value: object) -> Value:
        """The value as it is compared; ValueError says what is allowed."""
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            try:
                if 0 < len(str(value)) <= MOST_CHARS:
                    return self._read(value)
            except (ValueError, OverflowError, InvalidOperation):
                pass
        raise ValueError(self._allowed())

    def write(self, value: Value) -> str | int:
        """As the API has it, never later than the value."""
        if not isinstance(value, datetime):
            return value
        match self._form:
            case "unix":
                return (value - _EPOCH) // timedelta(seconds=1)
            case "unix_ms":
                return (value - _EPOCH) // timedelta(milliseconds=1)
            case "date":
                return value.strftime("%Y-%m-%d")
            case "datetime":
                return value.replace(tzinfo=None).isoformat() + "Z"
            case pattern:
                return value.strftime(pattern)

    def _read(self, value: str | int | Decimal) -> Value:
        match self._form:
            case "text" if not isinstance(value, Decimal):
                return value
            case "unix" | "unix_ms":
                if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
                    raise ValueError
                scale = 1_000_000 if self._form == "unix" else 1000
                return _EPOCH + timedelta(microseconds=int(Decimal(value) * scale))
            case "date" | "datetime":
                return _aware(datetime.fromisoformat(str(value)))
            case pattern:
                return _aware(datetime.strptime(str(value), pattern))  # noqa: DTZ007 - then it is UTC

    def _allowed(self) -> str:
        match self._form:
            case "text":
                return "a text or a whole number"
            case "unix":
                return "seconds since 1970"
            case "unix_ms":
                return "milliseconds since 1970"
            case "date":
                return "a date such as 2024-01-31"
            case "datetime":
                return "an instant such as 2024-01-31T10:00:00Z"
            case pattern:
                return f"a text such as {_EPOCH.strftime(pattern)}"


def kept(value: Value) -> str | int:
    """For the marker."""
    return value.isoformat() if isinstance(value, datetime) else value


def _aware(found: datetime) -> datetime:
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
