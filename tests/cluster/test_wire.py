"""The proxy before a provider notes what was sent when, whatever is done to it on the way."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator

import pytest

from leaderjobs.sandbox.orders import OrdersSandbox
from tests.cluster.history import Entry, What
from tests.cluster.wire import ProviderProxy, Reader
from tests.support import eventually

KEY = "11111111-1111-1111-1111-111111111111"
BODY = b'{"reference": "r", "cents": 5}'


@pytest.fixture
def orders() -> Iterator[OrdersSandbox]:
    with OrdersSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def told() -> list[Entry]:
    return []


@pytest.fixture
def proxy(orders: OrdersSandbox, told: list[Entry]) -> Iterator[ProviderProxy]:
    with ProviderProxy("127.0.0.1", int(orders.url.rpartition(":")[2]), "a", told.append) as proxy:
        yield proxy


def place(proxy: ProviderProxy, token: str) -> int:
    """Place an order with a key, and look at it, on one connection; the status of the first answer."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": f"lj-{KEY}",
        "User-Agent": "leaderjobs/1 (term 3; send 2)",
    }
    connection.request("POST", "/orders", BODY, headers)
    first = connection.getresponse()
    first.read()
    connection.request("GET", "/orders?reference=r", headers={"Authorization": f"Bearer {token}"})
    connection.getresponse().read()
    connection.close()
    return first.status


def test_a_send_and_its_answer_are_told_and_looks_apart_from_them(
    orders: OrdersSandbox, proxy: ProviderProxy, told: list[Entry]
) -> None:
    assert place(proxy, orders.token) == 201
    eventually(lambda: len(told) == 4, 5, "two requests and two answers")
    send, answer, look, _ = told
    assert (send.what, send.who, send.term, send.effect, send.n) == (What.SEND, "wire a", 3, KEY, 2)
    assert (send.fact("method"), send.fact("path")) == ("POST", "/orders")
    assert (answer.what, answer.effect, answer.n, answer.fact("status")) == (What.ANSWER, KEY, 2, 201)
    assert answer.fact("replayed") is False
    assert (look.what, look.fact("path")) == (What.LOOK, "/orders?reference=r")


def test_a_replay_is_told_from_a_first_answer(
    orders: OrdersSandbox, proxy: ProviderProxy, told: list[Entry]
) -> None:
    place(proxy, orders.token)
    place(proxy, orders.token)
    eventually(lambda: len(told) == 8, 5, "all of it twice")
    answers = [entry for entry in told if entry.what is What.ANSWER and entry.effect]
    assert [entry.fact("replayed") for entry in answers] == [False, True]


def test_a_request_counts_from_when_it_was_sent_however_long_it_is_held_back(
    orders: OrdersSandbox, proxy: ProviderProxy, told: list[Entry]
) -> None:
    proxy.black_hole()
    before = time.time()
    threading.Timer(0.5, proxy.restore).start()
    place(proxy, orders.token)
    send = eventually(lambda: told, 5, "the send")[0]
    assert 0 <= send.at - before < 0.3
    assert orders.sends.all()[0].at - before >= 0.5


def test_an_answer_that_is_lost_is_not_told(
    orders: OrdersSandbox, proxy: ProviderProxy, told: list[Entry]
) -> None:
    proxy.lose_next_answer()
    with pytest.raises(OSError):
        place(proxy, orders.token)
    assert [entry.what for entry in told] == [What.SEND]
    assert len(orders.book.orders()) == 1


def test_a_message_is_put_together_from_whatever_pieces_it_comes_in() -> None:
    raw = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzGET /b HTTP/1.1\r\n\r\n"
    for size in (1, 2, 7, len(raw)):
        reader = Reader()
        whole = [
            message
            for start in range(0, len(raw), size)
            for message, done in reader.feed(raw[start : start + size], start)
            if done
        ]
        assert [message.first for message in whole] == ["POST /a HTTP/1.1", "GET /b HTTP/1.1"]
        assert [message.body for message in whole] == [b"xyz", b""]
        assert whole[0].at == 0
