"""The Stripe stand-in's faults, before and after the effect, and the records that do not listen to them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe_client import Stripe
from tests.support import eventually

SHORT = 0.3
INSTEAD_OF_AN_ANSWER = [FaultKind.RESET, FaultKind.DROP, FaultKind.HANG, FaultKind.HTML, FaultKind.REDIRECT]


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(invoices=2) as running:
        yield running


@pytest.fixture
def stripe(sandbox: StripeSandbox) -> Stripe:
    return Stripe(sandbox.url, sandbox.api_key)


@pytest.fixture
def invoice(stripe: Stripe) -> str:
    return str(stripe.get("/v1/invoices").json["data"][0]["id"])


def lost(stripe: Stripe, invoice: str, key: str) -> None:
    """Pay, and hear nothing that could be understood."""
    try:
        answer = stripe.pay(invoice, key=key, timeout=SHORT)
    except requests.RequestException:
        return
    assert answer.status == 307, answer.json


@pytest.mark.parametrize("kind", INSTEAD_OF_AN_ANSWER)
def test_before_the_provider_nothing_has_happened_and_the_key_is_free(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str, kind: FaultKind
) -> None:
    sandbox.faults.replace(Fault(kind=kind, method="POST", count=1))
    lost(stripe, invoice, "k")
    assert stripe.status(invoice) == "open"
    assert sandbox.book.payments() == []
    (send,) = sandbox.sends.all()
    assert (send.idempotency_key, send.status, send.acted) == ("k", None, False)
    again = stripe.pay(invoice, key="k")
    assert (again.status, "Idempotent-Replayed" in again.headers) == (200, False)


@pytest.mark.parametrize("kind", [*INSTEAD_OF_AN_ANSWER, FaultKind.HUGE])
def test_after_the_provider_it_has_happened_and_the_key_replays_it(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str, kind: FaultKind
) -> None:
    sandbox.faults.replace(Fault(kind=kind, method="POST", after=True, count=1))
    if kind is FaultKind.HUGE:
        with requests.post(
            f"{sandbox.url}/v1/invoices/{invoice}/pay",
            headers={**stripe.headers, "Idempotency-Key": "k"},
            stream=True,
            timeout=5,
        ) as answer:
            assert int(answer.headers["Content-Length"]) > 1e9
    else:
        lost(stripe, invoice, "k")
    assert stripe.status(invoice) == "paid"
    (send,) = sandbox.sends.all()
    assert (send.status, send.acted) == (200, True)
    again = stripe.pay(invoice, key="k")
    assert (again.json["status"], again.headers["Idempotent-Replayed"]) == ("paid", "true")
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATED, FaultKind.SHAPELESS, FaultKind.SLOW_DRIP])
def test_an_answer_that_is_spoilt_comes_from_a_provider_that_acted(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str, kind: FaultKind
) -> None:
    sandbox.faults.replace(Fault(kind=kind, method="POST", count=1, delay_ms=400))
    if kind is FaultKind.SHAPELESS:
        assert stripe.pay(invoice, key="k").json == {}
    else:
        stripe.fails(f"/v1/invoices/{invoice}/pay", key="k", timeout=SHORT)
    assert stripe.status(invoice) == "paid"
    assert stripe.pay(invoice, key="k").json["status"] == "paid"
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_html_with_200_looks_like_success_and_is_none(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.HTML, method="POST"))
    answer = requests.post(f"{sandbox.url}/v1/invoices/{invoice}/pay", headers=stripe.headers, timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")
    assert stripe.status(invoice) == "open"


def test_a_late_effect_comes_although_the_client_has_gone(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, method="POST", delay_ms=1200, count=1))
    assert isinstance(
        stripe.fails(f"/v1/invoices/{invoice}/pay", key="k", timeout=SHORT), requests.ReadTimeout
    )
    assert stripe.status(invoice) == "open"  # A look-up now would say that nothing has happened.
    assert stripe.pay(invoice, key="k").status == 409
    eventually(lambda: stripe.status(invoice) == "paid")
    assert stripe.pay(invoice, key="k").headers["Idempotent-Replayed"] == "true"
    (line,) = sandbox.book.payments()
    first = sandbox.sends.all()[0]
    assert first.acted
    assert line.at - first.at > SHORT  # The arrival is before the latency, the effect behind it.


def test_a_late_effect_comes_also_when_the_connection_is_torn(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, method="POST", delay_ms=200))
    head = "".join(f"{name}: {value}\r\n" for name, value in stripe.headers.items())
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(
            f"POST /v1/invoices/{invoice}/pay HTTP/1.1\r\nContent-Length: 0\r\n{head}\r\n".encode()
        )
    eventually(lambda: stripe.status(invoice) == "paid")


def test_half_a_request_has_no_effect(stripe: Stripe, sandbox: StripeSandbox, invoice: str) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in stripe.headers.items())
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        text = f"POST /v1/invoices/{invoice}/pay HTTP/1.1\r\nContent-Length: 26\r\n{head}\r\noff_session=true"
        client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert stripe.status(invoice) == "open"
    assert "POST /v1/invoices/{id}/pay" not in sandbox.requests()


def test_a_late_answer_comes_from_a_provider_that_acted_at_once(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, method="POST", after=True, delay_ms=600, count=1))
    stripe.fails(f"/v1/invoices/{invoice}/pay", key="k", timeout=SHORT)
    assert stripe.status(invoice) == "paid"
    assert stripe.pay(invoice, key="k").headers["Idempotent-Replayed"] == "true"


def test_faults_strike_only_the_method_and_the_path_that_they_name(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(
        Fault(kind=FaultKind.SERVER_ERROR, method="POST", path="/v1/invoices/*/pay", count=1),
        Fault(kind=FaultKind.RATE_LIMITED, method="GET", path="/v1/balance", retry_after="7"),
    )
    assert stripe.post(f"/v1/invoices/{invoice}/mark_uncollectible").status == 200
    assert stripe.status(invoice) == "uncollectible"
    assert stripe.pay(invoice).status == 500
    limited = stripe.get("/v1/balance")
    assert (limited.status, limited.error["code"], limited.headers["Retry-After"]) == (429, "rate_limit", "7")
    assert sandbox.faults.struck() == 2


def test_a_page_can_hold_a_row_twice(stripe: Stripe, sandbox: StripeSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.DUPLICATE_ID, method="GET"))
    ids = [row["id"] for row in stripe.get("/v1/invoices").json["data"]]
    assert len(ids) == 3
    assert ids[0] == ids[1]


def test_an_after_without_a_meaning_is_refused() -> None:
    for kind in (FaultKind.RATE_LIMITED, FaultKind.ERROR, FaultKind.DUPLICATE_ID):
        with pytest.raises(ValueError, match="never strikes after"):
            Fault(kind=kind, after=True)


def test_the_book_and_the_arrivals_hold_what_really_happened_under_a_storm(
    stripe: Stripe, sandbox: StripeSandbox
) -> None:
    """Faults at random, two clients that try until they read `paid`: the records add up."""
    invoices = sandbox.add_invoices(20)
    post = {"method": "POST", "probability": 0.15, "delay_ms": 5}
    sandbox.faults.replace(
        *(
            Fault(kind=kind, after=after, **post)  # type: ignore[arg-type] # one set of options for all
            for kind in (FaultKind.RESET, FaultKind.DROP, FaultKind.HTML, FaultKind.LATENCY)
            for after in (False, True)
        ),
        Fault(kind=FaultKind.TRUNCATED, **post),  # type: ignore[arg-type] # as above
        Fault(kind=FaultKind.SERVER_ERROR, stored=False, **post),  # type: ignore[arg-type] # as above
    )
    sent = [0, 0]

    def pay(place: int) -> None:
        for name in invoices[place::2]:
            while stripe.status(name) != "paid":
                sent[place] += 1
                try:
                    stripe.pay(name, key=name, timeout=5)
                except requests.RequestException:
                    continue

    threads = [threading.Thread(target=pay, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sandbox.book.payments_per_invoice() == dict.fromkeys(invoices, 1)
    sends = sandbox.sends.all()
    assert len(sends) == sum(sent) > 20
    acted = [send for send in sends if send.acted]
    assert sorted(send.idempotency_key for send in acted) == sorted(invoices)
    assert {line.idempotency_key for line in sandbox.book.payments()} == set(invoices)


def test_the_records_are_read_and_the_faults_switched_over_http(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    wanted = [{"kind": "reset", "method": "POST", "after": True, "count": 1}]
    assert requests.post(f"{sandbox.url}/_sandbox/faults", json=wanted, timeout=5).status_code == 200
    lost(stripe, invoice, "k")
    book = requests.get(f"{sandbox.url}/_sandbox/book", timeout=5).json()
    assert (book["refunds"], book["orders"]) == ([], [])
    (line,) = book["payments"]
    assert (line["invoice"], line["idempotency_key"], line["by"]) == (invoice, "k", "api")
    assert set(line) == {
        "payment_intent", "charge", "invoice", "amount", "currency", "at", "idempotency_key", "user_agent",
        "metadata", "by",
    }  # fmt: skip
    (send,) = requests.get(f"{sandbox.url}/_sandbox/sends", timeout=5).json()
    assert (send["path"], send["acted"], send["status"]) == (f"/v1/invoices/{invoice}/pay", True, 200)
    assert len(send["body_sha256"]) == 64
    rows = requests.get(f"{sandbox.url}/_sandbox/rows", timeout=5).json()
    assert {row["status"] for row in rows["invoices"]} == {"paid", "open"}
    for name, body in (
        ("change", {"colour": 1}), ("change", {"keys": "maybe"}), ("change", {"busy_ms": -1}),
        ("change", {"invoices": True}), ("change", {"payment_method": "pm_card_visa"}),
        ("change", {"pay_by_other": invoice}), ("change", {"settle_processing": "yes"}),
        ("change", {"advance_seconds": "1"}), ("faults", [{"kind": "rate_limited", "after": True}]),
    ):  # fmt: skip
        said = requests.post(f"{sandbox.url}/_sandbox/{name}", data=json.dumps(body), timeout=5)
        assert (said.status_code, "error" in said.json()) == (400, True), body
    assert requests.get(f"{sandbox.url}/_sandbox/nothing", timeout=5).status_code == 404
