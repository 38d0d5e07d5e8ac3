"""What a client asks of a sandbox, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, received whole."""

    number: int
    """Counts from 1 in the order of arrival."""
    method: str
    path: str
    query: str
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, ready to be sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
