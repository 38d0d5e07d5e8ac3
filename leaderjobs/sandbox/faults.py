"""What can go wrong between a client and a provider, on request and reproducibly."""

from __future__ import annotations

import random
import threading
from enum import StrEnum

import msgspec


class FaultKind(StrEnum):
    """The faults; those of the page's content only make sense where pages are served."""

    LATENCY = "latency"
    """The answer comes `delay_ms` later."""
    RATE_LIMITED = "rate_limited"
    """429, with `retry_after` as the header where given."""
    SERVER_ERROR = "server_error"
    """`status` (500 unless given) in the provider's shape."""
    ERROR = "error"
    """`status`, `error_type` and `error_code` as given."""
    LOGIN_REQUIRED = "login_required"
    MUTATION = "mutation"
    """The data changed while a client was paging."""
    REDIRECT = "redirect"
    """307 to the sandbox's own address."""
    HTML = "html"
    """`status` (200 unless given) with a page for people."""
    RESET = "reset"
    """The connection is reset instead of an answer."""
    HANG = "hang"
    """No answer, the connection stays open until the client or the sandbox closes it."""
    TRUNCATED = "truncated"
    """The connection is closed in the middle of the body."""
    SLOW_DRIP = "slow_drip"
    """The answer's bytes come one by one, `delay_ms` apart."""
    HUGE = "huge"
    """An endless body."""
    DUPLICATE_ID = "duplicate_id"
    """The page's first row is there twice, the older version first."""
    EQUAL_CURSORS = "equal_cursors"
    """More is promised, and the next cursor is the one that was asked for."""
    NOT_READY = "not_ready"
    """Nothing has been fetched yet: no rows and an empty cursor."""
    SHAPELESS = "shapeless"
    """A JSON object without what the contract promises."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fault and when it strikes; the defaults make it strike every request."""

    kind: FaultKind
    path: str = ""
    """Only requests whose path begins so."""
    skip: int = 0
    """So many matching requests pass first."""
    count: int | None = None
    """Strikes so often; None: without end."""
    probability: float = 1.0
    delay_ms: int = 100
    status: int | None = None
    retry_after: str | None = None
    error_type: str = "API_ERROR"
    error_code: str = "INTERNAL_SERVER_ERROR"


class Faults:
    """The faults that are switched on; the same seed and requests give the same strikes."""

    def __init__(self, seed: int) -> None:
        """Nothing is switched on."""
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._switched_on: list[Fault] = []
        self._passed: list[int] = []
        self._struck: list[int] = []

    def replace(self, *faults: Fault) -> None:
        """Switch on these and no others; without arguments nothing goes wrong any more."""
        with self._lock:
            self._switched_on = list(faults)
            self._passed = [0] * len(faults)
            self._struck = [0] * len(faults)

    def draw(self, path: str) -> tuple[Fault, ...]:
        """The faults that strike this request, counted as struck."""
        with self._lock:
            return tuple(
                fault
                for index, fault in enumerate(self._switched_on)
                if path.startswith(fault.path) and self._strikes(index, fault)
            )

    def struck(self) -> int:
        """How often the faults that are switched on have struck."""
        with self._lock:
            return sum(self._struck)

    def _strikes(self, index: int, fault: Fault) -> bool:
        if self._passed[index] < fault.skip:
            self._passed[index] += 1
            return False
        if fault.count is not None and self._struck[index] >= fault.count:
            return False
        if self._random.random() >= fault.probability:
            return False
        self._struck[index] += 1
        return True
