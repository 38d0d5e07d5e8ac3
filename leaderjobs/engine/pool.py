"""Threads that run attempts: as many as are needed at once, and no more than are allowed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from leaderjobs import clock

T = TypeVar("T")


class Pool(Generic[T]):
    """Persistent threads that share one queue; made when first needed.

    A thread takes one thing after the other without sleeping in between. When it takes one and sees more, it
    wakes one other thread, which does the same when it comes to run: so work that blocks finds the next
    thread within tens of microseconds, and work that does not is done before many threads are awake.
    """

    def __init__(self, most: int, work: Callable[[T], None]) -> None:
        """At most `most` threads; `work` runs on them and must not raise."""
        self._most = most
        self._work = work
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._parked: list[threading.Lock] = []
        self._threads = 0
        self._waking = False
        self._closed = False

    def put(self, work: Iterable[T]) -> None:
        """Have it done soon, in order; any thread."""
        self._ready.extend(work)
        self._wake_one()

    def take_back(self) -> list[T]:
        """What no thread has begun; any thread."""
        taken: list[T] = []
        while self._ready:
            try:
                taken.append(self._ready.popleft())
            except IndexError:
                break
        return taken

    def close(self) -> None:
        """Let every thread end once it has nothing to do; what is put afterwards is not done."""
        with self._changed:
            self._closed = True
            parked, self._parked = self._parked, []
        for lock in parked:
            lock.release()

    def join(self, seconds: float) -> bool:
        """Wait until every thread has ended, after `close`; False when some did not in time."""
        deadline = clock.elapsed() + seconds
        with self._changed:
            while self._threads:
                left = deadline - clock.elapsed()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _wake_one(self) -> None:
        with self._changed:
            if self._waking or self._closed or not self._ready:
                return
            if self._parked:
                self._waking = True
                self._parked.pop().release()
                return
            if self._threads == self._most:
                return
            self._waking = True
            self._threads += 1
            number = self._threads
        threading.Thread(target=self._run, name=f"job-{number}", daemon=True).start()

    def _run(self) -> None:
        parking = threading.Lock()
        parking.acquire()
        ready, work = self._ready, self._work
        self._waking = False
        while True:
            while ready:
                try:
                    item = ready.popleft()
                except IndexError:
                    break
                if ready and not self._waking:
                    self._wake_one()
                work(item)
            with self._changed:
                if ready:
                    continue
                if self._closed:
                    self._threads -= 1
                    self._changed.notify_all()
                    return
                self._parked.append(parking)
            parking.acquire()
            self._waking = False
