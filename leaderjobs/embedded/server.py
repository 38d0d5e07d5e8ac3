"""What ZooKeeper and Postgres have in common as child processes; the package docstring has the rules."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from leaderjobs.embedded.locks import locked
from leaderjobs.embedded.process import (
    Program,
    Watchdog,
    free_port,
    port_is_free,
    started_at,
    telling_line,
    wait_until,
)
from leaderjobs.errors import EmbeddedError

LOCK_SECONDS = 20.0
# Postgres may have to recover first, and would start over if it were ended meanwhile.
READY_SECONDS = 60.0
# How long a server that another process started may take to answer before it counts as hung.
ADOPT_SECONDS = 30.0
STOP_SECONDS = 10.0
KILL_SECONDS = 10.0
PROBE_SECONDS = 0.1
MOST_PORTS = 3


class Server:
    """One server in one directory. Not for several threads at once.

    `start`, `stop` and `pid` work on whatever process serves the directory, also one that another
    command started.
    """

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    orphan_signal: ClassVar[str]

    def __init__(
        self, directory: Path, *, port: int | None = None, durable: bool = True, detached: bool = False
    ) -> None:
        """`port` None: the one of last time where it is still free, else any."""
        self.directory = directory.absolute()
        self._fixed_port = port
        self._durable = durable
        self._detached = detached
        self._watchdog: Watchdog | None = None

    @property
    def pid(self) -> int | None:
        """The running process, or None; a process that only has the same number does not count."""
        pid, started, _ = self._record()
        return pid if pid is not None and started is not None and started_at(pid) == started else None

    @property
    def port(self) -> int:
        """Where it listens, or listened last; EmbeddedError before the first start."""
        port = self._fixed_port or self._record()[2]
        if port is None:
            raise EmbeddedError(f"{self.title} in {self.directory} was never started; start it first")
        return port

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def serves(self) -> bool:
        """Whether it answers a request of its own protocol now."""
        raise NotImplementedError

    def start(self) -> None:
        """Return when it serves; does nothing when it already does.

        EmbeddedError when something it needs is missing, or with the reason from its log.
        """
        self._make_directory()
        if self.pid is not None:
            if wait_until(lambda: self.pid is None or self.serves(), ADOPT_SECONDS) and self.pid is not None:
                return
            self.stop()
        with self._locked() as lock:
            self._prepare(lock)
            self._start_on_some_port(lock)

    def stop(self) -> None:
        """End it in good order, by force after a while; its data stay. It need not be running."""
        self._end(self.stop_signal, STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would, with SIGKILL."""
        self._end(signal.SIGKILL, KILL_SECONDS)

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"{type(self).__name__}({str(self.directory)!r})"

    def _prepare(self, lock: int) -> None:
        """Make what the server needs once; whatever runs for it must inherit `lock`."""
        raise NotImplementedError

    def _program(self, port: int, lock: int) -> AbstractContextManager[Program]:
        """The server to start; what it needs open stays open until the block ends."""
        raise NotImplementedError

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"{self.title} cannot use {self.directory}: {error.strerror}; name another directory"
            ) from None

    def _start_on_some_port(self, lock: int) -> None:
        if self._fixed_port and not port_is_free(self._fixed_port):
            raise EmbeddedError(
                f"{self.title}: port {self._fixed_port} is taken by another program; name another port"
            )
        last = self._record()[2]
        for _ in range(MOST_PORTS):
            port = self._fixed_port or (last if last and port_is_free(last) else free_port())
            self._launch(port, lock)
            if wait_until(lambda: self.pid is None or self.serves(), READY_SECONDS) and self.pid is not None:
                return
            hung = self.pid is not None
            # Asked before the child is ended: only a stranger on the port is a reason to try another.
            taken = not hung and not port_is_free(port)
            self.kill()
            if self._fixed_port or not taken:
                how = f"did not answer within {READY_SECONDS:.0f} s" if hung else "ended at once"
                raise EmbeddedError(f"{self.title} {how}: {telling_line(self._log)} (log: {self._log})")
        raise EmbeddedError(f"{self.title} lost its port to another program {MOST_PORTS} times; try again")

    def _launch(self, port: int, lock: int) -> None:
        def known(pid: int) -> None:
            started = started_at(pid)
            record = {"pid": pid, "started": started, "port": port}
            write_private(self.directory / "server.json", json.dumps(record))
            if not self._detached and started is not None:
                self._watchdog = Watchdog(pid, started, self.orphan_signal)

        self._release_watchdog()
        with self._program(port, lock) as program:
            program.spawn(self._log, known)

    def _end(self, how: signal.Signals, patience: float) -> None:
        pid = self.pid
        for number, seconds in ((how, patience), (signal.SIGKILL, KILL_SECONDS)):
            if pid is None or self.pid != pid:
                break
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            wait_until(lambda: self.pid != pid, seconds)
        if pid is not None and self.pid == pid:
            raise EmbeddedError(
                f"{self.title}, pid {pid}, cannot be ended even with SIGKILL; look at its state"
            )
        self._release_watchdog()

    def _release_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.release()
            self._watchdog = None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the directory; the descriptor is to be inherited by every process of the server."""
        try:
            with locked(self.directory / "lock", LOCK_SECONDS) as descriptor:
                yield descriptor
        except TimeoutError:
            raise EmbeddedError(
                f"{self.directory} is in use by a {self.title} that server.json does not name; end it first"
            ) from None

    def _record(self) -> tuple[int | None, str | None, int | None]:
        """Pid, start time and port as last written; all None when there is no readable file."""
        try:
            found = json.loads((self.directory / "server.json").read_text())
            return found["pid"], found["started"], found["port"]
        except (OSError, ValueError, KeyError, TypeError):
            return None, None, None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; whoever reads it sees the old text or the new one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    fresh.replace(path)


def exchange(port: int, request: bytes, most: int) -> bytes:
    """Send one request to loopback and give what comes back first; nothing when nobody answers in time."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(most)
    except OSError:
        return b""
