from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.plaid.errors import PlaidError, item_refusal, refusal
from leaderjobs.errors import ConnectorError, FatalError, NeedsUser, RateLimited, TransientError


def answered(kind: str | None, code: str | None, status: int = 400, **other: object) -> ConnectorError:
    body = {
        "error_type": kind,
        "error_code": code,
        "error_message": "hunter2",
        "display_message": None,
        **other,
    }
    return refusal("/transactions/sync", Answer(status, json.dumps(body).encode(), timedelta(seconds=9)))


@pytest.mark.parametrize(
    ("kind", "code", "status", "expected"),
    [
        ("ITEM_ERROR", "ITEM_LOGIN_REQUIRED", 400, NeedsUser),
        ("ITEM_ERROR", "USER_SETUP_REQUIRED", 400, NeedsUser),
        ("ITEM_ERROR", "A_CODE_OF_NEXT_YEAR", 400, NeedsUser),
        ("INVALID_INPUT", "ADDITIONAL_CONSENT_REQUIRED", 400, NeedsUser),
        ("INVALID_INPUT", "USER_PERMISSION_REVOKED", 400, NeedsUser),
        ("ITEM_ERROR", "PRODUCT_NOT_READY", 400, TransientError),
        ("ITEM_ERROR", "PRODUCTS_NOT_SUPPORTED", 400, FatalError),
        ("INVALID_INPUT", "INVALID_API_KEYS", 400, FatalError),
        ("INVALID_INPUT", "INVALID_ACCESS_TOKEN", 400, FatalError),
        ("INVALID_REQUEST", "INVALID_FIELD", 400, FatalError),
        ("INVALID_REQUEST", "A_CODE_OF_NEXT_YEAR", 400, FatalError),
        ("INSTITUTION_ERROR", "INSTITUTION_DOWN", 400, TransientError),
        ("INSTITUTION_ERROR", "INSTITUTION_NOT_RESPONDING", 400, TransientError),
        ("INSTITUTION_ERROR", "INSTITUTION_NO_LONGER_SUPPORTED", 400, FatalError),
        ("API_ERROR", "INTERNAL_SERVER_ERROR", 500, TransientError),
        ("API_ERROR", "PLANNED_MAINTENANCE", 400, TransientError),
        ("RATE_LIMIT_EXCEEDED", "TRANSACTIONS_SYNC_LIMIT", 429, RateLimited),
        ("RATE_LIMIT_EXCEEDED", "ACCOUNTS_LIMIT", 400, RateLimited),
        ("TRANSACTIONS_ERROR", "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION", 400, TransientError),
        ("A_TYPE_OF_NEXT_YEAR", "A_CODE_OF_NEXT_YEAR", 400, FatalError),
        ("A_TYPE_OF_NEXT_YEAR", "A_CODE_OF_NEXT_YEAR", 503, TransientError),
        (None, None, 502, TransientError),
        (None, None, 408, TransientError),
        (None, None, 429, RateLimited),
        (None, None, 403, FatalError),
    ],
)
def test_the_code_decides_then_the_type_then_the_status(
    kind: str | None, code: str | None, status: int, expected: type[ConnectorError]
) -> None:
    error = answered(kind, code, status, request_id="Req1")
    assert type(error) is expected
    assert error.code == (code or "")
    assert "hunter2" not in str(error)
    assert "request Req1" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>hunter2", b"[]", b'"hunter2"', b'{"error_code":5}', b"\xff"])
@pytest.mark.parametrize(
    ("status", "expected"), [(429, RateLimited), (502, TransientError), (403, FatalError)]
)
def test_a_gateways_page_goes_by_its_status(body: bytes, status: int, expected: type[ConnectorError]) -> None:
    error = refusal("/item/get", Answer(status, body))
    assert type(error) is expected
    assert "hunter2" not in str(error)


def test_retry_after_travels_with_what_may_pass() -> None:
    for kind in ("RATE_LIMIT_EXCEEDED", "API_ERROR"):
        error = answered(kind, "X", 429)
        assert isinstance(error, TransientError)
        assert error.retry_after == timedelta(seconds=9)


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=100))
def test_free_text_in_place_of_a_code_reaches_no_message(kind: str, code: str, request_id: str) -> None:
    message = str(answered(kind, code, request_id=request_id))
    assert "\n" not in message
    assert message.isascii()
    assert len(message) < 500


def test_an_items_own_error_needs_its_owner_whatever_its_code() -> None:
    assert item_refusal(PlaidError(error_code="ITEM_LOGIN_REQUIRED")).code == "ITEM_LOGIN_REQUIRED"
    assert item_refusal(PlaidError(error_code="not a code")).code == "ITEM_ERROR"
