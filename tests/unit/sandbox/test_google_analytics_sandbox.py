"""The Google Analytics sandbox refuses what Google would refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.message import Message
from typing import Any
from urllib.parse import urlencode

import pytest

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.google.tokens import JWT_GRANT
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox

RUN = "/v1beta/properties/424242:runReport"
REPORT: dict[str, Any] = {
    "dateRanges": [{"startDate": "yesterday", "endDate": "today"}],
    "dimensions": [{"name": "date"}],
    "metrics": [{"name": "sessions"}],
}


@pytest.fixture
def sandbox() -> Iterator[GoogleAnalyticsSandbox]:
    made = GoogleAnalyticsSandbox(days=2, rows_per_day=3)
    yield made
    made.stop()


def ask(
    sandbox: GoogleAnalyticsSandbox, path: str, body: bytes, token: str = "", method: str = "POST"
) -> Reply:
    headers = Message()
    headers["Authorization"] = f"Bearer {token}"
    return sandbox.answer(Request(1, method, path, "", headers, body), ())


def exchanged(sandbox: GoogleAnalyticsSandbox, **other: str) -> Reply:
    form = {
        "grant_type": "refresh_token",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "refresh_token": sandbox.refresh_token,
    }
    return ask(sandbox, "/token", urlencode(form | other).encode())


def token(sandbox: GoogleAnalyticsSandbox) -> str:
    return str(json.loads(exchanged(sandbox).body)["access_token"])


def report(sandbox: GoogleAnalyticsSandbox, **other: Any) -> Reply:
    return ask(sandbox, RUN, json.dumps(REPORT | other).encode(), token(sandbox))


@pytest.mark.parametrize(
    ("other", "status", "word"),
    [
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"refresh_token": "x"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": JWT_GRANT, "assertion": "a.b.c"}, 400, "invalid_grant"),
        ({"grant_type": JWT_GRANT}, 400, "invalid_grant"),
    ],
)
def test_wrong_credentials_get_no_token(
    sandbox: GoogleAnalyticsSandbox, other: dict[str, str], status: int, word: str
) -> None:
    said = exchanged(sandbox, **other)
    assert (said.status, json.loads(said.body)["error"]) == (status, word)


@pytest.mark.parametrize("change", ["signature", "claims", "header"])
def test_an_assertion_that_was_changed_gets_no_token(sandbox: GoogleAnalyticsSandbox, change: str) -> None:
    from google.oauth2 import service_account

    key = json.loads(sandbox.tokens.key_file(sandbox.url))
    made = service_account.Credentials.from_service_account_info(key, scopes=["a"])  # type: ignore[no-untyped-call]
    parts = made._make_authorization_grant_assertion().decode().split(".")
    place = ["header", "claims", "signature"].index(change)
    good = exchanged(sandbox, grant_type=JWT_GRANT, assertion=".".join(parts))
    parts[place] = parts[place][:-8] + parts[place][-8:][::-1]
    bad = exchanged(sandbox, grant_type=JWT_GRANT, assertion=".".join(parts))
    assert (good.status, bad.status) == (200, 400)


def test_a_token_without_the_scope_or_none_at_all_opens_nothing(sandbox: GoogleAnalyticsSandbox) -> None:
    assert ask(sandbox, RUN, b"{}").status == 401
    sandbox.tokens._scopes = frozenset({"another"})
    said = ask(sandbox, RUN, b"{}", token(sandbox))
    assert said.status == 403
    assert b"ACCESS_TOKEN_SCOPE_INSUFFICIENT" in said.body


@pytest.mark.parametrize(
    "other",
    [
        {"made_up": 1},
        {"dimensions": [{"name": "nonsense"}]},
        {"metrics": [{"name": "sessions"}], "dimensions": [{"name": "itemName"}]},
        {"dateRanges": []},
        {"dateRanges": [{"startDate": "soon", "endDate": "today"}]},
        {"limit": "0"},
        {"limit": "250001"},
        {"offset": "-1"},
        {"orderBys": [{"dimension": {"dimensionName": "country"}}]},
        {"dimensionFilter": {"notExpression": {}}},
    ],
)
def test_a_report_that_google_would_refuse_is_refused(
    sandbox: GoogleAnalyticsSandbox, other: dict[str, Any]
) -> None:
    said = report(sandbox, **other)
    assert said.status == 400
    assert json.loads(said.body)["error"]["status"] == "INVALID_ARGUMENT"


def test_pages_are_slices_where_an_order_is_asked_for_and_say_how_many_rows_there_are(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    names = ("date", "pagePath")
    fields = {
        "dimensions": [{"name": name} for name in names],
        "orderBys": [{"dimension": {"dimensionName": name}} for name in names],
    }
    whole = json.loads(report(sandbox, **fields).body)
    assert whole["rowCount"] == len(whole["rows"]) == 6
    pages = [json.loads(report(sandbox, **fields, limit="4", offset=str(n)).body) for n in (0, 4)]
    assert pages[0]["rows"] + pages[1]["rows"] == whole["rows"]
    assert "rows" not in json.loads(report(sandbox, **fields, offset="6").body)
    del fields["orderBys"]
    assert json.loads(report(sandbox, **fields).body)["rows"] != whole["rows"]


def test_the_eleventh_request_after_ten_server_errors_finds_the_property_locked(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    for _ in range(10):
        sandbox.quotas.fail()
    said = report(sandbox)
    assert said.status == 429
    assert b"server errors" in said.body


def test_days_that_are_over_change_for_a_while_and_then_no_more(sandbox: GoogleAnalyticsSandbox) -> None:
    with GoogleAnalyticsSandbox(days=9, rows_per_day=5) as older:
        settled = older.data.restated()[-1]
        before = older.rows(("pagePath",), ("sessions",))
        older.modify(10**6)
        older.remove(3)
        older.add(2)
        after = older.rows(("pagePath",), ("sessions",))
    old = [row for row in before if row["date"] < settled.isoformat()]
    assert len(old) == 6 * 5
    assert [row for row in after if row["date"] < settled.isoformat()] == old
    assert len(after) == len(before) - 1
    assert not [row for row in after if row in before and row not in old]


def test_steering_changes_rows_and_tokens(sandbox: GoogleAnalyticsSandbox) -> None:
    held = token(sandbox)
    assert sandbox.change({"add": 2, "expire_tokens": True}) == {"changed": ["add", "expire_tokens"]}
    assert sandbox.state()["facts"] == 11
    assert ask(sandbox, RUN, b"{}", held).status == 401
    sandbox.change({"revoke": True})
    assert exchanged(sandbox).status == 400
    sandbox.change({"revoke": False})
    assert exchanged(sandbox).status == 200
    with pytest.raises(ValueError, match="nonsense"):
        sandbox.change({"nonsense": 1})
    assert len(json.loads(sandbox.rows_json())) == 11
    assert json.loads(sandbox.record_json("key") or b"")["type"] == "service_account"
    assert sandbox.record_json("other") is None
