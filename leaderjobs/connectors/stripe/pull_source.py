"""Where a stream's rows come from at Stripe."""

from __future__ import annotations

from dataclasses import dataclass

from leaderjobs.model.stream import Stream

Query = tuple[tuple[str, str], ...]
"""Parameters of a request, in order."""
EVENTS_PATH = "/v1/events"


@dataclass(frozen=True, slots=True)
class Source:
    """A list, and the events that tell what becomes of its objects."""

    stream: Stream
    noun: str
    """What `object` says in each of them."""
    params: Query = ()
    """Of every request for the list."""
    parts: tuple[Query, ...] = ((),)
    """The lists that together are the whole, where one request cannot ask for it."""
    events: Query = ()
    """Which events are about such objects; none: Stripe has none."""
    deletions: frozenset[str] = frozenset()
    """The events after which an object is gone."""
    skips: frozenset[str] = frozenset()
    """Events that are about something that only looks like such an object."""
    sweeps: bool = False
    """Whether what a complete listing does not hold is gone."""

    @property
    def path(self) -> str:
        """The list's address."""
        return f"/v1/{self.stream.name}"

    @property
    def forgets(self) -> bool:
        """Whether the list itself goes back 30 days only."""
        return self.path == EVENTS_PATH
