"""The checker of requests: what it lets through, and that it sees what is wrong."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path

import pytest

from leaderjobs.sandbox.exchange import Request
from tests.contract.official import SPECS, Description, nested

PLAID = {"PLAID-CLIENT-ID": "a", "PLAID-SECRET": "b", "Plaid-Version": "2020-09-14"}
STRIPE = {"Authorization": "Bearer a", "Stripe-Version": "2026-10-28.endive"}


def request(
    method: str, path: str, query: str = "", body: object = None, headers: dict[str, str] | None = None
) -> Request:
    message = Message()
    for name, value in (headers or {}).items():
        message[name] = value
    if body is None:
        return Request(1, method, path, query, message, b"")
    message["Content-Type"] = "application/json"
    return Request(1, method, path, query, message, json.dumps(body).encode())


@pytest.mark.parametrize("file", sorted(SPECS.glob("*.json")), ids=lambda file: file.stem)
def test_each_description_says_where_it_is_from_and_uses_only_types_that_it_has(file: Path) -> None:
    description = Description.load(file.stem)
    assert description.operations
    for operation in description.operations:
        used = {operation.query, operation.body, operation.answer} - {None}
        assert used <= set(description.types)


@pytest.mark.parametrize(
    ("body", "complaints"),
    [
        ({"access_token": "t", "count": 500, "cursor": "c", "options": {"days_requested": 730}}, []),
        ({"count": 500}, ["body.access_token: missing"]),
        ({"access_token": "t", "count": 501}, ["body.count: not integer:1..500"]),
        ({"access_token": "t", "count": "500"}, ["body.count: not integer:1..500"]),
        ({"access_token": "t", "count": True}, ["body.count: not integer:1..500"]),
        ({"access_token": "t", "kind": "x"}, ["body.kind: unknown"]),
        ({"access_token": None}, ["body.access_token: not string"]),
        ({"access_token": "t", "options": {"days": 1}}, ["body.options.days: unknown"]),
        ([], ["body: not an object"]),
    ],
)
def test_a_body_is_held_to_its_schema(body: object, complaints: list[str]) -> None:
    asked = request("POST", "/transactions/sync", "", body, PLAID)
    assert Description.load("plaid").complaints(asked) == [
        f"POST /transactions/sync: {text}" for text in complaints
    ]


@pytest.mark.parametrize(
    ("query", "complaints"),
    [
        ("limit=100&starting_after=in_1&created[gte]=5", []),
        ("created=5&expand[]=data.customer&expand[]=data.charge&status=open", []),
        ("limit=101", ["query.limit: not integer:1..100"]),
        ("limit=ten", ["query.limit: not integer:1..100"]),
        ("page=2", ["query.page: unknown"]),
        ("status=gone", ["query.status: not =draft|open|paid|uncollectible|void"]),
        ("created[from]=5", ["query.created: not integer"]),
    ],
)
def test_a_query_is_held_to_its_parameters(query: str, complaints: list[str]) -> None:
    asked = request("GET", "/v1/invoices", query, None, STRIPE)
    assert Description.load("stripe").complaints(asked) == [
        f"GET /v1/invoices: {text}" for text in complaints
    ]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (request("GET", "/v1/nonsense", headers=STRIPE), "GET /v1/nonsense: no such operation"),
        (request("POST", "/v1/invoices", headers=STRIPE), "POST /v1/invoices: no such operation"),
        (
            request("GET", "/v1/events", headers={"Authorization": "a"}),
            "GET /v1/events: header Stripe-Version: missing",
        ),
        (request("GET", "/v1/events", "", {"a": 1}, STRIPE), "GET /v1/events: body: there must be none"),
    ],
)
def test_what_does_not_exist_or_lacks_a_header_is_told(asked: Request, complaint: str) -> None:
    assert Description.load("stripe").complaints(asked) == [complaint]


def test_a_path_with_a_verb_and_a_required_parameter() -> None:
    analytics, youtube = Description.load("google_analytics"), Description.load("youtube")
    body = {"dimensions": [{"name": "date"}], "metrics": [{"name": "sessions"}], "limit": "100", "offset": 0}
    assert analytics.complaints(request("POST", "/v1beta/properties/1:runReport", "", body)) == []
    assert analytics.complaints(request("POST", "/v1beta/properties/1:walkReport", "", body)) != []
    assert youtube.complaints(request("GET", "/youtube/v3/videos", "part=snippet&id=a,b&key=k")) == []
    assert youtube.complaints(request("GET", "/youtube/v3/videos", "id=a")) == [
        "GET /youtube/v3/videos: query.part: missing"
    ]


def test_an_answer_is_held_to_its_types() -> None:
    removed = {"account_id": "a", "transaction_id": 5}
    page = {
        "accounts": [],
        "added": [],
        "modified": [],
        "removed": [removed],
        "has_more": "no",
        "next_cursor": "c",
        "request_id": "r",
        "transactions_update_status": "NOT_READY",
    }
    wrong = Description.load("plaid").faults_of_answer(
        "POST", "/transactions/sync", json.dumps(page).encode()
    )
    assert wrong == [
        "POST /transactions/sync answered .removed[].transaction_id: not string",
        "POST /transactions/sync answered .has_more: not boolean",
    ]


def test_brackets_and_repetition_make_objects_and_lists() -> None:
    assert nested("a=1&b[c][d]=2&e[]=3&e[]=4&f=5&f=6&g=") == {
        "a": "1",
        "b": {"c": {"d": "2"}},
        "e": ["3", "4"],
        "f": ["5", "6"],
        "g": "",
    }


def test_a_member_that_no_answer_has_is_told_from_one_that_it_has() -> None:
    stripe = Description.load("stripe")
    assert stripe.has("GET", "/v1/invoices", ("data", "parent", "subscription_details", "subscription"))
    assert stripe.has("GET", "/v1/invoices", ("data", "metadata", "whatever"))
    assert not stripe.has("GET", "/v1/invoices", ("data", "subscription"))
    assert not stripe.has("GET", "/v1/invoices", ("data", "created", "year"))
    assert not stripe.has("GET", "/v1/nothing", ("data",))
