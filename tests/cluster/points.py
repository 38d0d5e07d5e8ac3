"""Places in a member where a test can catch it: to kill it there, to stop it, or to hold one thread.

A test lays *tokens*: files in one directory that all members share. Whoever comes to a place and can take a token
of it (a rename, so only one can) does what it says; whoever finds none goes on. Two tokens of one place strike two
leaders in turn.

    after_raise    before_stamp  in_stamp       after_stamp    before_guard   after_word    after_guard
    after_send     after_answer  before_record  after_record   before_settle  after_settle

`in_stamp` is after the last look at the term's own clock and before the COMMIT; `after_word` is when the ledger has
let a send out and the member's own clock has not been asked; `after_guard` is between the last look and the socket,
which no program can make empty; `after_send` is when the request is out and no byte of an
answer has been read.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

PLACES: Final = (
    "after_raise",
    "before_stamp",
    "in_stamp",
    "after_stamp",
    "before_guard",
    "after_word",
    "after_guard",
    "after_send",
    "after_answer",
    "before_record",
    "after_record",
    "before_settle",
    "after_settle",
)
LOOK_EVERY: Final = 0.02
HOLD_PATIENCE: Final = 30.0


class Do(StrEnum):
    """What a token makes its taker do."""

    KILL = "kill"
    STOP = "stop"
    """The whole process, until somebody sends it SIGCONT."""
    HOLD = "hold"
    """This thread only, until the test lets go."""


class Tokens:
    """The test's side."""

    def __init__(self, directory: Path) -> None:
        """The directory is made."""
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._laid = 0

    def lay(self, place: str, do: Do, times: int = 1) -> None:
        """Strike the next so many who come to this place."""
        assert place in PLACES, place
        for _ in range(times):
            self._laid += 1
            fresh = self._directory / f".{self._laid}"
            fresh.write_text(do.value)
            fresh.rename(self._directory / f"{place}.{self._laid}")

    def taken(self, place: str) -> list[str]:
        """The pids of those who were struck at this place, in turn."""
        found = sorted(self._directory.glob(f"taken.{place}.*"), key=lambda path: path.stat().st_mtime_ns)
        return [path.suffix[1:] for path in found]

    def release(self) -> None:
        """Let every thread that is held go on."""
        (self._directory / "released").touch()

    def clear(self) -> None:
        """Forget what was laid and taken."""
        for path in self._directory.iterdir():
            path.unlink()


class Places:
    """The member's side."""

    def __init__(self, directory: Path) -> None:
        """Nothing is watched before `install`."""
        self._directory = directory
        self._stamping = threading.local()

    def reached(self, place: str) -> None:
        """Do what a token of this place says, if there is one."""
        for token in sorted(self._directory.glob(f"{place}.*")):
            taken = self._directory / f"taken{token.suffix}.{os.getpid()}"
            with suppress(OSError):
                do = Do(token.read_text())
                token.rename(taken)
                taken.rename(self._directory / f"taken.{place}{token.suffix}.{os.getpid()}")
                self._do(do)
                return

    def _do(self, do: Do) -> None:
        match do:
            case Do.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Do.STOP:
                # To this thread: were it sent to the process, another thread might take it, and this one go on.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            case Do.HOLD:
                pause = threading.Event()
                for _ in range(round(HOLD_PATIENCE / LOOK_EVERY)):
                    if (self._directory / "released").exists():
                        return
                    pause.wait(LOOK_EVERY)

    def install(self) -> None:
        """Put the places around the product's own functions."""
        from leaderjobs.connectors.http_wire import Exchange
        from leaderjobs.engine.send_channel import SendChannel
        from leaderjobs.model.term import Term
        from leaderjobs.store.effects import Effects
        from leaderjobs.store.terms import Terms

        self._around(Effects, "stamp", "before_stamp", "after_stamp")
        self._around(Effects, "record", "before_record", "after_record")
        self._around(Effects, "settle", "before_settle", "after_settle")
        self._around(Effects, "may_leave", None, "after_word")
        self._around(SendChannel, "guard", "before_guard", "after_guard")
        self._around(Terms, "raise_fence", None, "after_raise")
        self._around(SendChannel, "exchange", None, "after_answer")
        self._inside_stamp(Effects, Term)
        write = Exchange.write

        def and_then(exchange: Exchange, sock: Any, request: bytes) -> None:
            write(exchange, sock, request)
            if b"; send " in request.partition(b"\r\n\r\n")[0]:
                self.reached("after_send")

        Exchange.write = and_then  # type: ignore[method-assign, assignment]

    def _around(self, owner: type, name: str, before: str | None, after: str | None) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            if before:
                self.reached(before)
            result = original(*arguments, **options)
            if after:
                self.reached(after)
            return result

        setattr(owner, name, watched)

    def _inside_stamp(self, effects: Any, term: Any) -> None:
        """The second look at the term in a stamp's transaction is the last one before its COMMIT."""
        stamp, check = effects.stamp, term.check

        def stamped(*arguments: Any, **options: Any) -> Any:
            self._stamping.looks = 0
            try:
                return stamp(*arguments, **options)
            finally:
                self._stamping.looks = None

        def checked(its: Any) -> None:
            check(its)
            looks = getattr(self._stamping, "looks", None)
            if looks is not None:
                self._stamping.looks = looks + 1
                if looks == 1:
                    self.reached("in_stamp")

        effects.stamp, term.check = stamped, checked
