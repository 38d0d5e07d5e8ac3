"""Destination tables kept up with their streams: what is quick at once, what takes long in the background.

`ensure` is called before a member leads and when a page needs another shape: pages can land after it. What
it leaves, older rows to fill and indexes to build, is done by the member that leads, in small steps that any
successor goes on with; nothing of it needs the fence, for whoever does a step does the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from leaderjobs.errors import StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.stream import Stream
from leaderjobs.model.term import Term
from leaderjobs.store.tables import Tables

FIRST_AFTER = timedelta(seconds=3)
"""A take-over has more urgent things to do."""
LOOK_EVERY = timedelta(seconds=30)
"""How long a table that is in use, or that another member is at, is left alone."""


class Upkeep:
    """The tables of one process. `ensure` from any thread, `run` from one at a time."""

    def __init__(self, tables: Tables, emit: Emit) -> None:
        """Nothing is asked before the first call."""
        self._tables = tables
        self._emit = emit
        self._lock = threading.Lock()
        self._left: set[tuple[str, tuple[Stream, ...]]] = set()

    def ensure(self, schema: str, streams: Sequence[Stream]) -> None:
        """As `Tables.ensure`; what it leaves is remembered for `run`."""
        if not self._tables.ensure(schema, streams):
            with self._lock:
                self._left.add((schema, tuple(streams)))

    def run(self, term: Term) -> None:
        """Do what is left until the term is over; raises nothing."""
        pause = FIRST_AFTER
        while not term.over.wait(pause.total_seconds()):
            pause = LOOK_EVERY
            with self._lock:
                left = list(self._left)
            for schema, streams in left:
                try:
                    self._finish(term, schema, streams)
                except StoreError as error:
                    facts = {"service": f"tables of {schema}", "error": str(error)}
                    self._emit(Event(EventKind.SERVICE_FAILED, facts))

    def interrupt(self) -> None:
        """End a step that takes long; any thread."""
        self._tables.interrupt()

    def _finish(self, term: Term, schema: str, streams: tuple[Stream, ...]) -> None:
        """Steps of a schema's tables, as long as there is something to do and the term lasts."""
        while not term.is_over():
            if self._tables.fill_some(schema, streams):
                continue
            if not self._tables.pending(schema, streams):
                with self._lock:
                    self._left.discard((schema, streams))
                self._emit(Event(EventKind.TABLES_FINISHED, {"schema": schema}))
            return
