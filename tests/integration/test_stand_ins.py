"""The stand-ins as processes of their own, and what drives them from Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from leaderjobs.demo.provider import OrdersProvider, Provider, StripeProvider
from leaderjobs.errors import EmbeddedError
from tests.integration.stripe_client import Stripe


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[StripeProvider]:
    running = StripeProvider(["--invoices", "3", "--seed", "5"], tmp_path / "stripe.log")
    yield running
    running.stop()
    running.stop()
    assert (tmp_path / "stripe.log").read_text() == ""


def test_stripe_is_driven_and_read_over_its_own_port(stripe: StripeProvider) -> None:
    client = Stripe(stripe.url, stripe.api_key)
    (added,) = stripe.change(invoices=1)["invoices"]
    stripe.faults({"kind": "drop", "method": "POST", "after": True, "count": 1})
    assert isinstance(client.fails(f"/v1/invoices/{added}/pay", key="k"), requests.ConnectionError)
    assert client.pay(added, key="k").headers["Idempotent-Replayed"] == "true"
    (line,) = stripe.book()["payments"]
    assert (line["invoice"], line["idempotency_key"]) == (added, "k")
    assert [(send["acted"], send["replayed"]) for send in stripe.sends()] == [(True, False), (False, True)]
    assert stripe.rows()[added]["status"] == "paid"
    state = stripe.state()
    assert (state["invoices"], state["payments"], state["faults_struck"]) == ({"open": 3, "paid": 1}, 1, 1)
    assert state["requests"] == {"POST /v1/invoices/{id}/pay": 2}


def test_the_changes_have_their_names_over_http_too(stripe: StripeProvider) -> None:
    client = Stripe(stripe.url, stripe.api_key)
    one, two, three = (row["id"] for row in client.get("/v1/invoices").json["data"])
    stripe.change(payment_method="pm_card_processing", invoice=one)
    assert client.pay(one).json["status"] == "open"
    (settled,) = stripe.change(settle_processing=True)["settle_processing"]
    assert stripe.change(pay_by_other=two)["pay_by_other"].startswith("pi_")
    stripe.change(void=three, busy_ms=0, search_lag_ms=0, read_lag_ms=0, advance_seconds=60, keys="honoured")
    assert [client.status(name) for name in (one, two, three)] == ["paid", "paid", "void"]
    assert [line["by"] for line in stripe.book()["payments"]] == ["api", "other"]
    assert stripe.book()["payments"][0]["payment_intent"] == settled
    with pytest.raises(ValueError, match="allowed: honoured, ignored"):
        stripe.change(keys="maybe")


def test_orders_are_a_process_too(tmp_path: Path) -> None:
    running = OrdersProvider(["--retention", "1h", "--latency", "1ms"], tmp_path / "log")
    try:
        headers = {"Authorization": f"Bearer {running.token}", "Idempotency-Key": "k"}
        for _ in range(2):
            requests.post(
                f"{running.url}/orders", json={"reference": "r", "cents": 1}, headers=headers, timeout=5
            )
        assert [line["reference"] for line in running.book()["orders"]] == ["r"]
        assert len(running.sends()) == 2
        assert len(running.rows()) == 1
        assert running.state()["orders"] == 1
    finally:
        running.stop()


def test_plaid_is_as_it_was(tmp_path: Path) -> None:
    running = Provider(["--transactions", "5"], tmp_path / "log")
    try:
        assert len(running.rows()) == 5
        assert running.change(add=2) == {"add": 2}
        assert running.client_id
        for ask in (requests.get, requests.delete):
            assert ask(f"{running.url}/item/get", timeout=5).status_code == 405
        assert running.access_token.startswith("access-sandbox-")
    finally:
        running.stop()


def test_a_stand_in_that_does_not_start_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"see .*log"):
        StripeProvider(["--invoices", "-1"], tmp_path / "log")
    assert "allowed: 0 to" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "arguments", [["visa"], ["stripe", "--transactions", "1"], ["orders", "--retention", "1"]]
)
def test_as_a_process_it_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "leaderjobs.sandbox", *arguments],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
