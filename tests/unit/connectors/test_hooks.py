"""Telling somebody outside: a real server that reads what comes, and real programs."""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs import clock
from leaderjobs.connectors.hooks import MOST_OUTPUT_BYTES, SIGNATURE, Command, Webhook, signature
from leaderjobs.errors import Interrupted, TransientError
from tests.support import eventually
from tests.unit.connectors.receiving import Receiver, receiving

DOCUMENT = b'{"id": 1, "event": "failure"}'
BRIEF = timedelta(milliseconds=300)
LONG = timedelta(seconds=30)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def test_a_document_arrives_as_it_is_signed_with_the_time(receiver: Receiver) -> None:
    Webhook(receiver.url, lambda: "whsec", LONG).tell(DOCUMENT)

    ((path, headers, body),) = receiver.got
    assert (path, body, headers["content-type"]) == ("/services/T0P/SECRETPATH", DOCUMENT, "application/json")
    stamp, proof = (part.partition("=")[2] for part in headers[SIGNATURE].split(","))
    assert abs(int(stamp) - time.time()) < 60
    assert proof == hmac.new(b"whsec", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def test_the_signature_is_that_of_the_published_scheme() -> None:
    """Made with `openssl dgst -sha256 -hmac whsec` of `12345.{}`."""
    proof = "fee6f874a3321f1b85e3a0eab49a2095691f84bc6449007d076b803a2091a747"
    assert signature("whsec", 12345, b"{}") == f"t=12345,v1={proof}"


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    Webhook(receiver.url, None, LONG).tell(DOCUMENT)
    assert SIGNATURE not in receiver.got[0][1]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_any_success_is_content(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    Webhook(receiver.url, None, LONG).tell(DOCUMENT)


@pytest.mark.parametrize("status", [302, 307, 400, 404, 429, 500])
def test_any_other_answer_is_not_and_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with pytest.raises(TransientError, match=f"answered {status}") as raised:
        Webhook(receiver.url, None, LONG).tell(DOCUMENT)
    assert len(receiver.got) == 1
    assert "SECRETPATH" not in str(raised.value)


def test_who_does_not_answer_in_time_is_given_up_and_the_path_is_not_shown(receiver: Receiver) -> None:
    hung = threading.Event()
    receiver.answers = [lambda: 200 if hung.wait(20) else 500]
    with pytest.raises(TransientError) as raised:
        Webhook(receiver.url, None, BRIEF).tell(DOCUMENT)
    hung.set()
    assert "SECRETPATH" not in str(raised.value)


def test_who_is_not_there_is_named_by_host_only() -> None:
    with pytest.raises(TransientError) as raised:
        Webhook("http://127.0.0.1:1/SECRETPATH", None, LONG).tell(DOCUMENT)
    assert str(raised.value) == "http://127.0.0.1:1 cannot be reached"


def test_a_cut_ends_it_at_once_and_not_the_next_one(receiver: Receiver) -> None:
    hung = threading.Event()
    receiver.answers = [lambda: 200 if hung.wait(20) else 500]
    hook = Webhook(receiver.url, None, LONG)
    ended = threading.Event()

    def tell() -> None:
        with pytest.raises((Interrupted, TransientError)):
            hook.tell(DOCUMENT)
        ended.set()

    thread = threading.Thread(target=tell)
    thread.start()
    eventually(lambda: receiver.got)
    hook.cut()
    assert ended.wait(10)
    hung.set()
    thread.join(10)
    hook.tell(DOCUMENT)
    assert len(receiver.got) == 2


@pytest.mark.parametrize("url", ["http://example.com/hook", "ftp://localhost/x", "https://u:p@example.com/x"])
def test_only_https_or_this_machine_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Webhook(url, None, LONG)


# -- programs ------------------------------------------------------------------------------------------------


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_gets_the_document_on_its_standard_input(tmp_path: Path) -> None:
    place = tmp_path / "got"
    words = python(f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read()); print('thanks')")
    assert Command(words, LONG).tell(DOCUMENT) == "thanks\n"
    assert place.read_bytes() == DOCUMENT


def test_a_program_sees_none_of_our_secrets_and_no_shell_reads_its_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEADERJOBS_DATABASE", "postgresql://u:hush@h/d")
    monkeypatch.setenv("STRIPE_KEY", "sk_live")
    words = [*python("import os, sys; print(sorted(os.environ), sys.argv[1:])"), "$HOME; echo x"]
    output = Command(words, LONG).tell(DOCUMENT)
    assert "LEADERJOBS" not in output
    assert "STRIPE_KEY" not in output
    assert "PATH" in output
    assert "['$HOME; echo x']" in output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import sys; print('first'); print('no such channel'); sys.exit(3)",
            "ended with 3: no such channel",
        ),
        ("import sys; sys.exit(1)", "ended with 1: it did not say why"),
        ("import os; os.kill(os.getpid(), 9)", "was killed: it did not say why"),
    ],
)
def test_a_program_that_fails_says_how(code: str, said: str) -> None:
    with pytest.raises(TransientError) as raised:
        Command(python(code), LONG).tell(DOCUMENT)
    assert str(raised.value).endswith(said)


def test_a_program_that_is_not_there_is_an_error_like_any_other() -> None:
    with pytest.raises(TransientError, match="nobody cannot be run: No such file"):
        Command(["/nowhere/nobody"], LONG).tell(DOCUMENT)


def test_of_what_a_program_writes_the_last_is_kept() -> None:
    output = Command(python("for n in range(9999): print(n)"), LONG).tell(DOCUMENT)
    assert len(output) <= MOST_OUTPUT_BYTES
    assert output.endswith("9998\n")


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", ["timeout", "cut"])
def test_a_program_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path, how: str) -> None:
    place = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(place)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(place)!r} + '.new', {str(place)!r})\n"
        "time.sleep(60)"
    )
    command = Command(python(code), timedelta(seconds=2) if how == "timeout" else LONG)
    raised: list[Exception] = []

    def tell() -> None:
        try:
            command.tell(DOCUMENT)
        except (Interrupted, TransientError) as error:
            raised.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    eventually(place.exists)
    if how == "cut":
        command.cut()
    thread.join(10)
    pids = [int(pid) for pid in place.read_text().split()]
    assert isinstance(raised[0], Interrupted if how == "cut" else TransientError)
    assert len(pids) == 2
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_what_a_program_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    code = f"import subprocess; open({str(place)!r}, 'w').write(str(subprocess.Popen(['sleep', '30']).pid))"
    began = clock.elapsed()
    Command(python(code), LONG).tell(DOCUMENT)
    assert clock.elapsed() - began < 15
    os.kill(int(place.read_text()), 9)
