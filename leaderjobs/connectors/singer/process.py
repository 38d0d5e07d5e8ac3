"""A tap as a child process: its files, its lines, its end.

It runs in a process group of its own, so that whatever it starts ends with it, and is ended in three ways:
by itself; by `end`, from the thread that reads or any other; and by a guard where our process dies. The guard
is a shell that waits on a pipe of which only we hold the other end. PR_SET_PDEATHSIG is no substitute: it
fires when the *thread* that started the child ends, and reaches none of the child's own children.

The configuration, with its secrets, is a file that only we may read, in a folder that only we may enter; the
folder is also the tap's working and temporary folder. It goes when the tap has ended, and by the guard too.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Protocol, cast

from leaderjobs.clock import elapsed
from leaderjobs.connectors.children import environment
from leaderjobs.connectors.singer.settings import Configuration
from leaderjobs.errors import FatalError, Interrupted, TransientError

MOST_LINE_BYTES = 16 * 1024 * 1024
MOST_SAID_BYTES = 8 * 1024
"""Of one line on standard error that are read; the rest of it is dropped."""
MOST_SAID_CHARS = 500
MOST_SAID_LINES = 2000
"""That are kept of one run."""
CHUNK_BYTES = 64 * 1024
TICK = timedelta(milliseconds=250)
"""How often a silent tap is looked after."""
GRACE = timedelta(seconds=5)
"""Between SIGTERM and SIGKILL."""
EXIT_PATIENCE = timedelta(seconds=30)
"""For a tap that has closed its output and has not ended."""
CANNOT_RUN = frozenset({126, 127})
TAP_FAILED = "tap_failed"
TAP_SILENT = "tap_silent"
# The tap runs only after the guard knows it.
_GATE = 'read -r _ && exec "$@"'
_GUARD = 'read -r group && read -r _ && exit; [ -z "$group" ] || kill -s KILL -- "-$group"; rm -rf -- "$1"'


class Watcher(Protocol):
    """What a running tap needs of the context of the read."""

    def check(self) -> None:
        """Raise when the work must stop."""

    def log(self, line: str) -> None:
        """A line that the tap wrote for people."""


class Tap:
    """One run of a tap. One thread starts, reads and leaves it; `cut` may be called from any."""

    def __init__(
        self,
        words: Sequence[str],
        files: Mapping[str, bytes],
        configuration: Configuration,
        *,
        silence: timedelta,
        longest: timedelta | None = None,
        most_line: int = MOST_LINE_BYTES,
    ) -> None:
        """Nothing runs yet; `files` are the contents of the files that options such as `--state` name.

        It may be silent for `silence`, and run for `longest`.
        """
        self._words = tuple(words)
        self._files = {"--config": configuration.body, **files}
        self._configuration = configuration
        self._silence = silence
        self._longest = longest
        self._most_line = most_line
        self._name = Path(self._words[0]).name
        self._last_said = ""
        self._said = 0
        self._ending = threading.Lock()
        self._cut = threading.Event()
        self._ended = False

    def start(self) -> None:
        """Make its files and run it; FatalError when there is nothing that can be run."""
        if not os.access(self._words[0], os.X_OK):
            raise FatalError(
                f"the tap {self._words[0]} is not an executable file on this machine; install it"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="leaderjobs-tap-"))
        self._guard = _spawn_guard(self._folder)
        try:
            options = [word for option in self._files for word in (option, str(self._write(option)))]
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "leaderjobs", *self._words, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd=self._folder,
                env=environment(TMPDIR=str(self._folder)),
            )
        except OSError as error:
            self._guard.communicate()
            raise TransientError(
                f"{self._name} cannot be started: {error.strerror}", code=TAP_FAILED
            ) from None
        _tell(self._guard, f"{self._child.pid}\n")
        gate = cast("IO[bytes]", self._child.stdin)
        with suppress(BrokenPipeError), gate:
            gate.write(b"\n")

    def lines(self, watcher: Watcher) -> Iterator[bytes]:
        """What it writes to its output, line by line, until it has ended well.

        TransientError where it ends otherwise, or says nothing for too long; FatalError for a line that has
        no end, and where it cannot be run. What `watcher` raises passes through.
        """
        output, errors = (cast("IO[bytes]", pipe) for pipe in (self._child.stdout, self._child.stderr))
        cutter, said = Cutter(self._most_line), Cutter(MOST_SAID_BYTES, drop=True)
        ears = _Ears(self._child, (output, errors), self._silence, self._longest)
        while not ears.is_over:
            self._check(watcher)
            for number, chunk in ears.listen():
                if number == errors.fileno():
                    self._hear(said.lines(chunk), watcher)
                else:
                    yield from self._cut_up(cutter, chunk)
            self._check_patience(ears)
        self._check(watcher)
        self._judge(self._child.returncode)

    def cut(self) -> None:
        """Let a read that is under way end soon; the tap gets its signals from a thread of its own."""
        self._cut.set()
        threading.Thread(target=self.end, name=f"end-{self._name}", daemon=True).start()

    def leave(self) -> None:
        """For the thread that reads: no more lines are wanted, so it is ended."""
        for pipe in (self._child.stdout, self._child.stderr):
            cast("IO[bytes]", pipe).close()
        # Whoever cut the read off has had a thread begin to end it, and does not wait for it.
        if not self._cut.is_set():
            self.end()

    def end(self) -> None:
        """End it and whatever it has started, and remove its files; it has GRACE to do so by itself."""
        with self._ending:
            if self._ended:
                return
            if self._child.poll() is None:
                self._signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self._child.wait(GRACE.total_seconds())
            # Also when the tap has ended: its children may not have. Its number is not given to another
            # group while one of them lives, and only after all other numbers once none does.
            self._signal(signal.SIGKILL)
            self._child.wait()
            shutil.rmtree(self._folder, ignore_errors=True)
            _tell(self._guard, "\n")
            with suppress(BrokenPipeError):
                self._guard.communicate(timeout=GRACE.total_seconds())
            self._ended = True

    def _write(self, option: str) -> Path:
        path = self._folder / f"{option.strip('-')}.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(self._files[option])
        return path

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def _check(self, watcher: Watcher) -> None:
        watcher.check()
        if self._cut.is_set():
            raise Interrupted(f"the run of {self._name} was cut off")

    def _cut_up(self, cutter: Cutter, chunk: bytes) -> Iterator[bytes]:
        try:
            yield from cutter.lines(chunk)
        except OverflowError:
            raise FatalError(
                f"{self._name} wrote a line of more than {self._most_line} bytes; let it select fewer fields"
            ) from None

    def _check_patience(self, ears: _Ears) -> None:
        why = ears.impatience
        if why is not None:
            raise TransientError(f"{self._name} {why}", code=TAP_SILENT)

    def _hear(self, lines: Iterator[bytes], watcher: Watcher) -> None:
        for line in lines:
            text = self._configuration.hide(line.decode(errors="replace"))
            if len(line) >= MOST_SAID_BYTES:
                # A secret that was cut off at the end is not recognised; it is no longer than this.
                text = text[: -self._configuration.longest or None]
            shown = " ".join(text.split())[:MOST_SAID_CHARS]
            if not shown:
                continue
            self._last_said = shown
            self._said += 1
            if self._said <= MOST_SAID_LINES:
                watcher.log(shown)
            elif self._said == MOST_SAID_LINES + 1:
                watcher.log(f"{self._name} says more than {MOST_SAID_LINES} lines; the others are left out")

    def _judge(self, code: int) -> None:
        if code == 0:
            return
        how = f"ended with {code}" if code > 0 else f"was ended by {_name_of(-code)}"
        sentence = f"{self._name} {how}: {self._last_said or 'it did not say why'}"
        if code in CANNOT_RUN:
            raise FatalError(f"{sentence}; mend `command` or its environment", code=TAP_FAILED)
        raise TransientError(sentence, code=TAP_FAILED)


class Cutter:
    """Cuts what comes in chunks into lines, without their ends; holds one line that has not ended."""

    def __init__(self, most: int, *, drop: bool = False) -> None:
        """A line of more than `most` bytes is an OverflowError, or is cut there (`drop`)."""
        self._most = most
        self._drop = drop
        self._parts: list[bytes] = []
        self._size = 0

    def lines(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` ends; an empty one is the end of everything."""
        if not chunk:
            if self._parts:
                yield self._take()
            return
        first, *others = chunk.split(b"\n")
        self._add(first)
        for part in others:
            yield self._take()
            self._add(part)

    def _add(self, part: bytes) -> None:
        if self._size + len(part) > self._most:
            if not self._drop:
                raise OverflowError
            part = part[: self._most - self._size]
        if part:
            self._parts.append(part)
            self._size += len(part)

    def _take(self) -> bytes:
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line


class _Ears:
    """Listens to a child's pipes; what we do with its lines meanwhile is not counted as its silence."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        pipes: Sequence[IO[bytes]],
        silence: timedelta,
        longest: timedelta | None,
    ) -> None:
        self._child = child
        self._open = {pipe.fileno() for pipe in pipes}
        self._output = pipes[0].fileno()
        self._poll = select.poll()
        for number in self._open:
            self._poll.register(number, select.POLLIN)
        self._silence = silence.total_seconds()
        self._longest = longest.total_seconds() if longest else float("inf")
        self._silent = 0.0
        self._began = elapsed()
        self.is_over = False
        """Whether it has ended and all that it wrote was heard."""

    def listen(self) -> Iterator[tuple[int, bytes]]:
        """Chunks by descriptor, an empty one at a pipe's end, after at most TICK."""
        began = elapsed()
        ended = self._child.poll() is not None
        if self._open:
            ready = self._poll.poll(TICK.total_seconds() * 1000)
        else:
            ready = []
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(TICK.total_seconds())
                ended = True
        self._silent = 0.0 if ready else self._silent + elapsed() - began
        # Without an end of its pipes where something that it has left behind still holds them.
        self.is_over = ended and not ready
        for number, _ in ready:
            chunk = os.read(number, CHUNK_BYTES)
            if not chunk:
                self._poll.unregister(number)
                self._open.discard(number)
            yield number, chunk

    @property
    def impatience(self) -> str | None:
        """Why it is not waited for any longer."""
        if self._silent > self._silence:
            return f"said nothing for {self._silence:g} s; raise `timeout` if it needs longer"
        if elapsed() - self._began > self._longest:
            return f"is not done after {self._longest:g} s; raise `timeout` if it needs longer"
        if self._output not in self._open and self._silent > EXIT_PATIENCE.total_seconds():
            return "closed its output and does not end"
        return None


def _spawn_guard(folder: Path) -> subprocess.Popen[bytes]:
    """Kills the group that its first line names, and removes the folder, unless a second line comes."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "leaderjobs-guard", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _tell(guard: subprocess.Popen[bytes], line: str) -> None:
    pipe = cast("IO[bytes]", guard.stdin)
    with suppress(BrokenPipeError):
        pipe.write(line.encode())
        pipe.flush()


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
