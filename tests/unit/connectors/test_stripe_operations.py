"""How wishes are read and written, and what a look-up makes of states that the sandbox does not bring about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from leaderjobs.connectors.base import Operation
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.stripe.connector import StripeConnector, StripeSettings
from leaderjobs.connectors.stripe.operations import OPERATIONS
from leaderjobs.errors import ConfigError, FatalError, UsageError
from leaderjobs.model.effect import Effect, Request, Told, Verdict
from leaderjobs.values import Secret
from tests.unit.connectors.ledger import sent

BY_NAME: dict[str, Operation] = {kind.name: kind(timedelta(seconds=8)) for kind in OPERATIONS}
KEY = "lj-1"


@pytest.mark.parametrize(
    ("operation", "given", "arguments", "business_key"),
    [
        ("pay_invoice", {"invoice": "in_1"}, {"invoice": "in_1"}, "invoice:in_1:pay"),
        (
            "pay_invoice",
            {"currency": "USD", "amount": "500", "invoice": "in_1", "payment_method": "pm_card_visa"},
            {"invoice": "in_1", "amount": 500, "currency": "usd", "payment_method": "pm_card_visa"},
            "invoice:in_1:pay",
        ),
        ("create_refund", {"charge": "ch_1"}, {"charge": "ch_1"}, "charge:ch_1:refund:all"),
        (
            "create_refund",
            {"payment_intent": "pi_1", "amount": 5},
            {"payment_intent": "pi_1", "amount": 5},
            "payment_intent:pi_1:refund:5",
        ),
        (
            "create_refund",
            {"payment_intent": "pi_1", "amount": "5", "reference": "line-2", "reason": "duplicate"},
            {"payment_intent": "pi_1", "amount": 5, "reason": "duplicate", "reference": "line-2"},
            "payment_intent:pi_1:refund:line-2",
        ),
        (
            "confirm_payment_intent",
            {"payment_intent": "pi_1", "off_session": "true"},
            {"payment_intent": "pi_1", "off_session": True},
            "payment_intent:pi_1:confirm",
        ),
    ],
)
def test_equal_wishes_are_equal(
    operation: str, given: dict[str, object], arguments: dict[str, object], business_key: str
) -> None:
    found = BY_NAME[operation].parse(given)
    assert found == arguments
    assert BY_NAME[operation].parse(found) == found
    assert BY_NAME[operation].business_key(found) == business_key


@pytest.mark.parametrize(
    ("operation", "given", "sentence"),
    [
        ("pay_invoice", {}, "pay_invoice: invoice is missing"),
        ("pay_invoice", {"invoice": "in_1", "colour": "red"}, "no argument 'colour'; allowed: invoice, amount, currency, payment_method"),
        ("pay_invoice", {"invoice": "pi_1"}, "invoice = 'pi_1': allowed: an id such as in_123"),
        ("pay_invoice", {"invoice": "in_1/pay"}, "allowed: an id"),
        ("pay_invoice", {"invoice": "in_1\n"}, "allowed: an id"),
        ("pay_invoice", {"invoice": "in_" + "x" * 101}, "allowed: an id"),
        ("pay_invoice", {"invoice": "in_1", "amount": "5.00"}, "allowed: a whole number from 1 to 999999999999"),
        ("pay_invoice", {"invoice": "in_1", "amount": 5.0}, "allowed: a whole number"),
        ("pay_invoice", {"invoice": "in_1", "amount": True}, "allowed: a whole number"),
        ("pay_invoice", {"invoice": "in_1", "amount": "0"}, "allowed: a whole number"),
        ("pay_invoice", {"invoice": "in_1", "amount": "-5"}, "allowed: a whole number"),
        ("pay_invoice", {"invoice": "in_1", "currency": "euro"}, "allowed: a currency of three letters"),
        ("pay_invoice", {"invoice": "in_1", "payment_method": "visa"}, "allowed: an id such as pm_123"),
        ("create_refund", {}, "give either payment_intent=pi_… or charge=ch_…"),
        ("create_refund", {"charge": "ch_1", "payment_intent": "pi_1"}, "give either"),
        ("create_refund", {"charge": "ch_1", "reason": "bored"}, "allowed: duplicate, fraudulent, requested_by_customer"),
        ("create_refund", {"charge": "ch_1", "reference": "a b"}, "allowed: up to 60 letters"),
        ("confirm_payment_intent", {"payment_intent": "pi_1", "off_session": "yes"}, "allowed: true, false"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_what_is(
    operation: str, given: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as caught:
        BY_NAME[operation].parse(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "arguments", "path", "fields"),
    [
        ("pay_invoice", {"invoice": "in_1", "amount": 5, "currency": "usd"}, "/v1/invoices/in_1/pay", {}),
        ("pay_invoice", {"invoice": "in_1", "payment_method": "pm_1"}, "/v1/invoices/in_1/pay", {"payment_method": "pm_1"}),
        ("confirm_payment_intent", {"payment_intent": "pi_1", "off_session": True}, "/v1/payment_intents/pi_1/confirm", {"off_session": "true"}),
        (
            "create_refund",
            {"charge": "ch_1", "amount": 5, "reason": "duplicate", "reference": "r"},
            "/v1/refunds",
            {
                "charge": "ch_1",
                "amount": "5",
                "reason": "duplicate",
                "metadata[leaderjobs_effect]": KEY,
                "metadata[leaderjobs_key]": "charge:ch_1:refund:r",
            },
        ),
    ],
)  # fmt: skip
def test_the_request_says_what_is_wanted_and_carries_the_key(
    operation: str, arguments: dict[str, object], path: str, fields: dict[str, str]
) -> None:
    request = BY_NAME[operation].build(arguments, KEY)
    assert (request.method, request.path) == ("POST", path)
    assert dict(parse_qsl(request.body.decode())) == fields
    assert request.headers["Idempotency-Key"] == KEY
    assert request.headers["Stripe-Version"] == "2026-10-28.endive"


def effect(operation: str, given: Mapping[str, object], *told: Told) -> Effect:
    return sent(BY_NAME[operation], given, *told)


def look(effect: Effect, *documents: object) -> Verdict:
    """A look-up that gets these answers; a number is a status without a document."""
    answers = iter(documents)

    def ask(request: Request) -> Answer:
        assert (request.method, request.body) == ("GET", b"")
        found = next(answers)
        if isinstance(found, int):
            code = "resource_missing" if found == 404 else "api_error"
            return Answer(found, json.dumps({"error": {"type": "api_error", "code": code}}).encode())
        return Answer(200, json.dumps(found).encode())

    return BY_NAME[effect.operation].look_up(effect, ask)


def invoice(status: str, *intents: str, **other: object) -> dict[str, object]:
    """An open payment of it for every payment intent of this status."""
    payments = [
        {"status": "open", "payment": {"payment_intent": {"id": f"pi_{n}", "status": intent}}}
        for n, intent in enumerate(intents)
    ]
    return {
        "id": "in_1",
        "status": status,
        "amount_remaining": 500,
        "currency": "usd",
        "payments": {"data": payments},
        **other,
    }


U, P, R, D = Told.UNKNOWN, Told.PENDING, Told.REFUSED, Told.DECLINED


@pytest.mark.parametrize(
    ("sends", "document", "told", "code"),
    [
        ([], invoice("open", "requires_confirmation"), Told.OPEN, ""),
        ([], invoice("open"), Told.OPEN, ""),
        ([], invoice("draft"), D, "invoice_draft"),
        ([R], invoice("draft"), D, "invoice_draft"),
        ([U], invoice("draft"), Told.OPEN, ""),
        ([], invoice("uncollectible"), D, "invoice_uncollectible"),
        ([R], invoice("uncollectible"), D, "invoice_uncollectible"),
        ([U], invoice("uncollectible"), Told.OPEN, ""),
        ([], invoice("void"), D, "invoice_void"),
        ([U], invoice("void"), D, "invoice_void"),
        ([U], invoice("paid"), Told.DONE, ""),
        ([], 404, D, "resource_missing"),
        ([U], 404, Told.OPEN, "resource_missing"),
        ([U], invoice("open", "requires_payment_method"), Told.OPEN, ""),
        ([U], invoice("open", "requires_action"), Told.OPEN, ""),
        ([U], invoice("open", "processing"), P, "processing"),
        ([U], invoice("open", "succeeded"), P, "processing"),
        ([P], invoice("open", "processing"), P, "processing"),
        ([U, P], invoice("open", "requires_payment_method"), D, "payment_failed"),
        ([P], invoice("open", "requires_action"), D, "needs_customer"),
        ([P], invoice("open", "requires_confirmation"), Told.OPEN, ""),
        ([P], invoice("open"), Told.OPEN, ""),
        ([U], 500, Told.UNAVAILABLE, "resource_missing"),
        ([U], {"id": "in_1"}, Told.UNAVAILABLE, "http_200"),
        ([U], [], Told.UNAVAILABLE, "http_200"),
    ],
)  # fmt: skip
def test_look_up_of_an_invoice(sends: Sequence[Told], document: Any, told: Told, code: str) -> None:
    verdict = look(effect("pay_invoice", {"invoice": "in_1"}, *sends), document)
    if isinstance(document, int) and document == 500:
        code = verdict.code
    assert (verdict.told, verdict.code) == (told, code)


def test_a_paid_invoice_is_called_after_the_payment_that_paid_it() -> None:
    document = invoice("paid") | {
        "payments": {
            "data": [
                {"status": "canceled", "payment": {"payment_intent": "pi_8"}},
                {"status": "paid", "payment": {"payment_intent": "pi_9"}},
            ]
        }
    }
    assert look(effect("pay_invoice", {"invoice": "in_1"}), document).remote_id == "pi_9"


@pytest.mark.parametrize(
    ("sends", "status", "told", "code"),
    [
        ([], "requires_confirmation", Told.OPEN, ""),
        ([], "requires_payment_method", Told.OPEN, ""),
        ([U], "requires_payment_method", Told.OPEN, ""),
        ([U, P], "requires_payment_method", D, "expired_card"),
        ([U], "requires_confirmation", Told.OPEN, ""),
        ([U], "requires_action", D, "needs_customer"),
        ([], "canceled", D, "payment_intent_canceled"),
        ([U], "canceled", D, "payment_intent_canceled"),
        ([U], "processing", P, ""),
        ([P], "requires_capture", P, ""),
        ([], "succeeded", Told.DONE, ""),
    ],
)
def test_look_up_of_a_payment_intent(sends: Sequence[Told], status: str, told: Told, code: str) -> None:
    document = {"id": "pi_1", "status": status, "amount": 500, "currency": "usd"}
    document["last_payment_error"] = {"code": "expired_card"}
    verdict = look(effect("confirm_payment_intent", {"payment_intent": "pi_1"}, *sends), document)
    assert (verdict.told, verdict.code) == (told, code)


def refunds(*rows: Mapping[str, object], more: bool = False) -> dict[str, object]:
    return {"object": "list", "data": list(rows), "has_more": more}


PAID = {"id": "pi_1", "status": "succeeded", "amount_received": 500, "currency": "usd"}


@pytest.mark.parametrize(
    ("sends", "documents", "told", "code"),
    [
        ([], [refunds(), PAID], Told.OPEN, ""),
        ([U], [refunds()], Told.OPEN, ""),
        ([U], [refunds({"id": "re_1", "status": "succeeded", "metadata": {"leaderjobs_effect": "other"}})], Told.OPEN, ""),
        ([], [refunds({"id": "re_1", "status": "succeeded", "amount": 401}), PAID], D, "amount_too_large"),
        ([], [refunds({"id": "re_1", "status": "failed", "amount": 401}), PAID], Told.OPEN, ""),
        ([], [refunds({"id": "re_1", "status": "succeeded", "amount": 500}), PAID], D, "charge_already_refunded"),
        ([], [refunds(), PAID | {"status": "processing"}], D, "payment_not_succeeded"),
        ([], [refunds(), PAID | {"amount_received": None}], D, "payment_not_succeeded"),
        ([], [refunds(), 404], D, "resource_missing"),
        ([], [404], D, "resource_missing"),
        ([U], [404], Told.OPEN, "resource_missing"),
        ([U], [500], Told.UNAVAILABLE, "api_error"),
        ([], [refunds(), 500], Told.UNAVAILABLE, "api_error"),
        # A list that is not whole shows nothing of what is missing from it.
        ([U], [refunds(more=True)], Told.UNAVAILABLE, "http_200"),
        ([U], [{"data": []}], Told.UNAVAILABLE, "http_200"),
        ([U], [refunds({"id": "re_1"}, more=True), 404], Told.UNAVAILABLE, "resource_missing"),
    ],
)  # fmt: skip
def test_look_up_of_a_refund(sends: Sequence[Told], documents: Sequence[Any], told: Told, code: str) -> None:
    asked = effect("create_refund", {"payment_intent": "pi_1", "amount": 100}, *sends)
    verdict = look(asked, *documents)
    assert (verdict.told, verdict.code) == (told, code)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("succeeded", Told.DONE),
        ("pending", P),
        ("requires_action", P),
        ("failed", D),
        ("canceled", D),
        ("new", P),
    ],
)
def test_look_up_of_a_refund_that_is_ours(status: str, told: Told) -> None:
    asked = effect("create_refund", {"payment_intent": "pi_1"}, U)
    ours = {"id": "re_2", "status": status, "metadata": {"leaderjobs_effect": asked.idempotency_key}}
    verdict = look(asked, refunds({"id": "re_1"}, more=True), refunds(ours))
    assert (verdict.told, verdict.remote_id) == (told, "re_2")


GOOD = {"api_key": {"env": "STRIPE_KEY"}}


def convert(**values: object) -> StripeSettings:
    return msgspec.convert(GOOD | values, StripeSettings, dec_hook=lambda kind, value: kind.parse(value))


def test_defaults_are_stripes_own() -> None:
    found = convert()
    assert (found.base_url, found.account) == ("https://api.stripe.com", None)
    assert found.timeout == timedelta(seconds=8)
    assert "hunter2" not in repr(convert(api_key="hunter2"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"timeout": "0s"}, "timeout: allowed"),
        ({"timeout": "81s"}, "timeout: allowed"),
        ({"account": "stripe"}, "account: allowed: an account's id, acct_…"),
        ({"account": "acct_1\r\nX: y"}, "account: allowed"),
        ({"base_url": "http://api.stripe.com"}, "base_url: allowed"),
        ({"api_key": ""}, "allowed: a non-empty string"),
        ({"api_version": "2020-01-01"}, "unknown field"),
    ],
)
def test_settings_that_are_not_allowed(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(sentence)):
        convert(**values)


def test_a_key_that_cannot_be_had_is_a_matter_of_configuration_and_nothing_is_sent() -> None:
    for secret in (
        Secret(env="NO_SUCH_VARIABLE_HERE"),
        Secret(literal="sk_live hunter2"),
        Secret(literal="sk€"),
    ):
        made = StripeConnector("books", StripeSettings(api_key=secret), Paces())
        with pytest.raises(ConfigError) as caught:
            made.exchange(Request("GET", "/"), timeout=timedelta(seconds=1), guard=lambda: None)
        assert "hunter" not in str(caught.value)
        with pytest.raises(FatalError):
            made.check()
        made.close()


def test_a_stream_that_there_is_not_is_refused_with_those_there_are() -> None:
    made = StripeConnector("books", convert(), Paces())
    with pytest.raises(FatalError, match="stripe has no stream 'charge'; it has customers, products, prices"):
        made.read("charge", None, None)  # type: ignore[arg-type]
    made.close()
