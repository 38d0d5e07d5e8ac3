"""The small provider of orders: what Stripe's stand-in shares with it is tried here once more from outside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.orders import OrdersSandbox
from tests.integration.stripe_client import meanwhile
from tests.support import eventually


class Shop:
    """Asks without any connector between."""

    def __init__(self, sandbox: OrdersSandbox) -> None:
        self.url = sandbox.url
        self.headers = {"Authorization": f"Bearer {sandbox.token}"}

    def order(
        self, reference: str = "r-1", *, key: str | None = None, timeout: float = 10, **more: Any
    ) -> requests.Response:
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        body = {"reference": reference, "cents": 500, **more}
        return requests.post(f"{self.url}/orders", json=body, headers=headers, timeout=timeout)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers, timeout=10)

    def found(self, reference: str) -> list[str]:
        return [row["id"] for row in self.get(f"/orders?reference={reference}").json()["data"]]


@pytest.fixture
def sandbox() -> Iterator[OrdersSandbox]:
    with OrdersSandbox(retention=timedelta(hours=1)) as running:
        yield running


@pytest.fixture
def shop(sandbox: OrdersSandbox) -> Shop:
    return Shop(sandbox)


def test_an_order_is_placed_found_and_in_the_book(shop: Shop, sandbox: OrdersSandbox) -> None:
    answer = shop.order("a b/ä", key="k", color="red")
    assert answer.status_code == 201
    made = answer.json()
    assert (made["reference"], made["cents"], made["status"], made["color"]) == (
        "a b/ä",
        500,
        "accepted",
        "red",
    )
    assert shop.get(f"/orders/{made['id']}").json() == made
    assert shop.found("a%20b%2F%C3%A4") == [made["id"]]
    assert shop.found("other") == []
    (line,) = sandbox.book.orders()
    assert (line.order, line.reference, line.cents, line.idempotency_key) == (made["id"], "a b/ä", 500, "k")


def test_a_reference_is_no_key(shop: Shop, sandbox: OrdersSandbox) -> None:
    for _ in range(2):
        assert shop.order("same").status_code == 201
    assert sandbox.book.orders_per_reference() == {"same": 2}
    assert len(shop.found("same")) == 2
    assert sandbox.state()["ordered_twice"] == 1


def test_a_key_acts_once_until_it_is_forgotten(shop: Shop, sandbox: OrdersSandbox) -> None:
    first, again = (shop.order(key="k") for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.order(key="k", cents=501).status_code == 422
    sandbox.change({"advance_seconds": 3599})
    assert shop.order(key="k").headers.get("Idempotent-Replayed") == "true"
    sandbox.change({"retention_seconds": 3000})
    assert "Idempotent-Replayed" not in shop.order(key="k").headers
    assert sandbox.book.orders_per_reference() == {"r-1": 2}
    assert shop.order(key="k" * 256).status_code == 400


def test_a_key_is_in_use_while_its_request_is_at_work_also_when_the_client_has_gone(
    shop: Shop, sandbox: OrdersSandbox
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, delay_ms=800, method="POST", count=1))

    def leave() -> None:
        with pytest.raises(requests.ReadTimeout):
            shop.order(key="k", timeout=0.2)

    with meanwhile(leave):
        eventually(lambda: sandbox.state()["keys"])
        assert shop.order(key="k").status_code == 409
    assert shop.found("r-1") == []
    eventually(sandbox.book.orders)
    assert eventually(lambda: shop.order(key="k")).headers["Idempotent-Replayed"] == "true"
    assert sandbox.book.orders_per_reference() == {"r-1": 1}


def test_keys_can_be_ignored_and_reads_can_lag(shop: Shop, sandbox: OrdersSandbox) -> None:
    sandbox.change({"keys": "ignored", "read_lag_ms": 300})
    made = [shop.order(key="k").json()["id"] for _ in range(2)]
    assert shop.found("r-1") == []
    assert shop.get(f"/orders/{made[0]}").status_code == 404
    eventually(lambda: shop.found("r-1") == made[::-1])
    assert [line.idempotency_key for line in sandbox.book.orders()] == ["k", "k"]


@pytest.mark.parametrize("after", [False, True])
def test_faults_strike_before_or_after_the_effect(shop: Shop, sandbox: OrdersSandbox, *, after: bool) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.DROP, method="POST", after=after, count=1))
    with pytest.raises(requests.ConnectionError):
        shop.order(key="k")
    assert len(sandbox.book.orders()) == (1 if after else 0)
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, method="POST", after=after, count=1))
    assert [shop.order(key="j").status_code for _ in range(2)] == [500, 500]
    assert len(sandbox.book.orders()) == (2 if after else 0)
    assert shop.order(key="k").status_code == 201
    assert len(sandbox.book.orders()) == (2 if after else 1)


def test_wrong_requests_are_refused_and_not_kept(shop: Shop, sandbox: OrdersSandbox) -> None:
    for wrong in ({"cents": 1.5}, {"cents": True}, {"cents": -1}, {"cents": None}, {"reference": ""}):
        assert shop.order(key="k", **wrong).status_code == 400, wrong
    assert requests.post(f"{shop.url}/orders", data=b"[", headers=shop.headers, timeout=5).status_code == 400
    assert requests.delete(f"{shop.url}/orders", headers=shop.headers, timeout=5).status_code == 404
    for path in ("/", "/orders/", "/orders/ord_x", "/other"):
        assert shop.get(path).status_code == 404
    sandbox.faults.replace(Fault(kind=FaultKind.RATE_LIMITED, retry_after="3", count=1))
    limited = shop.order(key="k")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    shop.headers = {"Authorization": "Bearer wrong"}
    assert shop.order(key="k").status_code == 401
    assert (sandbox.book.orders(), sandbox.state()["keys"]) == ([], 0)
