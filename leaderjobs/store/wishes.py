"""What is asked for, as the schema's functions `plan` and `fire` take it."""

from __future__ import annotations

import base64
import json
from typing import TypeAlias

from leaderjobs.errors import Refused
from leaderjobs.model.effect import MOST_BUSINESS_KEY_CHARS, NewEffect
from leaderjobs.model.job import DEFAULT_PRIORITY, NewJob
from leaderjobs.store.text import checked

Wish: TypeAlias = NewJob | NewEffect
"""The job of a sync, or an effect and its job."""


def wish_document(wish: Wish) -> dict[str, object]:
    """What `leaderjobs.fire` takes; Refused as in `effect_document`."""
    if isinstance(wish, NewEffect):
        return {
            "priority": DEFAULT_PRIORITY,
            "connection": wish.connection,
            "effect": effect_document(wish),
        }
    limit = wish.time_limit
    return {
        "target": checked(wish.target, "target"),
        "connection": checked(wish.connection, "connection"),
        "streams": list(wish.streams),
        "priority": wish.priority,
        "max_attempts": wish.max_attempts,
        "time_limit": None if limit is None else f"{limit.total_seconds()} seconds",
    }


def effect_document(new: NewEffect) -> dict[str, object]:
    """What `leaderjobs.plan` takes: the body to the byte, the headers in their order.

    Refused when the business key cannot be stored.
    """
    key = checked(new.business_key, "business key")
    if not 0 < len(key) <= MOST_BUSINESS_KEY_CHARS:
        raise Refused(f"business key {key[:40]!r}: allowed: 1 to {MOST_BUSINESS_KEY_CHARS} characters")
    return {
        "id": str(new.id),
        "connection": new.connection,
        "operation": new.operation,
        "business_key": key,
        "arguments": dict(new.arguments),
        "method": new.request.method,
        "path": new.request.path,
        "headers": json.dumps(dict(new.request.headers)),
        "body": base64.b64encode(new.request.body).decode(),
        "idempotency_key": new.idempotency_key,
        "max_attempts": new.max_attempts,
    }
