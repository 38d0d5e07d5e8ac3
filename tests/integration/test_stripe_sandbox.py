"""The Stripe stand-in: invoices, payments and refunds, as the API answers them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe_client import Stripe

DECLINES = [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
]
GONE_SINCE_BASIL = {"payment_intent", "charge", "paid", "paid_out_of_band"}


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(invoices=3) as running:
        yield running


@pytest.fixture
def stripe(sandbox: StripeSandbox) -> Stripe:
    return Stripe(sandbox.url, sandbox.api_key)


@pytest.fixture
def invoice(stripe: Stripe) -> str:
    return str(stripe.get("/v1/invoices").json["data"][0]["id"])


def intent(stripe: Stripe, **form: Any) -> dict[str, Any]:
    made = stripe.post("/v1/payment_intents", **{"amount": 1200, "currency": "usd", **form})
    assert made.status == 200, made.json
    return made.json


def kinds(stripe: Stripe) -> list[str]:
    """The events, oldest first."""
    return [event["type"] for event in reversed(stripe.get("/v1/events", limit=100).json["data"])]


def test_the_same_seed_gives_the_same_account_and_another_seed_another() -> None:
    made = [StripeSandbox(seed=seed, invoices=3) for seed in (1, 1, 2)]
    rows = [json.loads(sandbox.rows_json())["invoices"] for sandbox in made]
    told = [
        (sandbox.api_key, [(row["id"], row["total"]) for row in invoices])
        for sandbox, invoices in zip(made, rows, strict=True)
    ]
    assert told[0] == told[1]
    assert told[0][0] != told[2][0]
    assert not set(told[0][1]) & set(told[2][1])
    for sandbox in made:
        sandbox.stop()


def test_an_invoice_that_is_paid_is_in_the_book_and_shows_it_by_its_status(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    before = stripe.get(f"/v1/invoices/{invoice}").json
    assert (before["status"], before["amount_paid"], before["auto_advance"]) == ("open", 0, False)
    paid = stripe.pay(invoice, key="k-1", off_session=True)
    assert paid.status == 200
    assert (paid.json["status"], paid.json["amount_remaining"]) == ("paid", 0)
    assert paid.json["amount_paid"] == before["amount_due"]
    assert isinstance(paid.json["status_transitions"]["paid_at"], int)
    assert not GONE_SINCE_BASIL & set(paid.json)
    (line,) = sandbox.book.payments()
    assert (line.invoice, line.amount, line.currency) == (invoice, before["amount_due"], "usd")
    assert (line.idempotency_key, line.by) == ("k-1", "api")
    assert (line.user_agent or "").startswith("python-requests")


def test_its_payments_are_found_by_expanding_and_by_listing(stripe: Stripe, invoice: str) -> None:
    stripe.pay(invoice)
    expanded = stripe.get(
        f"/v1/invoices/{invoice}", expand=["payments.data.payment.payment_intent", "customer"]
    ).json
    assert expanded["customer"]["object"] == "customer"
    (payment,) = expanded["payments"]["data"]
    intent_id = payment["payment"]["payment_intent"]["id"]
    assert payment["payment"]["payment_intent"]["status"] == "succeeded"
    for wanted in (
        {"invoice": invoice},
        {"payment": {"type": "payment_intent", "payment_intent": intent_id}},
        {"status": "paid"},
    ):
        (listed,) = stripe.get("/v1/invoice_payments", **wanted).json["data"]
        assert listed["id"] == payment["id"]
        assert listed["amount_paid"] == expanded["amount_paid"]
    assert stripe.get(f"/v1/invoice_payments/{payment['id']}").json["invoice"] == invoice
    assert stripe.get("/v1/invoice_payments", invoice=invoice, status="open").json["data"] == []


def test_paying_twice_is_refused_with_a_message_and_no_code(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    stripe.pay(invoice)
    again = stripe.pay(invoice)
    assert (again.status, again.error["type"]) == (400, "invalid_request_error")
    assert again.error["message"] == "Invoice is already paid"
    assert "code" not in again.error
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_an_invoice_from_draft_to_paid_and_its_events(stripe: Stripe, sandbox: StripeSandbox) -> None:
    known = len(kinds(stripe))
    customer = stripe.post("/v1/customers", name="Ann", metadata={"ours": "1"}).json
    draft = stripe.post(
        "/v1/invoices", customer=customer["id"], currency="usd", auto_advance=False, metadata={"job": "7"}
    ).json
    assert (draft["status"], draft["metadata"], draft["number"]) == ("draft", {"job": "7"}, None)
    item = stripe.post(
        "/v1/invoiceitems", customer=customer["id"], invoice=draft["id"], amount=990, currency="usd"
    ).json
    assert stripe.pay(draft["id"]).status == 400
    opened = stripe.post(f"/v1/invoices/{draft['id']}/finalize").json
    assert (opened["status"], opened["amount_due"], opened["auto_advance"]) == ("open", 990, False)
    assert opened["lines"]["data"][0]["parent"]["invoice_item_details"]["invoice_item"] == item["id"]
    assert stripe.post(f"/v1/invoices/{draft['id']}/finalize").error["code"] == "invoice_not_editable"
    assert "default_payment_method" in stripe.pay(draft["id"]).error["message"]
    paid = stripe.pay(draft["id"], payment_method="pm_card_visa", key="k")
    assert paid.json["status"] == "paid"
    assert kinds(stripe)[known:] == [
        "customer.created", "invoice.created", "invoiceitem.created", "payment_intent.created",
        "invoice.finalized", "charge.succeeded", "payment_intent.succeeded", "invoice.paid",
    ]  # fmt: skip
    event = stripe.get("/v1/events", limit=1).json["data"][0]
    assert event["request"] == {"id": paid.headers["Request-Id"], "idempotency_key": "k"}
    assert event["data"]["object"] == paid.json
    assert sandbox.book.payments_per_invoice() == {draft["id"]: 1}


def test_nothing_due_is_paid_at_finalizing_without_a_payment(stripe: Stripe, sandbox: StripeSandbox) -> None:
    customer = stripe.post("/v1/customers").json["id"]
    stripe.post("/v1/invoiceitems", customer=customer, amount=700)
    empty = stripe.post("/v1/invoices", customer=customer).json["id"]
    assert stripe.post(f"/v1/invoices/{empty}/finalize").json["status"] == "paid"
    waiting = stripe.post("/v1/invoices", customer=customer, pending_invoice_items_behavior="include")
    assert waiting.json["amount_due"] == 700
    assert sandbox.book.payments() == []


@pytest.mark.parametrize(("card", "code", "decline"), DECLINES)
def test_a_card_that_is_declined_leaves_the_invoice_open(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str, card: str, code: str, decline: str
) -> None:
    sandbox.set_payment_method(card, invoice)
    said = stripe.pay(invoice)
    assert (said.status, said.error["type"], said.error["code"]) == (402, "card_error", code)
    assert said.error["decline_code"] == decline
    assert said.error["payment_intent"]["status"] == "requires_payment_method"
    assert said.error["payment_intent"]["last_payment_error"]["code"] == code
    assert stripe.get(f"/v1/charges/{said.error['charge']}").json["status"] == "failed"
    now = stripe.get(f"/v1/invoices/{invoice}").json
    assert (now["status"], now["attempt_count"], now["attempted"]) == ("open", 1, True)
    assert kinds(stripe)[-3:] == ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"]
    assert stripe.pay(invoice, payment_method="pm_card_visa").json["status"] == "paid"
    assert sandbox.book.payments_per_invoice() == {invoice: 1}


def test_a_customer_who_is_there_is_asked(stripe: Stripe, invoice: str) -> None:
    said = stripe.pay(invoice, payment_method="pm_card_authenticationRequired", off_session=False)
    assert (said.status, said.error["code"]) == (402, "invoice_payment_intent_requires_action")
    assert said.error["payment_intent"]["next_action"]["type"] == "use_stripe_sdk"
    made = intent(stripe, payment_method="pm_card_authenticationRequired")
    path = f"/v1/payment_intents/{made['id']}/confirm"
    assert stripe.post(path).json["status"] == "requires_action"
    strict = stripe.post(path, error_on_requires_action=True)
    assert (strict.status, strict.error["code"]) == (402, "authentication_required")


@pytest.mark.parametrize("way", ["void", "mark_uncollectible"])
def test_what_is_written_off_cannot_be_paid(stripe: Stripe, invoice: str, way: str) -> None:
    done = stripe.post(f"/v1/invoices/{invoice}/{way}").json
    assert done["status"] == {"void": "void", "mark_uncollectible": "uncollectible"}[way]
    assert stripe.pay(invoice).status == 400
    assert stripe.post(f"/v1/invoices/{invoice}/mark_uncollectible").status == 400
    if way == "void":
        payments = stripe.get("/v1/invoice_payments", invoice=invoice).json["data"]
        assert [payment["status"] for payment in payments] == ["canceled"]
        assert kinds(stripe)[-1] == "invoice.voided"


def test_paid_out_of_band_is_no_money_through_stripe(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    paid = stripe.pay(invoice, paid_out_of_band=True).json
    assert (paid["status"], paid["amount_paid"]) == ("paid", 0)
    assert paid["amount_paid_off_stripe"] == paid["amount_due"]
    assert sandbox.book.payments() == []
    assert stripe.post(f"/v1/invoices/{invoice}/void").status == 400


def test_a_payment_that_takes_time_is_booked_when_it_has_come(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    assert stripe.pay(invoice, payment_method="pm_card_processing", key="slow").json["status"] == "open"
    (waiting,) = (
        row for row in stripe.get("/v1/payment_intents").json["data"] if row["status"] == "processing"
    )
    assert stripe.pay(invoice).status == 400
    assert sandbox.book.payments() == []
    assert sandbox.settle_processing() == [waiting["id"]]
    assert stripe.status(invoice) == "paid"
    (line,) = sandbox.book.payments()
    assert (line.idempotency_key, line.by, line.payment_intent) == ("slow", "api", waiting["id"])
    failing = intent(stripe, payment_method="pm_card_processing", confirm=True)
    assert sandbox.settle_processing(succeeds=False) == [failing["id"]]
    now = stripe.get(f"/v1/payment_intents/{failing['id']}").json
    assert (now["status"], now["last_payment_error"]["code"]) == ("requires_payment_method", "card_declined")


def test_an_intent_is_made_confirmed_and_then_refuses_a_second_confirmation(
    stripe: Stripe, sandbox: StripeSandbox
) -> None:
    made = intent(stripe, payment_method="pm_card_visa", metadata={"op_id": "o-1"})
    assert made["status"] == "requires_confirmation"
    assert sandbox.book.payments() == []
    path = f"/v1/payment_intents/{made['id']}/confirm"
    done = stripe.post(path, expand=["latest_charge"]).json
    assert (done["status"], done["amount_received"]) == ("succeeded", 1200)
    assert done["latest_charge"]["payment_intent"] == made["id"]
    again = stripe.post(path)
    assert (again.status, again.error["code"]) == (400, "payment_intent_unexpected_state")
    assert again.error["payment_intent"]["status"] == "succeeded"
    assert [(line.payment_intent, line.metadata) for line in sandbox.book.payments()] == [
        (made["id"], {"op_id": "o-1"})
    ]
    bare = intent(stripe)
    assert bare["status"] == "requires_payment_method"
    missing = stripe.post(f"/v1/payment_intents/{bare['id']}/confirm")
    assert missing.error["code"] == "payment_intent_unexpected_state"


def test_what_is_held_is_captured_or_let_go(stripe: Stripe, sandbox: StripeSandbox) -> None:
    held = [
        intent(stripe, payment_method="pm_card_visa", capture_method="manual", confirm=True) for _ in "ab"
    ]
    assert {row["status"] for row in held} == {"requires_capture"}
    assert {row["amount_capturable"] for row in held} == {1200}
    assert sandbox.book.payments() == []
    first, second = (f"/v1/payment_intents/{row['id']}" for row in held)
    assert stripe.post(f"{first}/capture", amount_to_capture=1201).error["code"] == "amount_too_large"
    assert stripe.post(f"{first}/capture", amount_to_capture=1000).json["amount_received"] == 1000
    assert stripe.post(f"{first}/capture").error["code"] == "payment_intent_unexpected_state"
    canceled = stripe.post(f"{second}/cancel", cancellation_reason="abandoned").json
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "abandoned")
    assert stripe.post(f"{second}/capture").status == 400
    assert stripe.post(f"{first}/cancel").error["code"] == "payment_intent_unexpected_state"
    assert [line.amount for line in sandbox.book.payments()] == [1000]


def test_refunds_never_give_back_more_than_came_in(stripe: Stripe, sandbox: StripeSandbox) -> None:
    paid = intent(stripe, payment_method="pm_card_visa", confirm=True)
    part = stripe.post(
        "/v1/refunds",
        payment_intent=paid["id"],
        amount=500,
        reason="duplicate",
        metadata={"op": "r"},
        key="r-1",
    ).json
    assert (part["status"], part["amount"], part["charge"]) == ("succeeded", 500, paid["latest_charge"])
    assert "$7.00" in stripe.post("/v1/refunds", charge=paid["latest_charge"], amount=701).error["message"]
    assert stripe.post("/v1/refunds", charge=paid["latest_charge"]).json["amount"] == 700
    over = stripe.post("/v1/refunds", payment_intent=paid["id"])
    assert (over.status, over.error["code"]) == (400, "charge_already_refunded")
    assert stripe.get(f"/v1/charges/{paid['latest_charge']}").json["refunded"] is True
    assert [row["amount"] for row in stripe.get("/v1/refunds", charge=part["charge"]).json["data"]] == [
        700,
        500,
    ]
    assert stripe.get(f"/v1/refunds/{part['id']}").json["metadata"] == {"op": "r"}
    assert kinds(stripe)[-2:] == ["refund.created", "charge.refunded"]
    assert [(line.amount, line.idempotency_key) for line in sandbox.book.refunds()] == [
        (500, "r-1"),
        (700, None),
    ]
    assert stripe.get("/v1/balance").json["available"][0]["amount"] == 0
    assert stripe.post("/v1/refunds").status == 400
    assert stripe.post("/v1/refunds", payment_intent=intent(stripe)["id"]).status == 400


@pytest.mark.parametrize(
    ("path", "form", "code", "param"),
    [
        ("/v1/payment_intents", {"amount": 100, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"),
        ("/v1/payment_intents", {"amount": "1.5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ("/v1/payment_intents", {"amount": 0, "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ("/v1/payment_intents", {"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ("/v1/payment_intents", {"amount": 100}, "parameter_missing", "currency"),
        ("/v1/payment_intents", {"amount": 100, "currency": ""}, "parameter_invalid_empty", "currency"),
        ("/v1/payment_intents", {"amount": 100, "currency": "usd", "customer": "cus_x"}, "resource_missing", "customer"),
        ("/v1/payment_intents", {"amount": 100, "currency": "usd", "payment_method": "pm_x"}, "resource_missing", "payment_method"),
        ("/v1/payment_intents", {"amount": 100, "currency": "usd", "confirm": "yes"}, None, "confirm"),
        ("/v1/payment_intents", {"amount": 100, "currency": "usd", "expand": ["invoice"]}, None, "expand"),
        ("/v1/invoices", {}, "parameter_missing", "customer"),
        ("/v1/customers", {"invoice_settings": {"colour": 1}}, "parameter_unknown", "invoice_settings[colour]"),
        ("/v1/customers", {"metadata": {"k": "v" * 501}}, None, "metadata"),
        ("/v1/refunds", {"charge": "ch_x"}, "resource_missing", "charge"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_as_stripe_does_and_changes_nothing(
    stripe: Stripe, sandbox: StripeSandbox, path: str, form: dict[str, Any], code: str | None, param: str
) -> None:
    before = sandbox.rows_json()
    said = stripe.post(path, **form)
    assert (said.status, said.error["type"]) == (400, "invalid_request_error")
    assert (said.error.get("code"), said.error["param"]) == (code, param)
    assert said.headers["Stripe-Should-Retry"] == "false"
    assert sandbox.rows_json() == before


def test_what_is_not_there_is_a_404(stripe: Stripe) -> None:
    for path in ("/v1/invoices/in_x", "/v1/events/evt_x", "/v1/invoice_payments/inpay_x"):
        said = stripe.get(path)
        assert (said.status, said.error["code"], said.error["param"]) == (404, "resource_missing", "id")
    assert stripe.pay("in_x").status == 404
    assert "Unrecognized request URL" in stripe.get("/v1/nothing").error["message"]
    assert stripe.post("/v1/balance").status == 404


def test_the_key_is_asked_for_and_versions_are_echoed(stripe: Stripe, sandbox: StripeSandbox) -> None:
    basic = base64.b64encode(f"{sandbox.api_key}:".encode()).decode()
    stripe.headers |= {
        "Authorization": f"Basic {basic}",
        "Stripe-Version": "2025-03-31.basil",
        "Stripe-Account": "acct_1",
    }
    said = stripe.get("/v1/balance")
    assert (said.status, said.headers["Stripe-Version"], said.headers["Stripe-Account"]) == (
        200,
        "2025-03-31.basil",
        "acct_1",
    )
    assert said.headers["Request-Id"].startswith("req_")
    for wrong in ("", "Bearer sk_test_0000000000000000", "Basic !", "Digest x"):
        stripe.headers["Authorization"] = wrong
        refused = stripe.post("/v1/customers", key="k")
        assert (refused.status, refused.error["type"]) == (401, "invalid_request_error")
        assert sandbox.api_key not in refused.body.decode()
    answer = requests.put(sandbox.url, timeout=10)
    assert answer.status_code == 501


def test_somebody_else_can_pay_or_void(stripe: Stripe, sandbox: StripeSandbox) -> None:
    paid, voided, _ = (row["id"] for row in stripe.get("/v1/invoices").json["data"])
    sandbox.pay_by_other(paid)
    sandbox.void(voided)
    assert (stripe.status(paid), stripe.status(voided)) == ("paid", "void")
    (line,) = sandbox.book.payments()
    assert (line.by, line.idempotency_key, line.user_agent, line.invoice) == ("other", None, None, paid)
    assert stripe.get("/v1/events", type="invoice.paid").json["data"][0]["request"] == {
        "id": None,
        "idempotency_key": None,
    }
    for wrong in (paid, voided, "in_x"):
        with pytest.raises(ValueError, match="open invoice"):
            sandbox.pay_by_other(wrong)
        with pytest.raises(ValueError, match=r"void|no such"):
            sandbox.void(wrong)


def test_a_charge_loop_without_a_guard_pays_twice_and_the_book_says_so(
    stripe: Stripe, sandbox: StripeSandbox, invoice: str
) -> None:
    for _ in range(2):
        intent(stripe, payment_method="pm_card_visa", confirm=True, metadata={"invoice": invoice})
    assert sandbox.book.payments_per_invoice() == {invoice: 2}
    assert sandbox.state()["invoices_paid_twice"] == 1
    assert stripe.status(invoice) == "open"


def test_drafts_and_customers_can_be_deleted(stripe: Stripe) -> None:
    customer = stripe.post("/v1/customers").json["id"]
    draft = stripe.post("/v1/invoices", customer=customer).json["id"]
    assert stripe.delete(f"/v1/invoices/{draft}").json["deleted"] is True
    assert stripe.delete(f"/v1/customers/{customer}").json == {
        "id": customer,
        "object": "customer",
        "deleted": True,
    }
    assert (stripe.get(f"/v1/invoices/{draft}").status, stripe.get(f"/v1/customers/{customer}").status) == (
        404,
        404,
    )
    opened = stripe.get("/v1/invoices").json["data"][0]["id"]
    assert stripe.delete(f"/v1/invoices/{opened}").status == 400
