"""How a request ended: the words that connectors share without importing an HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

NOT_SENT = "not_sent"
"""Code of a TransientError: the provider cannot have acted."""
NO_ANSWER = "no_answer"
"""Code of a TransientError: the provider may have acted."""
UNANSWERED = frozenset({NOT_SENT, NO_ANSWER})
"""The codes of errors that are not the provider's word on the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole; the body is not shown because providers echo what they were sent."""

    status: int
    body: bytes = field(repr=False)
    retry_after: timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
