"""Two ways to tell somebody outside: a document posted to a URL, or given to a program on its standard input.

Neither shows what may be secret: of the URL only the host appears in an error, for its path is often the
password (chat services), and a program gets nothing of our environment but where things are.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from leaderjobs import __version__, clock
from leaderjobs.connectors.children import environment
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import ConnectorError, Interrupted, TransientError

SIGNATURE = "leaderjobs-signature"
MOST_OUTPUT_BYTES = 8 * 1024
"""Of what a program writes; the last of it is kept."""
_CHUNK_BYTES = 64 * 1024
_TICK_MS = 100


def signature(secret: str, at: int, body: bytes) -> str:
    """What the header holds: `t=<Unix time>,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe does it.

    The time is signed too, so a receiver that refuses old ones cannot be played a recorded document.
    """
    proof = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={proof}"


class Webhook:
    """A URL. One thread tells at a time, any cuts."""

    def __init__(self, url: str, secret: Callable[[], str] | None, timeout: timedelta) -> None:
        """`secret` is asked every time; ValueError for a URL that is neither https nor of this machine."""
        check_base_url(url)
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path or "/"
        self._secret = secret
        self._timeout = timeout
        self._cut: Callable[[], None] | None = None

    def tell(self, document: bytes) -> str:
        """Post it; any 2xx is an answer to be content with. Else TransientError; Interrupted when cut."""
        from leaderjobs.connectors.http import HttpClient

        headers = {"Content-Type": "application/json", "User-Agent": f"leaderjobs/{__version__}"}
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret(), int(clock.now().timestamp()), document)
        client = HttpClient(self._origin, timeout=self._timeout)
        self._cut = client.close
        try:
            answer = client.exchange("POST", self._path, document, headers, timeout=self._timeout)
        except ConnectorError as error:
            raise TransientError(self._shown(str(error)), code=error.code) from None
        except Interrupted as error:
            raise Interrupted(self._shown(str(error))) from None
        finally:
            self._cut = None
            client.close()
        if not 200 <= answer.status < 300:
            why = "; redirects are not followed" if 300 <= answer.status < 400 else ""
            raise TransientError(f"{self._origin} answered {answer.status}{why}")
        return ""

    def cut(self) -> None:
        """End a telling that is under way; nothing happens to the next one."""
        cut = self._cut
        if cut is not None:
            cut()

    def _shown(self, text: str) -> str:
        return text.replace(self._origin + self._path, self._origin)


class Command:
    """A program and its arguments, run without a shell. One thread tells at a time, any cuts."""

    def __init__(self, words: Sequence[str], timeout: timedelta) -> None:
        """Nothing runs yet."""
        self._words = list(words)
        self._name = Path(self._words[0]).name
        self._timeout = timeout
        self._cut = threading.Event()

    def tell(self, document: bytes) -> str:
        """Run it to its end; the last of what it wrote. TransientError unless it ended with 0.

        When it takes too long, or is cut (Interrupted), it is killed with all that it has started.
        """
        self._cut.clear()
        try:
            child = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )
        except OSError as error:
            raise TransientError(f"{self._name} cannot be run: {error.strerror}") from None
        pipes = [cast("IO[bytes]", pipe) for pipe in (child.stdin, child.stdout)]
        try:
            with suppress(BrokenPipeError), pipes[0]:
                pipes[0].write(document)
            output = self._heard(child, pipes[1])
        except BaseException:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            for pipe in pipes:
                with suppress(BrokenPipeError):
                    pipe.close()
        if child.returncode != 0:
            how = f"ended with {child.returncode}" if child.returncode > 0 else "was killed"
            last = output.strip().rpartition("\n")[2]
            raise TransientError(f"{self._name} {how}: {last or 'it did not say why'}")
        return output

    def cut(self) -> None:
        """End a telling that is under way; nothing happens to the next one."""
        self._cut.set()

    def _heard(self, child: subprocess.Popen[bytes], pipe: IO[bytes]) -> str:
        """What it wrote, once it has ended; what it may have left running is not waited for."""
        deadline = clock.elapsed() + self._timeout.total_seconds()
        kept = b""
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        open_still = True
        while True:
            ended = child.poll() is not None
            ready = poll.poll(0 if ended else _TICK_MS) if open_still else []
            if ready:
                chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
                kept = (kept + chunk)[-MOST_OUTPUT_BYTES:]
                open_still = bool(chunk)
                if not chunk:
                    poll.unregister(pipe)
            elif ended:
                return kept.decode(errors="replace")
            elif not open_still:
                self._cut.wait(_TICK_MS / 1000)
            if self._cut.is_set():
                raise Interrupted(f"{self._name} was cut off")
            if clock.elapsed() >= deadline:
                raise TransientError(
                    f"{self._name} was killed: it had not ended after {self._timeout.total_seconds():g} s"
                )
