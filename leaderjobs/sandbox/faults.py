"""What can go wrong between a client and a provider, on request and reproducibly."""

from __future__ import annotations

import fnmatch
import random
import threading
from enum import StrEnum
from typing import Literal

import msgspec


class FaultKind(StrEnum):
    """The faults; those of the page's content only make sense where pages are served."""

    LATENCY = "latency"
    """The provider acts `delay_ms` later, also when the client has gone by then; `after`: it acts at once and
    the answer comes later."""
    RATE_LIMITED = "rate_limited"
    """429, with `retry_after` as the header where given; never kept under an idempotency key."""
    SERVER_ERROR = "server_error"
    """`status` (500 unless given) in the provider's shape."""
    ERROR = "error"
    """`status` (400 unless given), `error_type` and `error_code` as given; never kept under a key."""
    LOGIN_REQUIRED = "login_required"
    MUTATION = "mutation"
    """The data changed while a client was paging."""
    REDIRECT = "redirect"
    """307 to the sandbox's own address."""
    HTML = "html"
    """`status` (200 unless given) with a page for people."""
    RESET = "reset"
    """The connection is reset instead of an answer."""
    DROP = "drop"
    """The connection is closed in good order without a byte of an answer."""
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
    EMPTY_PAGE = "empty_page"
    """No rows, and more is promised."""
    FOREIGN_ORIGIN = "foreign_origin"
    """The next page's URL is at another origin."""
    NOT_READY = "not_ready"
    """Nothing has been fetched yet: no rows and an empty cursor."""
    SHAPELESS = "shapeless"
    """A JSON object without what the contract promises."""


WIRE = frozenset(
    {FaultKind.HANG, FaultKind.RESET, FaultKind.DROP, FaultKind.HUGE, FaultKind.REDIRECT, FaultKind.HTML}
)
"""What stands in the place of an answer."""
_ANSWER = frozenset({FaultKind.TRUNCATED, FaultKind.SLOW_DRIP, FaultKind.SHAPELESS})
"""What spoils an answer, which the provider must have given, so that it has always acted."""
_EITHER = WIRE | _ANSWER | {FaultKind.LATENCY, FaultKind.SERVER_ERROR}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fault and when it strikes; the defaults make it strike every request.

    What stands in the place of an answer strikes before the provider: the request never reached it. With
    `after` the provider has acted, kept the answer under the request's key, and only the answer is lost.
    """

    kind: FaultKind
    path: str = ""
    """Only requests whose path begins so; may hold `*`, as in `/v1/invoices/*/pay`."""
    method: str = ""
    """Only requests of this method, such as POST."""
    after: bool = False
    """Strikes once the provider has acted."""
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
    stored: bool = True
    """Whether a `server_error` is what the request's key gives back from then on. If not, the key gives the
    real answer (`after`), or is still free."""
    should_retry: Literal["true", "false"] | None = None
    """What the error's `Stripe-Should-Retry` says; None: what Stripe says of its own accord."""

    def __post_init__(self) -> None:
        """Refuse an `after` without a meaning."""
        if self.after and self.kind not in _EITHER:
            raise ValueError(f"{self.kind}: never strikes after; allowed: {', '.join(sorted(_EITHER))}")

    def strikes(self, path: str, method: str) -> bool:
        """Whether it is meant for such a request."""
        return self.method in {"", method} and (
            fnmatch.fnmatchcase(path, f"{self.path}*") if "*" in self.path else path.startswith(self.path)
        )


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

    def draw(self, path: str, method: str = "POST") -> tuple[Fault, ...]:
        """The faults that strike this request, counted as struck."""
        with self._lock:
            return tuple(
                fault
                for index, fault in enumerate(self._switched_on)
                if fault.strikes(path, method) and self._strikes(index, fault)
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
