"""Locks between processes that end with the process, not with a file's presence."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaderjobs.embedded.process import wait_until


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[int]:
    """Hold `path` and give its descriptor; TimeoutError when somebody else holds it for that long.

    A child that inherits the descriptor goes on holding the lock after this block has ended.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not wait_until(lambda: _take(descriptor), seconds):
            raise TimeoutError(f"{path} has been locked by another process for {seconds:.0f} s")
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
