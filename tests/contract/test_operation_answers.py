"""Whatever a provider answers, an operation makes a verdict of it that can be kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderjobs.connectors.base import Operation
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.rest.operation import RestOperation
from leaderjobs.connectors.stripe.operations import OPERATIONS
from leaderjobs.model.effect import Told, Verdict
from tests.contract.operations import ORDER
from tests.unit.connectors.ledger import planned

OF_A_SEND = frozenset(Told) - {Told.OPEN, Told.UNAVAILABLE}
SECONDS = timedelta(seconds=8)
WISHES: Mapping[Operation, dict[str, object]] = {
    **{
        kind(SECONDS): {name: f"{prefix}_1"}
        for kind, name, prefix in zip(
            OPERATIONS, ("invoice", "payment_intent", "payment_intent"), ("in", "pi", "pi"), strict=True
        )
    },
    RestOperation("create_order", ORDER, SECONDS): {"order": "a", "cents": 1},
}
every_operation = pytest.mark.parametrize("operation", WISHES, ids=lambda operation: operation.name)
STATUSES = st.one_of(
    st.integers(100, 599), st.sampled_from([200, 201, 202, 204, 302, 400, 402, 404, 409, 429, 500])
)
WORDS = st.sampled_from([
    "id", "status", "object", "data", "error", "type", "code", "decline_code", "message", "paid", "open", "succeeded",
    "processing", "requires_action", "card_error", "in_1", "amount", "currency", "payments", "payment",
])  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False), st.text(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, st.text()), inner, max_size=6)),
    max_leaves=12,
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60), JSON.map(lambda value: json.dumps(value, allow_nan=False).encode())
)
HEADERS = st.dictionaries(
    st.sampled_from(["idempotent-replayed", "stripe-should-retry", "request-id", "content-type"]),
    st.one_of(st.sampled_from(["true", "false", "True"]), st.text(max_size=10)),
)


@every_operation
@settings(max_examples=120, deadline=None)
@given(status=STATUSES, body=BODIES, headers=HEADERS)
def test_any_answer_has_a_verdict_that_can_be_kept(
    operation: Operation, status: int, body: bytes, headers: dict[str, str]
) -> None:
    verdict = operation.classify(Answer(status, body, None, headers))
    assert verdict.told in OF_A_SEND
    assert verdict.status == status
    _keepable(verdict)
    if status >= 500 or 300 <= status < 400:
        assert verdict.told in {Told.UNKNOWN, Told.STUCK}
    if verdict.told is Told.DONE:
        assert 200 <= status < 300


@every_operation
@settings(max_examples=80, deadline=None)
@given(status=STATUSES, body=BODIES)
def test_any_look_up_has_a_verdict_that_can_be_kept(operation: Operation, status: int, body: bytes) -> None:
    effect = planned(operation, **WISHES[operation])
    verdict = operation.look_up(effect, lambda _: Answer(status, body))
    assert verdict.told in {Told.DONE, Told.PENDING, Told.DECLINED, Told.OPEN, Told.UNAVAILABLE}
    _keepable(verdict)
    if not 200 <= status < 300:
        assert verdict.told is not Told.DONE


def _keepable(verdict: Verdict) -> None:
    """As a row and as a line of a log."""
    assert len(json.dumps(dict(verdict.facts))) < 2000
    for text in (verdict.code, verdict.message, verdict.remote_id, verdict.request_id):
        assert text.isprintable()
        assert len(text) < 400
    assert verdict.hold <= (verdict.told in {Told.REFUSED, Told.UNAVAILABLE})


@every_operation
@pytest.mark.parametrize(
    "body", [b"<!doctype html><h1>Welcome to the Wi-Fi</h1>", b'{"id":', b"\x00\xff", b"[" * 100_000]
)
def test_a_success_that_is_garbage_is_unknown(operation: Operation, body: bytes) -> None:
    assert operation.classify(Answer(200, body)).told is Told.UNKNOWN
