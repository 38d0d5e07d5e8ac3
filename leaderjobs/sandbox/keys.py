"""Idempotency keys: what was asked first under a key, and what was said to it."""

from __future__ import annotations

import threading
from datetime import timedelta
from enum import StrEnum

import msgspec

from leaderjobs.sandbox.exchange import Reply

MOST_KEYS = 1_000_000
MOST_KEY_LENGTH = 255


class Claim(StrEnum):
    """What a key means for a request that carries it."""

    NEW = "new"
    """Nobody used it; from now on it is in use."""
    REPLAY = "replay"
    """There is an answer."""
    IN_USE = "in_use"
    """The first request is at work."""
    OTHER_ENDPOINT = "other_endpoint"
    OTHER_PARAMETERS = "other_parameters"


class Use(msgspec.Struct, kw_only=True):
    """The first request under a key."""

    endpoint: str
    parameters: str
    at: float
    """When, by the provider's own clock."""
    request: str
    """Its id, for `Original-Request`."""
    reply: Reply | None = None


class Keys:
    """Every key and its first use; forgotten `retention` later, unless the request is still at work."""

    def __init__(self, retention: timedelta) -> None:
        """No key was used."""
        self.retention = retention
        self._lock = threading.Lock()
        self._uses: dict[str, Use] = {}

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._uses)

    def claim(self, key: str, use: Use) -> tuple[Claim, Use]:
        """Use a key, and the first use of it; OverflowError rather than forget one too early."""
        with self._lock:
            self._prune(use.at - self.retention.total_seconds())
            first = self._uses.get(key)
            if first is None:
                if len(self._uses) >= MOST_KEYS:
                    raise OverflowError(f"{MOST_KEYS} idempotency keys are remembered, and no more")
                self._uses[key] = use
                return Claim.NEW, use
            if first.endpoint != use.endpoint:
                return Claim.OTHER_ENDPOINT, first
            if first.parameters != use.parameters:
                return Claim.OTHER_PARAMETERS, first
            return (Claim.IN_USE if first.reply is None else Claim.REPLAY), first

    def keep(self, key: str, request: str, reply: Reply) -> None:
        """Say this to whoever comes with the key from now on; nothing where another request took it."""
        with self._lock:
            use = self._uses.get(key)
            if use is not None and use.request == request:
                use.reply = reply

    def release(self, key: str, request: str) -> None:
        """Make the key free again: the work of this request never began. Nothing once there is an answer."""
        with self._lock:
            use = self._uses.get(key)
            if use is not None and use.request == request and use.reply is None:
                del self._uses[key]

    def _prune(self, before: float) -> None:
        """Forget what was first used before; the oldest come first, as the clock never goes back."""
        expired = []
        for key, use in self._uses.items():
            if use.at > before:
                break
            if use.reply is not None:
                expired.append(key)
        for key in expired:
            del self._uses[key]
