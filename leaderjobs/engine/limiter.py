"""Who may start now. Pure: no I/O, the clock is injected; exact, because one leader runs everything.

Lanes: the syncs of a connection run one at a time, for they share its cursors; its operations run beside
them, a few at a time. Limits hold on top: for all attempts of a connection, of a provider (all connections of
one connector), of the cluster. A connection that is held starts nothing until the hold is over.

Fair: the most urgent priority first, and within it the connection that was served longest ago; so one with
100,000 jobs starts as many of them as one with ten, while both have any. Then what was due first.

Strands stand in one line for each provider, so that a provider at its limit costs nothing, however many of
its connections wait. One that cannot start for a reason of its connection leaves the line, and comes back
when the reason has gone: a few heap operations for each job, whatever the number of connections.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from leaderjobs.engine.ahead import Strand

SAME_HOLD = 0.05
"""Seconds by which a hold may seem to move from one look to the next: nothing has changed."""
OPERATIONS_AT_ONCE = 4
"""Operations of one connection that run at a time, where no limit says otherwise."""
MOST_CONNECTIONS = 20_000
"""Connections that are remembered with nothing running and nothing waiting, for whose turn it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts may run at a time."""

    concurrency: int
    """In all."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """Of a connection, by its name."""
    providers: Mapping[str, int] = field(default_factory=dict)
    """Of all connections of a connector, by its name."""
    provider_of: Mapping[str, str] = field(default_factory=dict)
    """The connector of each connection; one that is not there has none of the limits of a provider."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why nothing more of something starts at the moment."""

    held: Mapping[str, float]
    """Connections, and for how many seconds yet."""
    full_connections: tuple[str, ...]
    """Connections with as many attempts as a limit allows."""
    full_providers: tuple[str, ...]
    full: bool
    """Whether the cluster's own concurrency is used up."""


@dataclass(slots=True, eq=False)
class _Provider:
    """A line of strands that may start, but for the provider's own limit."""

    limit: int | None
    running: int = 0
    line: list[_Entry] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return self.limit is not None and self.running >= self.limit


@dataclass(slots=True, eq=False)
class _Connection:
    name: str
    provider: _Provider
    limit: int | None
    syncs: int = 0
    operations: int = 0
    served: int = 0
    """Rises with every start in the cluster: the lower, the longer it has waited."""
    held_until: float | None = None
    lined_up: int = 0
    """Strands in its provider's line."""
    aside: list[Strand] = field(default_factory=list)
    """Strands that wait for a reason of this connection."""

    def admits(self, *, operations: bool, now: float) -> bool:
        if self.held_until is not None and self.held_until > now:
            return False
        running = self.syncs + self.operations
        if self.limit is not None and running >= self.limit:
            return False
        if operations:
            return self.operations < (self.limit or OPERATIONS_AT_ONCE)
        return self.syncs == 0


_Entry: TypeAlias = tuple[int, int, datetime, int, int, Strand, _Connection]


class Limiter:
    """Counts what runs, and says who is next. One thread."""

    def __init__(self, limits: Limits, elapsed: Callable[[], float]) -> None:
        """Nothing runs and nothing waits; `elapsed` in seconds."""
        self._limits = limits
        self._elapsed = elapsed
        self._running = 0
        self._connections: dict[str, _Connection] = {}
        self._providers: dict[str, _Provider] = {}
        self._held: set[str] = set()
        self._holds: list[tuple[float, str]] = []
        self._starts = itertools.count(1)
        self._order = itertools.count()

    @property
    def running(self) -> int:
        """How many attempts were begun and have not ended."""
        return self._running

    @property
    def held(self) -> AbstractSet[str]:
        """The connections with a hold, also one that is over and waits for its probe."""
        return self._held

    def configure(self, limits: Limits) -> None:
        """Other limits from now on; what runs over them runs on."""
        self._limits = limits
        strands = [entry[5] for provider in self._providers.values() for entry in provider.line]
        self._providers = {}
        for connection in self._connections.values():
            strands += connection.aside
            connection.aside = []
            connection.lined_up = 0
            connection.provider, connection.limit = self._limits_of(connection.name)
            connection.provider.running += connection.syncs + connection.operations
        for strand in strands:
            strand.lined_up = False
            self.line_up(strand)

    def line_up(self, strand: Strand) -> None:
        """A strand has jobs that are due; one that is in line already stays where it is."""
        if strand.lined_up or not strand.waiting:
            return
        strand.lined_up = True
        self._enter(strand, self._connection(strand.connection))

    def next(self) -> Strand | None:
        """Whose first waiting job may start now: it counts as begun, and the caller must take it.

        The strand leaves the line; `line_up` it again when it has another.
        """
        if self._running >= self._limits.concurrency:
            return None
        now = self._elapsed()
        while (provider := self._first()) is not None:
            entry = heapq.heappop(provider.line)
            strand, connection = entry[5], entry[6]
            connection.lined_up -= 1
            if not strand.waiting:
                strand.lined_up = False
            elif not connection.admits(operations=strand.operations, now=now):
                connection.aside.append(strand)
            elif entry[1] != connection.served:
                # Another strand of the connection was served meanwhile.
                self._enter(strand, connection)
            else:
                strand.lined_up = False
                self._begin(connection, operation=strand.operations)
                return strand
        return None

    def end(self, connection: str, *, operation: bool) -> None:
        """An attempt that was begun is over."""
        found = self._connections[connection]
        if operation:
            found.operations -= 1
        else:
            found.syncs -= 1
        found.provider.running -= 1
        self._running -= 1
        self._come_back(found)
        if len(self._connections) > MOST_CONNECTIONS:
            self._forget(found)

    # -- holds ---------------------------------------------------------------------------------------------

    def hold(self, connection: str, seconds: float) -> None:
        """Start nothing of a connection for so long; a hold that is there is prolonged or cut short."""
        until = self._elapsed() + seconds
        found = self._connection(connection)
        self._held.add(connection)
        if found.held_until is None or abs(found.held_until - until) > SAME_HOLD:
            found.held_until = until
            heapq.heappush(self._holds, (until, connection))

    def release(self, connection: str) -> None:
        """End a hold, if there is one."""
        if connection in self._held:
            self._held.remove(connection)
            found = self._connections[connection]
            found.held_until = None
            self._come_back(found)

    def set_holds(self, holds: Mapping[str, float]) -> None:
        """The connections that are held, and for how many seconds yet; no other is."""
        for name in self._held - holds.keys():
            self.release(name)
        for name, seconds in holds.items():
            self.hold(name, seconds)

    def pass_time(self) -> float | None:
        """Let those start again whose hold is over; when, by the clock, the next one is."""
        now = self._elapsed()
        while self._holds:
            until, name = self._holds[0]
            found = self._connections.get(name)
            current = found is not None and found.held_until == until
            if current and until > now:
                return until
            heapq.heappop(self._holds)
            if found is not None and current:
                self._come_back(found)
        return None

    def blocked(self) -> Blocked:
        """What holds back how much, for people."""
        now = self._elapsed()
        held = {
            name: until - now
            for name in self._held
            if (until := self._connections[name].held_until) is not None and until > now
        }
        return Blocked(
            held=held,
            full_connections=tuple(
                each.name
                for each in self._connections.values()
                if each.name not in held and not each.admits(operations=True, now=now)
            ),
            full_providers=tuple(name for name, each in self._providers.items() if each.full),
            full=self._running >= self._limits.concurrency,
        )

    # -- parts ---------------------------------------------------------------------------------------------

    def _limits_of(self, name: str) -> tuple[_Provider, int | None]:
        connector = self._limits.provider_of.get(name, "")
        provider = self._providers.get(connector)
        if provider is None:
            limit = self._limits.providers.get(connector) if connector else None
            provider = self._providers[connector] = _Provider(limit)
        return provider, self._limits.connections.get(name)

    def _connection(self, name: str) -> _Connection:
        found = self._connections.get(name)
        if found is None:
            found = self._connections[name] = _Connection(name, *self._limits_of(name))
        return found

    def _first(self) -> _Provider | None:
        """The provider whose first strand is the most urgent of all that may start."""
        best: _Provider | None = None
        for provider in self._providers.values():
            if provider.line and not provider.full and (best is None or provider.line[0] < best.line[0]):
                best = provider
        return best

    def _enter(self, strand: Strand, connection: _Connection) -> None:
        at, job = strand.waiting[0]
        entry = (strand.priority, connection.served, at, job, next(self._order), strand, connection)
        heapq.heappush(connection.provider.line, entry)
        connection.lined_up += 1

    def _begin(self, connection: _Connection, *, operation: bool) -> None:
        if operation:
            connection.operations += 1
        else:
            connection.syncs += 1
        connection.served = next(self._starts)
        connection.provider.running += 1
        self._running += 1

    def _come_back(self, connection: _Connection) -> None:
        aside, connection.aside = connection.aside, []
        for strand in aside:
            if strand.waiting:
                self._enter(strand, connection)
            else:
                strand.lined_up = False

    def _forget(self, connection: _Connection) -> None:
        """A connection that comes back is served as one that has waited longest."""
        busy = connection.syncs or connection.operations or connection.lined_up or connection.aside
        if not busy and connection.held_until is None:
            del self._connections[connection.name]
