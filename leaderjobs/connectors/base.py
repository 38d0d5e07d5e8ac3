"""The contracts of a connector and of its operations, and what the engine lends them.

An operation never sends by itself. It says what to send (`build`, once; the ledger keeps it and every send is
that, to the byte), what an answer means (`classify`), and how to look without acting (`look_up`); the engine
stamps, sends, records and decides. So whoever writes one cannot make it act twice by forgetting something.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

import msgspec

from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import FREE, Pace, Paces
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch
from leaderjobs.model.effect import Effect, Request, Verdict
from leaderjobs.model.job import Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.quota import Quota
from leaderjobs.model.settle import Rules
from leaderjobs.model.stream import Stream

Arguments: TypeAlias = Mapping[str, object]
"""Of one effect: JSON values by name, normalised by the operation."""
Options: TypeAlias = Any
"""An instance of the connector's own `settings`."""
Ask: TypeAlias = Callable[[Request], Answer]
"""Send a request that changes nothing; the answer whatever its status, or TransientError without one."""


class ReadContext(Protocol):
    """The engine's side of a read; everything may be called from the reading thread only."""

    @property
    def window(self) -> Window | None:
        """What `enqueue --since/--until` asked for; only streams that are `windowed` ever see one.

        The cursor is then the one of earlier batches of this same job, None at its beginning.
        """

    def spend(self, quota: Quota, units: int) -> None:
        """Count `units` as used, before the request that uses them; durable, over all terms and members.

        QuotaExhausted, and nothing is counted, where they would go over the limit.
        """

    def observe(self, quota: Quota, used: int) -> None:
        """Keep the provider's own word on how much is used; never raises for it, never lowers a count."""

    def log(self, line: str) -> None:
        """A line for whoever looks into this job; cut and redacted, never an error."""

    def check(self) -> None:
        """Raise LeadershipLost or Interrupted when the work must stop; called before every request."""

    def wait(self, delay: timedelta) -> None:
        """Sleep, unless the work must stop: then raise as `check` does, at once."""


class Connector(ABC):
    """One connection's code; made by the registry from validated settings, used by one thread at a time."""

    name: ClassVar[str]
    """The word in `connector = "…"`."""
    settings: ClassVar[type[msgspec.Struct]]
    """What `[connections.NAME]` may hold beside `connector`; its values are checked when it is made."""
    streams: tuple[Stream, ...]
    """Of the class, or of the instance where the settings say what there is; then `streams_of` does too."""
    schema: str = ""
    """Where its tables are: what `schema_of` says; set by the registry."""
    pace: Pace = FREE
    """Of requests that have no endpoint's rate, operations above all; set by the registry."""

    @abstractmethod
    def __init__(self, connection: str, options: Options, paces: Paces) -> None:
        """Open no socket; `paces` are those of the process."""

    @classmethod
    def streams_of(cls, connection: str, options: Options) -> tuple[Stream, ...]:
        """What one made with these settings has, in the order in which a sync reads them."""
        del connection, options
        return cls.streams

    @classmethod
    def schema_of(cls, connection: str, options: Options) -> str:
        """Where the tables of one made with these settings are."""
        del connection, options
        return cls.name

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
        """One cheap call that proves the credentials; raises as `read` does.

        Unauthenticated, Forbidden, QuotaExhausted, RateLimited and NeedsUser say what is wrong;
        TransientError with a code of `outcome.UNANSWERED` says that nobody answered.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of sockets; safe to call twice, and from another thread to cut off a request."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What can be done at the provider through this connection, by name."""
        return {}

    def exchange(self, request: Request, *, timeout: timedelta, guard: Callable[[], None]) -> Answer:
        """Send one request with our credentials, on a connection of its own; the answer, whatever its status.

        `guard` is called once everything is ready and nothing of the request has left: what it raises passes
        through, and then nothing was sent. TransientError with code NOT_SENT when the request provably never
        left, and with NO_ANSWER when it may have; ConfigError, and nothing was sent, where the credentials
        cannot be had; Interrupted, and nothing was sent, once `close` was called. Nothing is retried and no
        redirect is followed. May be called from several threads at once.
        """
        del request, timeout, guard
        raise FatalError(f"connector {self.name} has no operations", code="no_operations")

    def movements(self, since: datetime, context: ReadContext) -> Iterator[Movement]:
        """What took effect at the provider since then, as its own lists show it, whoever caused it.

        For `effects reconcile`; a connector that cannot list them has none, and says so by `reconciles`.
        """
        del since, context
        return iter(())

    @property
    def reconciles(self) -> frozenset[str]:
        """The operations of which `movements` gives everything."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Movement:
    """One thing that took effect at the provider."""

    operation: str
    """The operation that it would be one of."""
    business_key: str
    """The effect that it would be; two movements with one key are one too many."""
    remote_id: str
    at: datetime
    idempotency_key: str = ""
    """Of the request that caused it, where the provider tells."""
    facts: Mapping[str, object] = field(default_factory=dict)


class Channel(Protocol):
    """What the engine lends an operation for one send."""

    def exchange(self, request: Request) -> Answer:
        """`Connector.exchange` with this send's timeout and guard."""

    def guard(self) -> None:
        """Raise when nothing may leave any more; called once, by `exchange` or by whoever sends otherwise."""

    @property
    def timeout(self) -> timedelta:
        """How long this send may take."""


class Operation(ABC):
    """A write to a third party that must take effect once; stateless, any thread."""

    name: str
    """The word after the dot in `leaderjobs enqueue CONNECTION.NAME`."""
    rules: Rules
    """What may be relied on at the provider."""
    timeout: timedelta = timedelta(seconds=8)
    """Of one send; cut short where the term cannot vouch for that long."""

    @abstractmethod
    def parse(self, given: Arguments) -> Arguments:
        """The arguments, normalised, so that two equal wishes are equal; UsageError says what is allowed.

        Values that come from a command line are text.
        """

    @abstractmethod
    def business_key(self, arguments: Arguments) -> str:
        """What must happen once: equal for two requests that mean the same effect, whatever else differs."""

    @abstractmethod
    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """The request, complete but for the credentials; called once for an effect, and kept."""

    @abstractmethod
    def classify(self, answer: Answer) -> Verdict:
        """What an answer means. Where it does not say for sure, that is UNKNOWN, never a guess."""

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """Look for the effect without acting: DONE, PENDING, DECLINED, or OPEN where nothing of it shows.

        Called only where `rules.looks_up`. Before the first send (`effect.sends` is empty) it may also refuse
        what was asked for (DECLINED: the amount is another); afterwards DECLINED means that no send can act
        any more. `ask`'s TransientError passes through: then nothing is known.
        """
        raise NotImplementedError

    def transmit(self, request: Request, channel: Channel) -> Answer:
        """Send it once, by HTTP unless overridden; what `Connector.exchange` raises tells what became of it.

        Whoever overrides this calls `channel.guard()` once, right before the first byte leaves, and keeps to
        `channel.timeout`. What is raised after that counts as unknown, whatever it says; before it,
        TransientError with code NOT_SENT, ConfigError and Interrupted say that nothing has left.
        """
        return channel.exchange(request)
