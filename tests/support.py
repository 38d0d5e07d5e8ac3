"""What tests of every kind share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from leaderjobs.embedded.process import free_port

__all__ = ["eventually", "free_port"]

T = TypeVar("T")
POLL_SECONDS = 0.02


def eventually(predicate: Callable[[], T | None], timeout: float = 30.0, what: str = "") -> T:
    """Ask until the answer is truthy and give it; AssertionError with the last answer when time is up."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout} s: {what or predicate}; last answer {answer!r}")
        pause.wait(POLL_SECONDS)
