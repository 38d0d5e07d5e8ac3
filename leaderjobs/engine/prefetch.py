"""Fetch the next page while one is being written: one batch ahead, never more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from leaderjobs.model.batch import Batch
from leaderjobs.store.batches import prepared


class Prefetch:
    """Drives a connector's generator on a thread of its own and hands its batches over in order.

    Each is made ready for the store there, while the one before is being written. An error of the generator
    comes after the batches that were yielded before it. Leaving the context ends the generator at its next
    yield; cutting off a request that is out is the caller's part (`Connector.close`), and so is waking a
    generator that waits (its context's stop event).
    """

    def __init__(self, batches: Iterator[Batch], name: str) -> None:
        """Nothing is fetched before the context is entered."""
        self._batches = batches
        self._queue: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=2)
        # A permit to fetch: given back when a batch is taken, so that at most one waits for the consumer.
        self._permit = threading.Semaphore(1)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fetch-{name}", daemon=True)

    def __enter__(self) -> Self:
        """Begin to fetch."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the fetching thread end; it is not waited for, it owns nothing that outlives it."""
        self._left.set()
        self._permit.release()

    def __iter__(self) -> Iterator[Batch]:
        """The batches, then the generator's error if it had one."""
        while True:
            item = self._queue.get()
            self._permit.release()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            self._permit.acquire()
            for batch in self._batches:
                if self._left.is_set():
                    return
                self._queue.put(prepared(batch))
                self._permit.acquire()
            self._queue.put(None)
        except BaseException as error:  # noqa: BLE001 - carried over to the consumer's thread, whatever it is
            self._queue.put(error)
