"""Google's error answers, in every form that its APIs have."""

from __future__ import annotations

import json

import pytest

from leaderjobs.connectors.google.errors import error_in, reasons
from leaderjobs.connectors.outcome import Answer


def answer(document: object) -> Answer:
    return Answer(403, document if isinstance(document, bytes) else json.dumps(document).encode())


def test_the_reasons_of_the_older_and_the_newer_form_are_told_together() -> None:
    said = answer(
        {
            "error": {
                "code": 403,
                "message": "Quota\nexceeded",
                "status": "RESOURCE_EXHAUSTED",
                "errors": [{"reason": "quotaExceeded"}, {"reason": "quotaExceeded"}, {"domain": "x"}],
                "details": [{"reason": "RATE_LIMIT_EXCEEDED"}, {"reason": 5}, "odd"],
            }
        }
    )
    found = error_in(said)
    assert found.reasons == ("quotaExceeded", "RATE_LIMIT_EXCEEDED")
    assert (found.code, found.status, found.message) == (
        "quotaExceeded",
        "RESOURCE_EXHAUSTED",
        "Quota exceeded",
    )
    assert reasons(said) == {"quotaExceeded", "RATE_LIMIT_EXCEEDED"}


def test_without_a_reason_the_status_is_the_code() -> None:
    assert error_in(answer({"error": {"status": "INVALID_ARGUMENT"}})).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "document",
    [
        b"<html>",
        b"",
        [],
        {"error": "invalid_grant"},
        {"error": {"errors": {}, "details": 5, "message": None, "status": "not a word"}},
    ],
)
def test_anything_else_says_nothing(document: object) -> None:
    found = error_in(answer(document))
    assert (found.code, found.message, found.reasons) == ("", "", ())


def test_reasons_and_messages_are_bounded() -> None:
    entries = [{"reason": f"r{n}"} for n in range(1000)] + [{"reason": "x" * 81}]
    found = error_in(answer({"error": {"errors": entries, "message": "m" * 10_000}}))
    assert len(found.reasons) == 20
    assert len(found.message) == 200
