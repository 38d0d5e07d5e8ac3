"""What took effect at a provider, written down once and for good: the judge of "once".

Nothing here knows of requests, keys, answers or faults. Whoever moves money enters a line at that very
moment, and what is counted later is counted from these lines and from nothing else.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

import msgspec

from leaderjobs import clock

MOST_LINES = 1_000_000


def _wall() -> float:
    return clock.now().timestamp()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What every line says: when (seconds by the wall clock, whatever the provider's own says), and who."""

    at: float = msgspec.field(default_factory=_wall)
    idempotency_key: str | None = None
    """As it was sent, also to a provider that ignores keys."""
    user_agent: str | None = None
    by: str = "other"
    """`api`, or `other` for what somebody did without a request."""


class Payment(Line, frozen=True, kw_only=True):
    """Money that came in; `amount` in the currency's smallest unit."""

    payment_intent: str
    charge: str
    invoice: str | None
    amount: int
    currency: str
    metadata: Mapping[str, str]


class Refund(Line, frozen=True, kw_only=True):
    """Money that went back."""

    refund: str
    payment_intent: str
    charge: str
    amount: int
    currency: str
    metadata: Mapping[str, str]


class Order(Line, frozen=True, kw_only=True):
    """An order that was taken."""

    order: str
    reference: str
    cents: int


class Book:
    """Lines are entered, never changed or removed.

    A book that forgot would find no double, so a full one raises OverflowError before the effect.
    """

    def __init__(self) -> None:
        """Nothing has happened."""
        self._lock = threading.Lock()
        self._lines: list[Line] = []

    def enter(self, line: Line) -> None:
        """It has happened."""
        with self._lock:
            if len(self._lines) >= MOST_LINES:
                raise OverflowError(f"the book holds {MOST_LINES} lines and takes no more")
            self._lines.append(line)

    def payments(self) -> list[Payment]:
        """Every payment, in the order in which the money came in."""
        return [line for line in self._all() if isinstance(line, Payment)]

    def refunds(self) -> list[Refund]:
        """Every refund, likewise."""
        return [line for line in self._all() if isinstance(line, Refund)]

    def orders(self) -> list[Order]:
        """Every order, likewise."""
        return [line for line in self._all() if isinstance(line, Order)]

    def payments_per_invoice(self) -> dict[str, int]:
        """How often each invoice was paid; one that never was is missing."""
        return dict(Counter(line.invoice for line in self.payments() if line.invoice is not None))

    def orders_per_reference(self) -> dict[str, int]:
        """How many orders carry each reference."""
        return dict(Counter(line.reference for line in self.orders()))

    def json(self) -> bytes:
        """All of it, as `GET /_sandbox/book` gives it."""
        lines = {"payments": self.payments(), "refunds": self.refunds(), "orders": self.orders()}
        return msgspec.json.encode(lines)

    def _all(self) -> list[Line]:
        with self._lock:
            return list(self._lines)
