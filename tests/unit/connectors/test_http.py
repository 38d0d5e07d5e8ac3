"""Real sockets on loopback: what the three outcomes of a request look like, and that every wait ends."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from leaderjobs import clock
from leaderjobs.connectors import http
from leaderjobs.connectors.http import HttpClient, parse_retry_after
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT
from leaderjobs.errors import FatalError, Interrupted, LeaderJobsError, TransientError
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from tests.support import eventually, free_port

PATH = "/transactions/sync"
HEADERS = {"PLAID-SECRET": "hunter2"}
BODY = b'{"access_token":"hunter3"}'
LONG = timedelta(seconds=30)


@pytest.fixture
def sandbox() -> Iterator[PlaidSandbox]:
    with PlaidSandbox(transactions=20) as running:
        yield running


@contextmanager
def client(url: str, timeout: timedelta = LONG) -> Iterator[HttpClient]:
    made = HttpClient(url, timeout=timeout)
    try:
        yield made
    finally:
        made.close()


def failure(url: str, timeout: timedelta = LONG) -> LeaderJobsError:
    """The error of one request, which must show neither header nor body."""
    with client(url, timeout) as made, pytest.raises(LeaderJobsError) as caught:
        made.post(PATH, BODY, HEADERS)
    assert "hunter" not in f"{caught.value!s}{caught.value!r}{made!r}"
    assert "\n" not in str(caught.value)
    return caught.value


def test_any_status_with_a_whole_body_is_an_answer(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.RATE_LIMITED, retry_after="7"))
    with client(sandbox.url) as made:
        answer = made.post(PATH, b"{}", {})
    assert (answer.status, answer.retry_after) == (429, timedelta(seconds=7))
    assert b"RATE_LIMIT_EXCEEDED" in answer.body
    assert "RATE_LIMIT" not in repr(answer)


def test_one_connection_serves_many_requests(sandbox: PlaidSandbox) -> None:
    with client(sandbox.url) as made:
        for _ in range(3):
            made.post(PATH, b"{}", {})
        assert len(sandbox._server._live) == 1


def test_refused_is_known_not_to_have_been_sent() -> None:
    error = failure(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, TransientError)
    assert error.code == NOT_SENT


def test_no_such_host_is_known_not_to_have_been_sent() -> None:
    error = failure("https://nowhere.invalid")
    assert isinstance(error, TransientError)
    assert error.code == NOT_SENT


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.TRUNCATED])
def test_what_breaks_off_may_have_been_done(sandbox: PlaidSandbox, kind: FaultKind) -> None:
    sandbox.faults.replace(Fault(kind=kind))
    error = failure(sandbox.url)
    assert isinstance(error, TransientError)
    assert error.code == NO_ANSWER


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SLOW_DRIP])
def test_the_whole_exchange_has_a_deadline_even_while_bytes_keep_coming(
    sandbox: PlaidSandbox, kind: FaultKind
) -> None:
    """A slow drip of the headers gives every single read its byte in time."""
    sandbox.faults.replace(Fault(kind=kind, delay_ms=50))
    began = clock.elapsed()
    error = failure(sandbox.url, timedelta(seconds=0.4))
    assert clock.elapsed() - began < 3
    assert isinstance(error, TransientError)
    assert error.code == NO_ANSWER


def test_a_deadline_that_strikes_late_does_not_cut_the_next_request(sandbox: PlaidSandbox) -> None:
    with client(sandbox.url) as made:
        made.post(PATH, b"{}", {})
        kept = set(sandbox._server._live)
        made._posting.cut("too late")
        assert made.post(PATH, b"{}", {}).status == 400
        assert sandbox._server._live == kept


def test_a_redirect_is_not_followed(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.REDIRECT))
    error = failure(sandbox.url)
    assert isinstance(error, FatalError)
    assert "redirects are not followed" in str(error)
    assert sandbox.requests() == {PATH: 1}


def test_an_endless_body_ends_at_the_bound_and_says_it(
    sandbox: PlaidSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_BODY_BYTES", 3_000_000)
    sandbox.faults.replace(Fault(kind=FaultKind.HUGE))
    error = failure(sandbox.url)
    assert isinstance(error, FatalError)
    assert "3000000 bytes" in str(error)


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SLOW_DRIP])
def test_close_cuts_a_request_that_is_out(sandbox: PlaidSandbox, kind: FaultKind) -> None:
    sandbox.faults.replace(Fault(kind=kind, delay_ms=50))
    made = HttpClient(sandbox.url, timeout=LONG)
    caught: list[Exception] = []

    def ask() -> None:
        try:
            made.post(PATH, BODY, HEADERS)
        except LeaderJobsError as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: sandbox.requests().get(PATH))
    began = clock.elapsed()
    made.close()
    asking.join(5)
    assert clock.elapsed() - began < 1
    assert [type(error) for error in caught] == [Interrupted]


def test_after_close_nothing_is_sent_and_closing_again_is_fine(sandbox: PlaidSandbox) -> None:
    made = HttpClient(sandbox.url, timeout=LONG)
    made.close()
    made.close()
    with pytest.raises(Interrupted):
        made.post(PATH, BODY, HEADERS)
    assert sandbox.requests() == {}


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    sandbox: PlaidSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    with client(sandbox.url) as made:
        assert made.post(PATH, b"{}", {}).status == 400


def test_no_password_is_taken_from_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one header that requests adds by itself would carry somebody else's password to the provider."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with listener() as (server, url), client(url) as made:
        made._session.trust_env = True
        heard = answer_once(server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert made.post(PATH, b"{}", {}).status == 200
        assert b"authorization" not in heard().lower()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_does_not_verify_is_refused(tmp_path: Path) -> None:
    with listener() as (server, url), client(url.replace("http:", "https:")) as made:
        serve_tls_once(server, tmp_path)
        with pytest.raises(FatalError, match="certificate that does not verify") as caught:
            made.post(PATH, BODY, HEADERS)
    assert caught.value.code == NOT_SENT


def test_something_that_is_not_tls_is_no_answer() -> None:
    with listener() as (server, url), client(url.replace("http:", "https:")) as made:
        answer_once(server, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(TransientError):
            made.post(PATH, BODY, HEADERS)


def test_a_handshake_that_never_ends_is_cut_by_the_deadline() -> None:
    with listener() as (_, url):
        began = clock.elapsed()
        error = failure(url.replace("http:", "https:"), timedelta(seconds=0.5))
        assert clock.elapsed() - began < 3
        assert isinstance(error, TransientError)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0),
        (" 30 ", 30),
        ("999999999999999999999", 86400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 99 Dec 2030 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_and_bounded(header: str | None, seconds: int | None) -> None:
    assert parse_retry_after(header) == (None if seconds is None else timedelta(seconds=seconds))


def test_retry_after_as_a_date_is_counted_from_now() -> None:
    header = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)
    found = parse_retry_after(header)
    assert found is not None
    assert timedelta(seconds=85) < found <= timedelta(seconds=90)


@contextmanager
def listener() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


def answer_once(server: socket.socket, answer: bytes) -> Callable[[], bytes]:
    """Serve one connection on a thread; the result waits for it and gives the request's bytes."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()

    def result() -> bytes:
        thread.join(10)
        return heard[0]

    return result


def serve_tls_once(server: socket.socket, folder: Path) -> None:
    """A handshake with a certificate that nobody signed."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        connection, _ = server.accept()
        with connection, pytest.raises(OSError):
            context.wrap_socket(connection, server_side=True)

    threading.Thread(target=serve).start()
