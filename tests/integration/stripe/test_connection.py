"""Credentials and accounts, at the sandbox."""

from __future__ import annotations

import pytest

from leaderjobs.connectors.stripe.connector import StripeConnector
from leaderjobs.errors import FatalError, RateLimited, TransientError
from leaderjobs.model.effect import Told
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.values import Secret
from tests.integration.stripe.rig import connect, invoice
from tests.unit.connectors.ledger import Ledger


def test_check_proves_the_key(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    stripe.check()
    wrong = connect(sandbox, api_key=Secret(literal="sk_test_hunter2"))
    with pytest.raises(FatalError, match="check api_key") as caught:
        wrong.check()
    assert "hunter" not in str(caught.value)
    wrong.close()


def test_check_tells_what_passes_from_what_does_not(sandbox: StripeSandbox, stripe: StripeConnector) -> None:
    for fault, kind in (
        (Fault(kind=FaultKind.RATE_LIMITED, retry_after="3"), RateLimited),
        (Fault(kind=FaultKind.SERVER_ERROR), TransientError),
        (Fault(kind=FaultKind.RESET), TransientError),
        (Fault(kind=FaultKind.REDIRECT), FatalError),
    ):
        sandbox.faults.replace(fault)
        with pytest.raises(kind) as caught:
            stripe.check()
        assert type(caught.value) is kind


def test_credentials_that_were_revoked_hold_the_connection_and_nothing_acts(sandbox: StripeSandbox) -> None:
    wrong = connect(sandbox, api_key=Secret(literal="sk_test_other"))
    ledger = Ledger(wrong, "pay_invoice", invoice=invoice(sandbox))
    verdict = ledger.send()
    assert (verdict.told, verdict.hold, verdict.status) == (Told.REFUSED, True, 401)
    look = ledger.look()
    assert (look.told, look.hold) == (Told.UNAVAILABLE, True)
    wrong.close()


def test_a_connected_account_is_named_in_every_request(sandbox: StripeSandbox) -> None:
    made = connect(sandbox, account="acct_123")
    seen: list[str] = []
    scope = sandbox.key_scope
    sandbox.key_scope = lambda request: seen.append(scope(request)) or scope(request)  # type: ignore[method-assign, func-returns-value]
    Ledger(made, "pay_invoice", invoice=invoice(sandbox)).run()
    assert set(seen) == {"acct_123"}
    made.close()
