"""The sends that take effect, over real sockets: when they leave, and what is known of one that failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from leaderjobs import clock
from leaderjobs.connectors import http
from leaderjobs.connectors.http import HttpClient
from leaderjobs.connectors.http_wire import Exchange
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.errors import FatalError, Interrupted, LeadershipLost, TransientError
from tests.support import eventually, free_port
from tests.unit.connectors.sending import BODY, LONG, client, code, failure, send
from tests.unit.connectors.wires import (
    OK,
    answering,
    certificate,
    hanging,
    needs_openssl,
    resetting,
    serving,
    tls,
)


def test_the_guard_is_asked_when_the_connection_stands_and_nothing_has_left() -> None:
    with serving(answering(OK)) as server, client(server.url) as made:
        seen: list[list[bytes]] = []

        def guard() -> None:
            eventually(lambda: server.wires)
            seen.append(server.heard)

        assert send(made, guard=guard).status == 200
        assert seen == [[b""]]
        assert server.wires[0].body == BODY


@pytest.mark.parametrize(
    "raised",
    [
        LeadershipLost("over"),
        Interrupted("stop"),
        TransientError("later", code="other"),
        OSError("of the guard's own"),
        ConnectionResetError(104, "of the guard's own"),
        TimeoutError("of the guard's own"),
        requests.ConnectionError("of the guard's own"),
        ValueError("of the guard's own"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_guard_raises_passes_through_and_not_a_byte_leaves(raised: BaseException) -> None:
    def guard() -> None:
        raise raised

    with serving(answering(OK)) as server, client(server.url) as made:
        began = clock.elapsed()
        with pytest.raises(type(raised)) as caught:
            send(made, guard=guard)
        assert caught.value is raised
        assert clock.elapsed() - began < 5  # A reset of the guard's own is not taken for one of the socket's.
        eventually(lambda: server.wires and server.wires[0].ended.is_set())
        assert server.heard == [b""]


def test_head_and_body_leave_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = Exchange.write

    def spy(self: Exchange, sock: socket.socket, request: bytes) -> None:
        written.append(request)
        write(self, sock, request)

    monkeypatch.setattr(Exchange, "write", spy)
    body = b"x" * 200_000
    with serving(answering(OK)) as server, client(server.url) as made:
        send(made, body=body)
        assert written == server.heard
        assert written[0].startswith(b"POST /v1/invoices/in_1/pay HTTP/1.1\r\n")
        assert server.wires[0].body == body


def test_every_send_has_a_connection_of_its_own_that_is_closed_afterwards() -> None:
    def twice(connection: socket.socket, _: bytes) -> None:
        connection.sendall(OK)
        connection.recv(1)  # Stays open until the client closes.

    with serving(twice) as server, client(server.url) as made:
        for number in (1, 2, 3):
            send(made)
            eventually(server.wires[-1].ended.is_set)
            assert len(server.wires) == number
        assert "Connection: close" in server.wires[0].head


def test_several_are_out_at_once() -> None:
    together = threading.Barrier(4, timeout=10)

    def meet(connection: socket.socket, _: bytes) -> None:
        together.wait()
        connection.sendall(OK)

    with serving(meet) as server, client(server.url) as made:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(send(made))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert [answer.status for answer in answers] == [200] * 4


def test_close_cuts_all_that_are_out_and_says_that_they_may_have_acted() -> None:
    with serving(hanging) as server:
        made = HttpClient(server.url, timeout=LONG)
        codes: list[str] = []

        def ask() -> None:
            with pytest.raises(TransientError) as caught:
                send(made)
            codes.append(caught.value.code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: sum(BODY in heard for heard in server.heard) == 3)
        began = clock.elapsed()
        made.close()
        for thread in threads:
            thread.join(5)
        assert clock.elapsed() - began < 1
        assert codes == [NO_ANSWER] * 3


def test_closed_before_it_leaves_it_is_interrupted_and_nothing_is_sent() -> None:
    with serving(answering(OK)) as server:
        made = HttpClient(server.url, timeout=LONG)
        with pytest.raises(Interrupted):
            send(made, guard=made.close)
        with pytest.raises(Interrupted):
            send(made)
        eventually(lambda: server.wires and server.wires[0].ended.is_set())
        assert server.heard == [b""]


def test_a_guard_that_took_longer_than_the_send_may_lets_nothing_leave() -> None:
    """As when the process was suspended in it: whoever vouched for this send does not any more."""

    def guard() -> None:
        threading.Event().wait(0.6)

    with serving(answering(OK)) as server:
        error = failure(server.url, timedelta(seconds=0.2), guard)
        assert code(error) == NOT_SENT
        assert server.heard == [b""]


def test_not_reached_is_not_sent_and_the_guard_is_not_asked() -> None:
    asked: list[None] = []
    for url in (f"http://127.0.0.1:{free_port()}", "https://nowhere.invalid"):
        assert code(failure(url, guard=lambda: asked.append(None))) == NOT_SENT
    assert asked == []


def test_a_connect_that_does_not_end_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        assert code(failure(url, timedelta(seconds=0.4))) == NOT_SENT
        for one in waiting:
            one.close()


@pytest.mark.parametrize("how", ["reset", "close", "nonsense", "silence"])
def test_broken_off_in_the_handshake_is_not_sent(how: str) -> None:
    asked: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                if how == "reset":
                    resetting(connection, b"")
                elif how == "nonsense":
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                elif how == "silence":
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://localhost:{server.getsockname()[1]}"
        error = failure(url, timedelta(seconds=0.5), lambda: asked.append(None))
        assert code(error) == NOT_SENT
        thread.join(10)
    assert asked == []


@needs_openssl
def test_a_certificate_that_does_not_verify_is_fatal_and_not_sent(tmp_path: Path) -> None:
    asked: list[None] = []
    with serving(answering(OK), tls(certificate(tmp_path))) as server:
        error = failure(server.url, guard=lambda: asked.append(None))
    assert isinstance(error, FatalError)
    assert error.code == NOT_SENT
    assert (asked, server.heard) == ([], [b""])


@needs_openssl
def test_over_tls_the_guard_comes_after_the_handshake_and_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = certificate(tmp_path)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(both))
    with serving(answering(OK), tls(both)) as server, client(server.url) as made:
        seen: list[list[bytes]] = []

        def guard() -> None:
            seen.append(server.heard)

        def lost() -> None:
            raise LeadershipLost("over")

        assert send(made, guard=guard).status == 200
        assert seen == [[b""]]
        assert server.wires[0].body == BODY
        with pytest.raises(LeadershipLost):
            send(made, guard=lost)
        assert server.heard[1] == b""


def _truncating(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def _no_http(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"\x00\x01 what is this\r\n\r\n")


def _closing(connection: socket.socket, _: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("behave", [resetting, _closing, _truncating, _no_http, hanging])
def test_once_it_has_left_every_failure_means_that_it_may_have_acted(
    behave: Callable[[socket.socket, bytes], None],
) -> None:
    with serving(behave) as server:
        began = clock.elapsed()
        error = failure(server.url, timedelta(seconds=0.5))
        assert clock.elapsed() - began < 3
        assert code(error) == NO_ANSWER
        assert BODY in server.heard[0]


def test_reset_while_it_is_still_leaving_it_may_have_acted() -> None:
    """The provider may act on what it has, whatever a client still had to say."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                resetting(connection, b"")

        threading.Thread(target=serve).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with client(url) as made, pytest.raises(TransientError) as caught:
            send(made, body=b"x" * 20_000_000)
        assert caught.value.code == NO_ANSWER


def test_a_body_over_the_bound_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BODY_BYTES", 1000)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b" " * 2000
    with serving(answering(big)) as server:
        assert code(failure(server.url)) == NO_ANSWER
