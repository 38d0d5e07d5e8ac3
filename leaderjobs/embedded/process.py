"""Child processes that may outlive us: start, recognise, wait for, and ports for them to listen on."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from leaderjobs.clock import elapsed
from leaderjobs.errors import EmbeddedError

POLL_SECONDS = 0.02
PORT_TRIES = 200
ASK_SECONDS = 20.0
FIRST_PORT = 15_000
MOST_LOG_BYTES = 64 * 1024
MOST_LINE_CHARACTERS = 300
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TELLING = re.compile(r"FATAL|PANIC|ERROR|[Ee]rror|Exception")
# A stack frame, ZooKeeper's last word, and what our own probes cause while Postgres starts.
_NOISE = re.compile(r"at |.*Exiting JVM|.*the database system is ")

Command = Sequence[str | Path]


def wait_until(predicate: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until the answer is yes or the time is up; the last answer."""
    end = elapsed() + seconds
    pause = threading.Event()
    while not predicate():
        if elapsed() >= end:
            return False
        pause.wait(POLL_SECONDS)
    return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now, as ZooKeeper and Postgres do (SO_REUSEADDR)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on, below those the system hands to outgoing connections.

    While a server restarts, its clients knock at its port; were that an ephemeral one, such a
    connection could be given the very same number, connect to itself and keep the server out.
    """
    try:
        low = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32_768
    for _ in range(PORT_TRIES):
        port = random.randrange(FIRST_PORT, max(low, FIRST_PORT + 1000))
        if port_is_free(port):
            return port
    raise EmbeddedError(f"no free port from {FIRST_PORT} to {low} on 127.0.0.1; end some servers")


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start: `keep` are descriptors that it inherits, `uid` is whom to become."""

    command: Command
    folder: Path = Path("/")
    keep: Sequence[int] = ()
    uid: int | None = None

    def spawn(self, log: Path, known: Callable[[int], None]) -> int:
        """Start it in a session of its own (Ctrl-C is not for it) and give its pid.

        It runs only after `known(pid)` has returned: the child waits on a pipe, and ends when we die
        before. So no server ever runs whose pid nobody has written down. Output goes to `log`,
        which starts empty.
        """
        gate = ["/bin/sh", "-c", 'read -r _ && exec "$@"', "leaderjobs"]
        with log.open("wb") as output:
            child = subprocess.Popen(
                [*gate, *map(str, self.command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._circumstances(),
            )
        # It may outlive us, and `started_at` reaps it: Popen must neither wait for it nor warn.
        child.returncode = 0
        pipe = cast("IO[bytes]", child.stdin)
        with suppress(BrokenPipeError), pipe:
            known(child.pid)
            pipe.write(b"\n")
        return child.pid

    def run(self, text: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run it to its end with `text` as its input; TimeoutExpired after `seconds`."""
        return subprocess.run(
            [str(part) for part in self.command],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            **self._circumstances(),
        )

    def _circumstances(self) -> dict[str, Any]:
        return {
            "cwd": self.folder,
            "env": child_environment(),
            "pass_fds": tuple(self.keep),
            "user": self.uid,
            "group": self.uid,
            "extra_groups": None if self.uid is None else [],
        }

    def says(self) -> str | None:
        """What it prints within a while; None when it cannot run or fails."""
        try:
            done = self.run("", ASK_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None


def child_environment() -> dict[str, str]:
    """What a program needs of our environment, and none of the secrets that it may hold."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def started_at(pid: int) -> str | None:
    """What tells this process from every other that ever has the same pid; None when it is dead.

    On Linux the start time of proc(5), in ticks since boot; elsewhere what `ps` prints. A child of
    ours that has ended is reaped; somebody else's that waits for its parent counts as dead.
    """
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        # The name in parentheses may hold spaces and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    return Program(["ps", "-o", "lstart=", "-p", str(pid)]).says() or None


def telling_line(log: Path) -> str:
    """The line of a dead server's log that says why: the last error, else the last line."""
    try:
        with log.open("rb") as handle:
            text = handle.read(MOST_LOG_BYTES).decode(errors="replace")
    except OSError:
        return "no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _TELLING.search(line) and not _NOISE.match(line)]
    return (errors or lines or ["its log is empty"])[-1][:MOST_LINE_CHARACTERS]


class Watchdog:
    """Signals a server when our process ends, however it ends.

    A shell blocks on a pipe of which only we hold the other end; the kernel closes that end with us.
    PR_SET_PDEATHSIG is no substitute: it fires when the *thread* that started the child ends.
    """

    # Without /proc, and when the process is gone, the middle is empty; a stranger with its pid is spared.
    _SCRIPT = 'read -r _ || case "$(cat "/proc/$2/stat" 2>&-)" in "" | *" $3 "*) kill -s "$1" "$2" ;; esac'

    def __init__(self, pid: int, started: str, signal_name: str) -> None:
        """Guard the process that `started_at` names so; the signal's name is one of kill(1), such as QUIT."""
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self._SCRIPT, "leaderjobs-watchdog", signal_name, str(pid), started],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def release(self) -> None:
        """Stop guarding, because the server has ended."""
        with suppress(BrokenPipeError):
            self._shell.communicate(b"\n", timeout=10)
