"""One connection to Plaid: its accounts, its pace, its credentials, and the Item that waits for its owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.plaid.connector import (
    PlaidConnector,
)
from leaderjobs.connectors.plaid.streams import ACCOUNTS, TRANSACTIONS
from leaderjobs.errors import FatalError, NeedsUser
from leaderjobs.model.batch import Landing
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.values import Rate, Secret
from tests.unit.connectors.harness import Context, Table, plaid


@pytest.fixture
def sandbox() -> Iterator[PlaidSandbox]:
    """Three pages of ten."""
    with PlaidSandbox(transactions=30) as running:
        yield running


@contextmanager
def connector(sandbox: PlaidSandbox, **options: Any) -> Iterator[PlaidConnector]:
    made = plaid(sandbox, **options)
    try:
        yield made
    finally:
        made.close()


def table(stream: str = "transactions") -> Table:
    return Table(TRANSACTIONS if stream == "transactions" else ACCOUNTS)


def test_accounts_are_one_page_that_replaces_all(sandbox: PlaidSandbox) -> None:
    copy = table("accounts")
    with connector(sandbox) as plaid_:
        copy.sync(plaid_, "accounts")
        assert len(copy.rows) == 3
        assert any(row["balances"]["current"] == Decimal("90071992547409.93") for row in copy.rows.values())
        gone = sandbox.close_account()
        copy.sync(plaid_, "accounts")
    assert gone not in copy.rows
    assert copy.landings == [Landing.REPLACE] * 2


def test_days_requested_goes_with_the_first_request_only(sandbox: PlaidSandbox) -> None:
    """The sandbox refuses a value out of range, so a range error in the second sync would show."""
    with connector(sandbox, days_requested=30) as plaid_:
        sent: list[bytes] = []
        post = plaid_._http.post

        def noted(path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
            sent.append(body)
            return post(path, body, headers)

        plaid_._http.post = noted  # type: ignore[method-assign]
        list(plaid_.read("transactions", None, Context()))
    assert [b'"days_requested":30' in body for body in sent] == [True, False, False]
    assert [b'"cursor"' in body for body in sent] == [False, True, True]


def test_requests_are_paced_per_endpoint_by_the_injected_clock(sandbox: PlaidSandbox) -> None:
    context = Context()
    with connector(
        sandbox, clock=context.clock, page_size=1, rate_limit=Rate(5, timedelta(minutes=1))
    ) as plaid_:
        list(islice(plaid_.read("transactions", None, context), 4))
        assert context.waits == [timedelta(seconds=12)] * 3
        list(plaid_.read("accounts", None, context))
        assert len(context.waits) == 3


def test_login_required_stops_that_item_only_and_check_shows_it(sandbox: PlaidSandbox) -> None:
    with connector(sandbox) as plaid_:
        plaid_.check()
        token = _second_item(sandbox, plaid_)
        sandbox.require_login()
        for attempt in (plaid_.check, lambda: list(plaid_.read("accounts", None, Context()))):
            with pytest.raises(NeedsUser) as caught:
                attempt()
            assert caught.value.code == "ITEM_LOGIN_REQUIRED"
        with connector(sandbox, access_token=Secret(literal=token)) as other:
            other.check()
            copy = table()
            copy.sync(other, "transactions")
            assert copy.rows == sandbox.rows(token)
        sandbox.require_login(required=False)
        plaid_.check()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("client_id", "INVALID_API_KEYS"),
        ("secret", "INVALID_API_KEYS"),
        ("access_token", "INVALID_ACCESS_TOKEN"),
    ],
)
def test_wrong_credentials_are_fatal_and_not_repeated(sandbox: PlaidSandbox, name: str, code: str) -> None:
    with connector(sandbox, **{name: Secret(literal="hunter2")}) as plaid_:
        for attempt in (plaid_.check, lambda: list(plaid_.read("transactions", None, Context()))):
            with pytest.raises(FatalError) as caught:
                attempt()
            assert caught.value.code == code
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["hunter2\r\nX-Evil: 1", "hunter2 ", "hünter2", "hunter2\x7f"])
def test_a_secret_that_no_header_can_carry_is_refused_before_it_is_sent(
    sandbox: PlaidSandbox, value: str
) -> None:
    with connector(sandbox, secret=Secret(literal=value)) as plaid_, pytest.raises(FatalError) as caught:
        plaid_.check()
    assert "nter2" not in str(caught.value)
    assert sandbox.requests() == {}


def test_a_secret_that_cannot_be_read_is_fatal(sandbox: PlaidSandbox, tmp_path: Path) -> None:
    with (
        connector(sandbox, secret=Secret(file=tmp_path / "gone")) as plaid_,
        pytest.raises(FatalError, match="gone"),
    ):
        plaid_.check()


def test_a_secret_file_that_is_rotated_is_read_anew(sandbox: PlaidSandbox, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    with connector(sandbox, secret=Secret(file=file)) as plaid_:
        with pytest.raises(FatalError):
            plaid_.check()
        file.write_text(sandbox.secret + "\n")
        plaid_.check()


def _second_item(sandbox: PlaidSandbox, plaid_: PlaidConnector) -> str:
    """A new Item, made as at Plaid; its access token."""
    import requests

    headers = {"PLAID-CLIENT-ID": sandbox.client_id, "PLAID-SECRET": sandbox.secret}
    with requests.Session() as session:
        session.headers.update(headers)
        asked = {"institution_id": "ins_109508", "initial_products": ["transactions"]}
        made = session.post(f"{sandbox.url}/sandbox/public_token/create", json=asked, timeout=10).json()
        exchanged = session.post(
            f"{sandbox.url}/item/public_token/exchange",
            json={"public_token": made["public_token"]},
            timeout=10,
        ).json()
    return str(exchanged["access_token"])
