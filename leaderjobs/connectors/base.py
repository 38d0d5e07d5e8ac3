"""The contract of a connector, and what the engine lends it while it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar, Protocol

from leaderjobs.model.batch import Batch
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream


class ReadContext(Protocol):
    """The engine's side of a read; everything may be called from the reading thread only."""

    def check(self) -> None:
        """Raise LeadershipLost or Interrupted when the work must stop; called before every request."""

    def wait(self, delay: timedelta) -> None:
        """Sleep, unless the work must stop: then raise as `check` does, at once."""


class Connector(ABC):
    """One connection's code; made by the registry from validated settings, used by one thread at a time."""

    name: ClassVar[str]
    """The word in `connector = "…"`, and the schema of its tables."""
    streams: ClassVar[tuple[Stream, ...]]

    @abstractmethod
    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """Yield pages from `cursor` (None: from the beginning) until the provider has no more.

        Each batch's cursor is a place from which another process can go on. The consumer commits a batch
        before it asks for the next one *or the one after* (one may be fetched ahead), and a batch that
        was yielded may never be committed. Raises TransientError, RateLimited, NeedsUser or FatalError;
        batches yielded before the error stand.
        """

    @abstractmethod
    def check(self) -> None:
        """One cheap call that proves the credentials; raises as `read` does."""

    @abstractmethod
    def close(self) -> None:
        """Let go of sockets; safe to call twice, and from another thread to cut off a request."""
