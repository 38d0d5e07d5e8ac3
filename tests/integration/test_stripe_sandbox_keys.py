"""The Stripe stand-in's idempotency keys, its locks and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe_client import Answer, Stripe, meanwhile
from tests.support import eventually

ONE_SHOT: dict[str, Any] = {
    "amount": 700, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
}  # fmt: skip
INTENTS = "/v1/payment_intents"


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


def replayed(answer: Answer) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def test_the_same_key_gives_the_same_answer_and_acts_once(stripe: Stripe, sandbox: StripeSandbox) -> None:
    first = stripe.post(INTENTS, key="k", **ONE_SHOT)
    again = stripe.post(INTENTS, key="k", **ONE_SHOT)
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    assert not replayed(first)
    assert replayed(again)
    assert (
        first.headers["Request-Id"] == first.headers["Original-Request"] == again.headers["Original-Request"]
    )
    assert again.headers["Request-Id"] != first.headers["Request-Id"]
    assert again.headers["Idempotency-Key"] == "k"
    assert len(sandbox.book.payments()) == 1
    assert sandbox.state()["replays"] == 1
    assert [(send.acted, send.replayed, send.status) for send in sandbox.sends.all()] == [
        (True, False, 200), (False, True, 200),
    ]  # fmt: skip


def test_the_order_of_parameters_makes_no_difference(stripe: Stripe, sandbox: StripeSandbox) -> None:
    stripe.post(INTENTS, key="k", **ONE_SHOT)
    assert replayed(stripe.post(INTENTS, key="k", **dict(reversed(ONE_SHOT.items()))))
    assert len(sandbox.book.payments()) == 1


def test_a_refusal_by_the_bank_is_replayed_although_the_card_would_pay_now(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.set_payment_method("pm_card_chargeDeclined", invoice)
    first = stripe.pay(invoice, key="k")
    sandbox.set_payment_method("pm_card_visa", invoice)
    again = stripe.pay(invoice, key="k")
    assert (first.status, again.status, again.body) == (402, 402, first.body)
    assert replayed(again)
    assert again.headers["Stripe-Should-Retry"] == "false"
    assert sandbox.book.payments() == []
    assert stripe.pay(invoice, key="another").status == 200


def test_a_refusal_by_an_endpoint_at_work_is_replayed_too(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.pay_by_other(invoice)
    assert not replayed(stripe.pay(invoice, key="k"))
    assert replayed(stripe.pay(invoice, key="k"))


@pytest.mark.parametrize("after", [False, True], ids=["nothing executed", "executed"])
def test_a_500_is_replayed_whether_or_not_it_acted(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str, *, after: bool
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, method="POST", after=after, count=1))
    first = stripe.pay(invoice, key="k")
    again = stripe.pay(invoice, key="k")
    assert (first.status, again.status, again.body) == (500, 500, first.body)
    assert (replayed(first), replayed(again)) == (False, True)
    assert (first.error["type"], first.headers["Stripe-Should-Retry"]) == ("api_error", "false")
    assert stripe.status(invoice) == ("paid" if after else "open")
    assert len(sandbox.book.payments()) == (1 if after else 0)
    assert [send.acted for send in sandbox.sends.all()] == [after, False]


def test_a_500_that_is_not_stored_leaves_the_key_to_the_real_answer(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(
        Fault(kind=FaultKind.SERVER_ERROR, stored=False, after=True, count=1, status=503, should_retry="true")
    )
    first = stripe.pay(invoice, key="k")
    assert (first.status, first.headers["Stripe-Should-Retry"]) == (503, "true")
    again = stripe.pay(invoice, key="k")
    assert (again.status, again.json["status"], replayed(again)) == (200, "paid", True)
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, stored=False, count=1, method="POST"))
    assert "Stripe-Should-Retry" not in stripe.post(INTENTS, key="new", **ONE_SHOT).headers
    afresh = stripe.post(INTENTS, key="new", **ONE_SHOT)
    assert (afresh.status, replayed(afresh)) == (200, False)
    assert len(sandbox.book.payments()) == 2


def test_a_key_is_in_use_while_its_request_is_at_work(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.LATENCY, delay_ms=800, method="POST", count=1))
    with meanwhile(stripe.pay, invoice, key="k") as results:
        eventually(lambda: sandbox.state()["keys"])
        said = stripe.pay(invoice, key="k")
        assert stripe.status(invoice) == "open"
    assert (said.status, said.error["code"]) == (409, "idempotency_key_in_use")
    assert said.headers["Stripe-Should-Retry"] == "true"
    assert results[0].status == 200
    assert replayed(stripe.pay(invoice, key="k"))  # The 409 was not kept, the answer was.
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_other_parameters_and_another_endpoint_are_refused(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    stripe.post(INTENTS, key="k", **ONE_SHOT)
    other = stripe.post(INTENTS, key="k", **{**ONE_SHOT, "amount": 701})
    assert (other.status, other.error["type"]) == (400, "idempotency_error")
    assert "same parameters" in other.error["message"]
    elsewhere = stripe.pay(invoice, key="k")
    assert (elsewhere.status, elsewhere.error["type"]) == (400, "idempotency_error")
    assert f"('/v1/invoices/{invoice}/pay' vs '/v1/payment_intents')" in elsewhere.error["message"]
    assert len(sandbox.book.payments()) == 1
    assert replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))


def test_keys_of_two_accounts_do_not_meet(stripe: Stripe, sandbox: StripeSandbox) -> None:
    stripe.post(INTENTS, key="k", **ONE_SHOT)
    stripe.headers["Stripe-Account"] = "acct_2"
    assert not replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))
    assert len(sandbox.book.payments()) == 2


def test_what_never_began_is_not_kept(stripe: Stripe, sandbox: StripeSandbox, invoice: str) -> None:
    assert stripe.pay(invoice, key="unfit", colour="red").error["code"] == "parameter_unknown"
    assert stripe.post(INTENTS, key="unfit too", amount="x", currency="usd").status == 400
    good, stripe.headers["Authorization"] = stripe.headers["Authorization"], "Bearer wrong"
    assert stripe.pay(invoice, key="stranger").status == 401
    stripe.headers["Authorization"] = good
    sandbox.faults.replace(
        Fault(kind=FaultKind.RATE_LIMITED, count=1),
        Fault(kind=FaultKind.ERROR, status=503, error_type="API_ERROR", error_code="down", skip=1, count=1),
    )
    limited = stripe.pay(invoice, key="early")
    assert (limited.status, limited.headers["Stripe-Rate-Limited-Reason"]) == (429, "global-rate")
    assert "Stripe-Should-Retry" not in limited.headers
    assert stripe.pay(invoice, key="early").status == 503
    assert sandbox.state()["keys"] == 0
    assert sandbox.book.payments() == []
    for key in ("unfit", "unfit too", "stranger"):
        assert not replayed(stripe.post(INTENTS, key=key, **ONE_SHOT))
    assert stripe.pay(invoice, key="early").json["status"] == "paid"


def test_a_key_is_forgotten_24_hours_after_its_first_use(stripe: Stripe, sandbox: StripeSandbox) -> None:
    stripe.post(INTENTS, key="k", **ONE_SHOT)
    sandbox.advance(timedelta(hours=23, minutes=59))
    assert replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))  # Being used again does not prolong it.
    sandbox.advance(timedelta(minutes=1))
    assert not replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))
    assert len(sandbox.book.payments()) == 2
    with pytest.raises(ValueError, match="forward"):
        sandbox.advance(timedelta(seconds=-1))


def test_a_key_has_up_to_255_characters(stripe: Stripe, sandbox: StripeSandbox) -> None:
    assert stripe.post(INTENTS, key="k" * 256, **ONE_SHOT).status == 400
    assert stripe.post(INTENTS, key="k" * 255, **ONE_SHOT).status == 200
    assert len(sandbox.book.payments()) == 1


def test_a_provider_that_ignores_keys_acts_every_time_but_the_book_tells(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.change({"keys": "ignored"})
    for _ in range(2):
        said = stripe.post(INTENTS, key="k", **ONE_SHOT)
        assert not replayed(said)
        assert "Idempotency-Key" not in said.headers
    assert [line.idempotency_key for line in sandbox.book.payments()] == ["k", "k"]
    assert stripe.get("/v1/events", limit=1).json["data"][0]["request"]["idempotency_key"] is None
    assert [stripe.pay(invoice, key="p").status for _ in range(2)] == [200, 400]
    assert [send.idempotency_key for send in sandbox.sends.all()] == ["k", "k", "p", "p"]
    sandbox.change({"keys": "honoured"})
    assert not replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))
    assert replayed(stripe.post(INTENTS, key="k", **ONE_SHOT))


def test_gets_take_no_key(stripe: Stripe, sandbox: StripeSandbox) -> None:
    stripe.headers["Idempotency-Key"] = "k"
    assert stripe.get("/v1/balance").status == 200
    assert sandbox.sends.all() == []
    assert sandbox.state()["keys"] == 0


def test_two_keys_on_one_invoice_pay_it_once(stripe: Stripe, sandbox: StripeSandbox, invoice: str) -> None:
    with meanwhile(stripe.pay, invoice, key="a") as results:
        said = stripe.pay(invoice, key="b")
    assert sorted((said.status, results[0].status)) == [200, 400]
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_an_object_that_is_busy_sends_others_away_and_keeps_nothing(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    sandbox.busy = timedelta(milliseconds=800)
    with meanwhile(stripe.pay, invoice, key="a") as results:
        eventually(lambda: sandbox._held)
        said = stripe.pay(invoice, key="b")
        assert stripe.status(invoice) == "open"  # Reading waits for nobody.
    assert (said.status, said.error["code"]) == (429, "lock_timeout")
    assert said.headers["Stripe-Should-Retry"] == "true"
    assert results[0].status == 200
    later = stripe.pay(invoice, key="b")
    assert (later.status, replayed(later)) == (400, False)
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_created_follows_the_clock_that_was_put_forward(stripe: Stripe, sandbox: StripeSandbox) -> None:
    before = stripe.post(INTENTS, **ONE_SHOT).json["created"]
    sandbox.change({"advance_seconds": 3600})
    assert 3600 <= stripe.post(INTENTS, **ONE_SHOT).json["created"] - before < 3660
    first, second = (line.at for line in sandbox.book.payments())
    assert second - first < 60  # The book is on the wall clock.
