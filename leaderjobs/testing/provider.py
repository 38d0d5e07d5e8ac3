"""What the suite wants of a provider's stand-in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from leaderjobs.connectors.base import Connector
from leaderjobs.model.job import Window

LEAST_PAGES = 6


class Can(StrEnum):
    """What a stand-in may be able to do; the tests of what it cannot do are skipped, and say so."""

    DELETES = "deletes"
    """`remove` rows, so that a copy must lose them."""
    FAILS = "fails"
    """Answer with the Troubles that stand in the place of a page."""
    DUPLICATE_ID = "duplicate_id"
    EQUAL_TOKENS = "equal_tokens"
    EMPTY_PAGE = "empty_page"
    TOO_LARGE = "too_large"
    DRIFT = "drift"
    """`drift`."""
    PAGES_ASKED_TWICE = "pages_asked_twice"
    """Count them."""
    QUOTA = "quota"
    """The connector counts its requests against a Quota."""
    WINDOW = "window"
    """The stream is `windowed`: `window` and `inside` say what can be asked for."""


class Trouble(StrEnum):
    """What can be wrong with the answers to the stream's requests."""

    RATE_LIMITED = "rate_limited"
    """The provider's way to say: too many requests."""
    SERVER_ERROR = "server_error"
    """The provider's way to say that something broke at its side."""
    HTML = "html"
    """A status of 200 with a page for people."""
    UNAVAILABLE = "unavailable"
    """A status of 503 with a page for people."""
    RESET = "reset"
    """The connection is reset instead of an answer."""
    TRUNCATED = "truncated"
    """The connection is closed in the middle of the body."""
    REDIRECT = "redirect"
    """A status of 307 to another address."""
    SHAPELESS = "shapeless"
    """A JSON object without what the provider promises."""
    HANG = "hang"
    """No answer, the connection stays open."""
    TOO_LARGE = "too_large"
    """A body without an end."""
    DUPLICATE_ID = "duplicate_id"
    """The page's first row is there twice, an older version first."""
    EQUAL_TOKENS = "equal_tokens"
    """More is promised, and the way to it is the one that has just been gone."""
    EMPTY_PAGE = "empty_page"
    """A page without rows, and more to come."""


class Provider(ABC):
    """A stand-in of a provider, with a stream that comes in at least LEAST_PAGES pages.

    Used as a context manager; each test makes a new one. It needs a state that can be changed and read, and
    should answer at once: nothing here waits for real.
    """

    name: str
    """The connector's."""
    stream: str
    """Which stream the suite is about: the one whose rows `add`, `modify` and `remove` change."""
    can: frozenset[str] = frozenset()
    """Names of `Can`."""
    overlap: int = 0
    """How many rows a read may bring again although nothing is new, in a stream of changes or newer rows."""
    cursor_bytes: int = 1024
    """How much a cursor of any stream may hold."""
    numbers: tuple[str, ...] = ()
    """Numbers of `rows`, after a `drift` where there is one, to the digit: a float has no room for them."""

    @abstractmethod
    def start(self) -> None:
        """Serve."""

    @abstractmethod
    def stop(self) -> None:
        """Cut every connection."""

    @abstractmethod
    def connect(self, **options: object) -> Connector:
        """A new connector as another process would make it, at full speed; `options` change its settings."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """The credentials that `connect` uses."""

    @abstractmethod
    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        """The truth: what a stream's table must hold, by id; numbers with a point as Decimal."""

    @abstractmethod
    def add(self, count: int) -> None:
        """Make new rows of the stream."""

    @abstractmethod
    def modify(self, count: int) -> None:
        """Change up to so many rows of the stream."""

    def remove(self, count: int) -> None:
        """Remove up to so many rows of the stream (DELETES)."""
        raise NotImplementedError

    @abstractmethod
    def requests(self) -> Mapping[str, int]:
        """How many requests each path got, those for access tokens aside."""

    def trouble(self, kind: Trouble, *, skip: int = 0, count: int | None = None) -> None:
        """Let `skip` requests of the stream pass, then spoil `count` (None: all); instead of the last one."""
        raise NotImplementedError

    def calm(self) -> None:
        """No trouble any more."""
        raise NotImplementedError

    def drift(self) -> None:
        """Give some rows a member that nobody knew, and another type to one that everybody knew (DRIFT)."""
        raise NotImplementedError

    def pages_asked_twice(self) -> int:
        """How many pages were asked for again after they had been answered (PAGES_ASKED_TWICE)."""
        raise NotImplementedError

    def window(self) -> Window:
        """A span with some of the rows in it, but not all (WINDOW)."""
        raise NotImplementedError

    def inside(self, row: Mapping[str, Any]) -> bool:
        """Whether a row lies in `window` (WINDOW)."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
