"""What Google's APIs put into an error answer, read tolerantly.

The body is `{"error": {code, message, status, errors: [{reason}], details: [{reason}]}}`; the older APIs fill
`errors`, the newer ones `status` and `details`, some both. A gateway in between may answer with anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leaderjobs.connectors.documents import parsed, rows, table, text
from leaderjobs.connectors.outcome import Answer

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class GoogleError:
    """An error answer; members that are missing or odd are empty."""

    status: str
    """Google's word for the class, such as `RESOURCE_EXHAUSTED`."""
    message: str
    """For people, on one line and cut."""
    reasons: tuple[str, ...]
    """Such as `quotaExceeded` or `SERVICE_DISABLED`, without repeats, in the order they stand."""

    @property
    def code(self) -> str:
        """The most telling word there is: the first reason, else the status."""
        return self.reasons[0] if self.reasons else self.status


def error_in(answer: Answer) -> GoogleError:
    """What an answer with a status other than 2xx says."""
    said = table(table(parsed(answer.body)).get("error"))
    entries = [*rows(said.get("errors"))[:_MOST_REASONS], *rows(said.get("details"))[:_MOST_REASONS]]
    found = [_word(table(entry).get("reason")) for entry in entries]
    return GoogleError(
        status=_word(said.get("status")),
        message=text(said.get("message")),
        reasons=tuple(dict.fromkeys(filter(None, found))),
    )


def reasons(answer: Answer) -> frozenset[str]:
    """The reasons that an error answer gives; empty where it gives none."""
    return frozenset(error_in(answer).reasons)


def _word(value: object) -> str:
    """A code as Google writes them, or nothing: free text does not pass for one."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""
