"""`leaderjobs status --watch` on a real terminal, with real servers that go away and come back."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from urllib.parse import urlsplit

import pytest

from leaderjobs.embedded.zookeeper import ZooKeeperServer
from tests.cli.typed import Typed
from tests.support import eventually
from tests.support_proxy import TcpProxy

ROOT = Path(__file__).parents[2]
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
LINES, COLUMNS = 40, 120
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of its own, and everything that it has written."""

    def __init__(self, config: Path, *words: str) -> None:
        self._mine, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "leaderjobs", "--config", str(config), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._mine, 65536)
            except OSError:  # the other end is closed: that is how a terminal ends
                return
            if not piece:
                return
            self.written += piece.decode(errors="replace")

    @property
    def screen(self) -> str:
        """What the last picture shows: each begins in the upper left corner."""
        return _STYLE.sub("", self.written.rsplit("\x1b[H", 1)[-1])

    def shows(self, text: str, timeout: float = 30.0) -> None:
        eventually(lambda: text in self.screen, timeout, f"{text!r} in {self.screen!r}")

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(5)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._mine)


@pytest.fixture
def zookeeper(zookeeper_server: ZooKeeperServer) -> Iterator[TcpProxy]:
    host, _, port = zookeeper_server.address.rpartition(":")
    with TcpProxy(host, int(port)) as proxy:
        yield proxy


@pytest.fixture
def postgres(migrated_url: str) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", urlsplit(migrated_url).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def watched(typed: Typed, migrated_url: str, zookeeper: TcpProxy, postgres: TcpProxy) -> Typed:
    """The cluster of `typed`, reached through the proxies."""
    port = urlsplit(migrated_url).port
    text = typed.config.read_text()
    assert f":{port}/" in text
    text = text.replace(f":{port}/", f":{postgres.port}/")
    text = text.replace("127.0.0.1:1/leaderjobs", f"{zookeeper.address}/test-{uuid.uuid4().hex}")
    typed.config.write_text(text)
    return typed


def test_the_picture_moves_while_servers_go_away_and_come_back(
    watched: Typed, zookeeper: TcpProxy, postgres: TcpProxy
) -> None:
    watched.said("schedules", "add", "nightly", "--cron", "30 2 * * *", "--sync", "household")
    job = watched.enqueue()
    with closing(Terminal(watched.config, "status", "--watch", "--every", "100ms")) as terminal:
        terminal.shows("PROBLEM: no member leads")
        terminal.shows("jobs         1 available")
        terminal.shows("nightly")
        watched.become(job, "running")
        terminal.shows("jobs         1 running")
        asked = (zookeeper.accepted, postgres.accepted)
        frames = terminal.written.count("\x1b[H")
        eventually(lambda: terminal.written.count("\x1b[H") > frames + 3, what="more pictures")
        assert (zookeeper.accepted, postgres.accepted) == asked, "the connections stay open"

        postgres.refuse()
        terminal.shows("PROBLEM: Postgres does not answer")
        postgres.restore()
        terminal.shows("jobs         1 running")
        postgres.black_hole()
        terminal.shows("PROBLEM: Postgres does not answer: it has not answered yet")
        postgres.restore()
        terminal.shows("jobs         1 running")
        zookeeper.refuse()
        terminal.shows("PROBLEM: zookeeper does not answer")
        terminal.shows("jobs         1 running")
        zookeeper.restore()
        terminal.shows("PROBLEM: no member leads")

        assert terminal.end() == 0
        assert terminal.written.count(ENTERED) == terminal.written.count(LEFT) == 1
        assert "\x1b[2J" not in terminal.written.split(ENTERED, 1)[1].split("\x1b[H", 2)[-1], "no flicker"
        assert "Traceback" not in terminal.written


def test_sigterm_leaves_the_terminal_as_it_was(watched: Typed) -> None:
    with closing(Terminal(watched.config, "status", "--watch")) as terminal:
        terminal.shows("no member leads")
        assert terminal.end(signal.SIGTERM) == 0
        assert terminal.written.count(LEFT) == 1


def test_a_pipe_gets_page_after_page_or_lines_of_json_and_no_alternate_screen(watched: Typed) -> None:
    command = [sys.executable, "-m", "leaderjobs", "--config", str(watched.config), "status", "--watch"]
    for words, wanted in (([], "no member leads"), (["--output", "json"], '"no_leader"')):
        asked = [*command, "--every", "100ms", *words]
        with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            seen: list[str] = []
            while "".join(seen).count(wanted) < 2:
                seen.append(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(20) == 0
        assert "\x1b" not in "".join(seen) + rest
        if words:
            assert [json.loads(line)["cluster"] for line in seen] == [watched.cluster] * len(seen)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--check",), "--watch and --check exclude each other"),
        (("--every", "10ms"), '--every: allowed: "100ms" to "1h"'),
        (("--every", "soon"), "'soon': allowed: a number and a unit"),
    ],
)
def test_what_cannot_be_watched_is_one_line(typed: Typed, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in typed.refused("status", "--watch", *words)
