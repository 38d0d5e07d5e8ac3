"""The member's one ear: what the database tells, handed on to whoever subscribed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

from leaderjobs.model.signal import Signal
from leaderjobs.model.term import Term
from leaderjobs.store.waker import Waker

LOOK_EVERY = timedelta(seconds=1)
"""How often the listening thread looks whether its term is over."""

Hear: TypeAlias = Callable[[Signal], None]
"""Called on the listening thread; must not block and must not raise."""


class Signals:
    """Listens while a term lasts; in between nobody would read, and the server would keep it all.

    Signals are hints: behind a pooler none may come, so every subscriber also looks by itself now and then.
    """

    def __init__(self, waker: Waker) -> None:
        """Nothing is heard before `listen`; the caller owns the waker."""
        self._waker = waker
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._subscribers: dict[int, Hear] = {}

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """Hear every signal from now on, until what is returned is called; any thread."""
        with self._lock:
            self._subscribers[(number := next(self._numbers))] = hear

        def end() -> None:
            with self._lock:
                self._subscribers.pop(number, None)

        return end

    def listen(self, term: Term) -> None:
        """Begin, on a thread of its own that ends with the term; returns at once."""
        threading.Thread(target=self._run, args=(term,), name="signals", daemon=True).start()

    def _run(self, term: Term) -> None:
        while not term.is_over():
            for signal in self._waker.hear(LOOK_EVERY):
                with self._lock:
                    subscribers = list(self._subscribers.values())
                for hear in subscribers:
                    hear(signal)
        self._waker.rest()
