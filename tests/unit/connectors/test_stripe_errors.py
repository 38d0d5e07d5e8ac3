"""Every row of the table of `stripe.errors`, and the statuses of the objects."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs.connectors.base import Operation
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.stripe.errors import failure
from leaderjobs.connectors.stripe.operations import OPERATIONS
from leaderjobs.errors import FatalError, Forbidden, RateLimited, TransientError, Unauthenticated
from leaderjobs.model.effect import Told

BY_NAME: dict[str, Operation] = {kind.name: kind(timedelta(seconds=8)) for kind in OPERATIONS}
PAY = BY_NAME["pay_invoice"]
REPLAYED = {"idempotent-replayed": "true"}
RETRY, NO_RETRY = {"stripe-should-retry": "true"}, {"stripe-should-retry": "false"}


def error(kind: str = "invalid_request_error", **members: Any) -> bytes:
    return json.dumps({"error": {"type": kind, **members}}).encode()


def card(code: str, decline_code: str | None = None) -> bytes:
    return error("card_error", code=code, decline_code=decline_code, message="Your card was declined.")


@pytest.mark.parametrize(
    ("status", "body", "headers", "told", "code"),
    [
        # Executed, and the answer is no.
        (402, card("card_declined", "insufficient_funds"), {}, Told.DECLINED, "insufficient_funds"),
        (402, card("card_declined"), {}, Told.DECLINED, "card_declined"),
        (402, card("expired_card", "expired_card"), REPLAYED, Told.DECLINED, "expired_card"),
        (402, card("processing_error"), NO_RETRY, Told.DECLINED, "processing_error"),
        (402, card("authentication_required", "authentication_required"), {}, Told.DECLINED, "needs_customer"),
        (402, card("invoice_payment_intent_requires_action"), {}, Told.DECLINED, "needs_customer"),
        (402, error(code="invoice_payment_intent_requires_action"), {}, Told.DECLINED, "needs_customer"),
        (402, error(), {}, Told.DECLINED, "invalid_request_error"),
        # Turned away.
        (429, error(code="rate_limit"), {}, Told.REFUSED, "rate_limit"),
        (429, error(code="lock_timeout"), RETRY, Told.REFUSED, "lock_timeout"),
        (429, b"<html>", {}, Told.REFUSED, "http_429"),
        (409, error("idempotency_error", code="idempotency_key_in_use"), {}, Told.REFUSED, "idempotency_key_in_use"),
        (409, error(), {}, Told.REFUSED, "invalid_request_error"),
        (400, error(code="lock_timeout"), RETRY, Told.REFUSED, "lock_timeout"),
        # ... which holds the connection.
        (401, error(), {}, Told.REFUSED, "invalid_request_error"),
        (403, error(code="account_invalid"), {}, Told.REFUSED, "account_invalid"),
        (400, error(code="secret_key_required"), {}, Told.REFUSED, "secret_key_required"),
        # The request can never be executed.
        (400, error(code="parameter_unknown", param="colour"), {}, Told.DECLINED, "parameter_unknown"),
        (400, error(code="parameter_invalid_empty"), {}, Told.DECLINED, "parameter_invalid_empty"),
        (400, error(code="amount_too_small"), {}, Told.DECLINED, "amount_too_small"),
        # The target is not as it must be.
        (400, error(message="Invoice is already paid"), {}, Told.MISMATCH, "invalid_request_error"),
        (400, error(code="payment_intent_unexpected_state"), {}, Told.MISMATCH, "payment_intent_unexpected_state"),
        (400, error(code="charge_already_refunded"), REPLAYED, Told.MISMATCH, "charge_already_refunded"),
        (400, error(param="amount"), {}, Told.MISMATCH, "invalid_request_error"),
        (400, error(code="resource_missing", param="payment_method"), {}, Told.MISMATCH, "resource_missing"),
        (404, error(code="resource_missing", param="id"), {}, Told.MISMATCH, "resource_missing"),
        (400, error(), RETRY | REPLAYED, Told.MISMATCH, "invalid_request_error"),
        # Nothing can be known.
        (301, b"", {}, Told.UNKNOWN, "http_301"),
        (307, error(), {}, Told.UNKNOWN, "invalid_request_error"),
        (500, error("api_error"), {}, Told.UNKNOWN, "api_error"),
        (500, error("api_error"), RETRY, Told.UNKNOWN, "api_error"),
        (502, b"<html>bad gateway</html>", {}, Told.UNKNOWN, "http_502"),
        (503, b"", {}, Told.UNKNOWN, "http_503"),
        (400, b"<html>", {}, Told.UNKNOWN, "http_400"),
        (401, b"<html>log in first</html>", {}, Told.UNKNOWN, "http_401"),
        (403, b'{"error":"forbidden"}', {}, Told.UNKNOWN, "http_403"),
        (404, b'{"error":{}}', {}, Told.UNKNOWN, "http_404"),
        (402, b'{"error":{"type":"a sentence, and no word"}}', {}, Told.UNKNOWN, "http_402"),
        (199, error(), {}, Told.UNKNOWN, "invalid_request_error"),
        # Stripe will not say anything else any more.
        (500, error("api_error"), REPLAYED, Told.STUCK, "api_error"),
        (500, error("api_error"), NO_RETRY, Told.STUCK, "api_error"),
        (500, error("api_error"), REPLAYED | RETRY, Told.STUCK, "api_error"),
        (400, error("idempotency_error"), {}, Told.STUCK, "idempotency_error"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_success(
    status: int, body: bytes, headers: dict[str, str], told: Told, code: str
) -> None:
    for operation in BY_NAME.values():
        verdict = operation.classify(Answer(status, body, timedelta(seconds=3), headers))
        assert (verdict.told, verdict.code) == (told, code)
        assert verdict.hold == (told is Told.REFUSED and status not in {409, 429} and code != "lock_timeout")
        assert verdict.replayed == ("idempotent-replayed" in headers)
        assert verdict.should_retry == {"true": True, "false": False}.get(
            headers.get("stripe-should-retry", "")
        )
        assert (verdict.status, verdict.retry_after) == (status, timedelta(seconds=3))
        assert verdict.message
        assert "\n" not in verdict.message


@pytest.mark.parametrize(
    ("operation", "prefix", "status", "told", "code"),
    [
        ("pay_invoice", "in", "paid", Told.DONE, ""),
        ("pay_invoice", "in", "open", Told.PENDING, ""),
        ("pay_invoice", "in", "draft", Told.UNKNOWN, "unexpected"),
        ("pay_invoice", "in", "void", Told.UNKNOWN, "unexpected"),
        ("confirm_payment_intent", "pi", "succeeded", Told.DONE, ""),
        ("confirm_payment_intent", "pi", "processing", Told.PENDING, ""),
        ("confirm_payment_intent", "pi", "requires_capture", Told.PENDING, ""),
        ("confirm_payment_intent", "pi", "requires_action", Told.DECLINED, "needs_customer"),
        ("confirm_payment_intent", "pi", "requires_confirmation", Told.UNKNOWN, "unexpected"),
        ("confirm_payment_intent", "pi", "requires_payment_method", Told.UNKNOWN, "unexpected"),
        ("create_refund", "re", "succeeded", Told.DONE, ""),
        ("create_refund", "re", "pending", Told.PENDING, ""),
        ("create_refund", "re", "requires_action", Told.PENDING, ""),
        ("create_refund", "re", "failed", Told.DECLINED, "refund_failed"),
        ("create_refund", "re", "canceled", Told.DECLINED, "refund_failed"),
        ("create_refund", "re", "on its way", Told.UNKNOWN, "unexpected"),
    ],
)
def test_a_success_goes_by_the_objects_own_status(
    operation: str, prefix: str, status: str, told: Told, code: str
) -> None:
    document = {"id": f"{prefix}_1", "status": status, "amount": 500, "currency": "usd", "client_secret": "x"}
    verdict = BY_NAME[operation].classify(
        Answer(200, json.dumps(document).encode(), None, {"request-id": "req_1"})
    )
    assert (verdict.told, verdict.code, verdict.request_id) == (told, code, "req_1")
    if told is not Told.UNKNOWN:
        assert verdict.remote_id == f"{prefix}_1"
        assert verdict.facts == {"status": status, "amount": 500, "currency": "usd"}
        assert verdict.message


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[]", b"<html>", b'{"status":"paid"}', b'{"id":1,"status":"paid"}',
             b'{"id":"in_1","status":["paid"]}', b'{"id":"in_1"', b"\xff\xfe", b"[" * 100_000]
)  # fmt: skip
def test_a_success_without_its_object_is_unknown(body: bytes) -> None:
    for operation in BY_NAME.values():
        assert operation.classify(Answer(200, body)).told is Told.UNKNOWN


def test_stripes_prose_is_repeated_for_cards_only_on_one_line_and_cut() -> None:
    prose = "Your card\nwas declined. " + "x" * 1000
    shown = PAY.classify(Answer(402, error("card_error", code="card_declined", message=prose))).message
    assert "Your card was declined." in shown
    assert len(shown) < 300
    quoted = "No such invoice: 'in_hunter2'; key sk_live_hunter2"
    assert "hunter2" not in PAY.classify(Answer(400, error(message=quoted))).message
    assert "hunter2" not in PAY.classify(Answer(401, error(message=quoted))).message


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        (429, error(code="rate_limit"), {}, RateLimited),
        (500, error("api_error"), {}, TransientError),
        (503, b"<html>", {}, TransientError),
        (409, error(), {}, TransientError),
        (400, error(), RETRY, TransientError),
        (400, error(), {}, FatalError),
        (401, error(), {}, Unauthenticated),
        (403, error(), {}, Forbidden),
        (404, error(code="resource_missing"), {}, FatalError),
        (302, b"", {}, FatalError),
    ],
)
def test_what_a_read_raises(status: int, body: bytes, headers: dict[str, str], kind: type[Exception]) -> None:
    raised = failure("/v1/events", Answer(status, body, timedelta(seconds=2), headers))
    assert type(raised) is kind
    assert "/v1/events" in str(raised)
    if isinstance(raised, TransientError):
        assert raised.retry_after == timedelta(seconds=2)
