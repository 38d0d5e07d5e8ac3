"""What comes back from a send, and what can be sent at all."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest

from leaderjobs.connectors import http
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT
from leaderjobs.errors import FatalError
from tests.unit.connectors.sending import LONG, PATH, client, code, failure, send
from tests.unit.connectors.wires import OK, answering, serving


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(answering(answer)) as server, client(server.url) as made:
        found = send(made)
        assert (found.status, found.headers["location"]) == (status, "/elsewhere")
        assert len(server.wires) == 1


def test_a_redirect_without_end_is_cut_like_any_other_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BODY_BYTES", 100_000)

    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with serving(endless) as server:
        assert code(failure(server.url, timedelta(seconds=10))) == NO_ANSWER


def test_headers_come_in_lower_case_without_cookies_and_without_long_ones() -> None:
    answer = (
        b"HTTP/1.1 429 Too Many\r\nIdempotent-Replayed: true\r\nRequest-ID: req_1\r\nRetry-After: 7\r\n"
        b"Set-Cookie: session=hunter4\r\nX-Long: " + b"x" * 2000 + b"\r\nContent-Length: 2\r\n\r\n{}"
    )
    with serving(answering(answer)) as server, client(server.url) as made:
        found = send(made)
    assert found.headers == {
        "idempotent-replayed": "true",
        "request-id": "req_1",
        "retry-after": "7",
        "content-length": "2",
    }
    assert found.retry_after == timedelta(seconds=7)
    assert "req_1" not in repr(found)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_any_method_with_and_without_a_body(method: str) -> None:
    with serving(answering(OK)) as server, client(server.url) as made:
        send(made, method=method, body=b"")
        send(made, method=method, body=b"{}")
        assert [wire.body for wire in server.wires] == [b"", b"{}"]
        assert all(wire.head.startswith(f"{method} {PATH} HTTP/1.1") for wire in server.wires)
        assert "Authorization: Bearer hunter2" in server.wires[0].head


def test_no_cookie_comes_back() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: 2\r\n\r\n{}"
    with serving(answering(answer)) as server, client(server.url) as made:
        send(made)
        send(made)
        assert "cookie" not in server.wires[1].head.lower()


def test_what_cannot_be_written_is_fatal_not_sent_and_not_shown() -> None:
    asked: list[None] = []
    bad_headers = ({"X": "hunter2\r\nY: z"}, {"X": "hunter2\u20ac"}, {"X hunter2\n": "a"})
    bad = [(PATH, headers) for headers in bad_headers] + [
        ("@evil.invalid/", {}),
        ("", {}),
        (".evil.invalid/", {}),
    ]
    with serving(answering(OK)) as server, client(server.url) as made:
        for path, headers in bad:
            with pytest.raises(FatalError) as caught:
                made.exchange("POST", path, b"", headers, timeout=LONG, guard=lambda: asked.append(None))
            assert caught.value.code == NOT_SENT
            assert "hunter" not in str(caught.value)
        assert asked == []
        assert all(heard == b"" for heard in server.heard)


@pytest.mark.parametrize("seconds", [-1, 0])
def test_without_time_nothing_is_sent(seconds: int) -> None:
    with serving(answering(OK)) as server:
        assert code(failure(server.url, timedelta(seconds=seconds))) == NOT_SENT
        assert all(heard == b"" for heard in server.heard)
