"""What may be declared of an API and its operations, and what the refusals say."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors.rest.settings import RestOperationSettings, RestSettings

CONNECTION: dict[str, Any] = {"base_url": "https://api.example.com"}
ORDER: dict[str, Any] = {
    "path": "/orders",
    "arguments": {"order": "text", "cents": "integer"},
    "business_key": "order:{order}:create",
    "body": {"reference": "{order}", "cents": "{cents}"},
    "idempotency_header": "Idempotency-Key",
    "replay_window": "23h",
    "look_up": {
        "path": "/orders",
        "parameters": {"reference": "{order}"},
        "records": "data",
        "match": {"reference": "{order}"},
        "id": "id",
    },
}


def connection(**values: object) -> RestSettings:
    return msgspec.convert(CONNECTION | values, RestSettings, dec_hook=lambda kind, value: kind.parse(value))


def declared(**values: object) -> RestOperationSettings:
    whole = {name: value for name, value in (ORDER | values).items() if value is not None}
    return msgspec.convert(whole, RestOperationSettings, dec_hook=lambda kind, value: kind.parse(value))


def look_up(**values: object) -> dict[str, object]:
    whole = {**ORDER["look_up"], **values}
    return {"look_up": {name: value for name, value in whole.items() if value is not None}}


def test_a_whole_declaration_is_allowed() -> None:
    found = declared()
    assert (found.method, found.replay_window, found.absent_after) == ("POST", timedelta(hours=23), None)
    assert found.look_up is not None
    assert found.look_up.records == "data"
    assert connection(headers={"Authorization": {"env": "TOKEN"}}).timeout == timedelta(seconds=8)


@pytest.mark.parametrize(
    "values",
    [
        {"look_up": None, "idempotency_header": None, "replay_window": None},
        {"idempotency_header": None, "body": {"key": "{idempotency_key}"}},
        {"idempotency_header": None, "path": "/orders/{idempotency_key}", "method": "PUT"},
        {"body": None, "path": "/orders/{order}/cancel?reason={cents}"},
        {"absent_after": "1s", "replay_window": "90d"},
        {"accepted": [202], "success": [201], "retryable": [423, 503], "conflict": "refused"},
        {"body": {"list": [1, True, "{{literal}}", {"deep": "{cents}-{order}"}]}, "form": True},
        look_up(path="/orders/{order}", parameters=None, match=None, absent=[404, 410]),
        look_up(done={"status": ["a", "b"]}, open={"state.of": ["c"]}),
    ],
)
def test_what_is_allowed(values: dict[str, Any]) -> None:
    declared(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"path": ""}, 'path: allowed: a path from base_url on, such as "/orders/{order}"'),
        ({"path": "orders"}, "path: allowed"),
        ({"path": "//evil.example.com/orders"}, "path: allowed"),
        ({"path": "/a b"}, "path: allowed"),
        ({"path": "/orders/{id}"}, "path: allowed: in braces: cents, idempotency_key, order"),
        ({"path": "/orders/{"}, "path: '/orders/{' has a brace that belongs to no name; write {{ or }} for one"),
        ({"business_key": "order"}, "business_key: allowed: a text with at least one argument"),
        ({"business_key": ""}, "business_key: allowed"),
        ({"business_key": "{idempotency_key}"}, "business_key: allowed: in braces: cents, order"),
        ({"body": {"a": ["{colour}"]}}, "body: allowed: in braces"),
        ({"body": {"a": 1.5}}, "body: 1.5 is neither a text, a whole number, true or false"),
        ({"arguments": {"order": "float", "cents": "integer"}}, "arguments: allowed: as values: text, integer, decimal, boolean"),
        ({"arguments": {"Order": "text"}}, "arguments: allowed: names of small letters"),
        ({"arguments": {"idempotency_key": "text"}}, "arguments: allowed: names of small letters"),
        ({"method": "GET"}, "Invalid enum value 'GET'"),
        ({"body": None, "form": True}, "form: allowed: only with body"),
        ({"idempotency_header": None}, "replay_window: allowed: only with idempotency_header, or {idempotency_key}"),
        ({"idempotency_header": "Idempotency Key"}, "idempotency_header: allowed: the name of a header"),
        ({"idempotency_header": "Host"}, "idempotency_header: allowed"),
        ({"replayed_header": "a:b"}, "replayed_header: allowed"),
        ({"replay_window": "0s"}, "replay_window: allowed"),
        ({"replay_window": "91d"}, "replay_window: allowed"),
        ({"look_up": None, "absent_after": "1h"}, "absent_after: allowed: only with look_up"),
        ({"absent_after": "0s"}, 'absent_after: allowed: at least "1s", and rather minutes'),
        ({"look_up": None, "accepted": [202]}, "accepted: allowed: only with look_up"),
        ({"success": [302]}, "success: allowed: statuses from 200 to 299"),
        ({"retryable": [401]}, "retryable: allowed"),
        ({"retryable": [200]}, "retryable: allowed"),
        ({"id": "a..b"}, "id: allowed: a dotted path"),
        ({"done": {"status": []}}, 'done: allowed: members and their values, such as { status = ["created"] }'),
        ({"timeout": "0s"}, "timeout: allowed"),
        ({"python": "shop.labels:Create"}, 'python: allowed: "module:Class", and beside it nothing but timeout'),
        (look_up(path="orders"), "look_up: allowed: as its path"),
        (look_up(path="/orders", parameters=None), "look_up: allowed: an argument in its path, or in its parameters"),
        (look_up(match=None), "look_up: allowed: an argument in its path, or in its parameters with match"),
        (look_up(parameters={"reference": "all"}), "look_up: allowed: an argument in its path"),
        (look_up(match={"reference": "{nobody}"}), "look_up: allowed: in braces"),
        (look_up(records="data."), "look_up: allowed: as records, id and in match: dotted paths"),
        (look_up(absent=[200]), "look_up: allowed: as absent: statuses from 400 to 499"),
        (look_up(absent=[429]), "look_up: allowed: as absent"),
        (look_up(open={"status": ["open"]}), "look_up: allowed: open only with done"),
        (look_up(done={"status": []}), "look_up: allowed: members and their values"),
        (look_up(colour="red"), "unknown field `colour`"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_what_is(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(sentence)):
        declared(**values)


@pytest.mark.parametrize("python", ["shop.labels:Create", "labels:Create"])
def test_python_stands_alone(python: str) -> None:
    assert RestOperationSettings(python=python).python == python


@pytest.mark.parametrize(
    "python", ["", "shop.labels", "shop.labels:", ":Create", "shop/labels:Create", "a:b.c"]
)
def test_python_names_a_module_and_a_class(python: str) -> None:
    with pytest.raises(ValueError, match="python: allowed"):
        RestOperationSettings(python=python)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"base_url": "http://api.example.com"}, "base_url: allowed"),
        (
            {"headers": {"Content-Type": "x"}},
            "headers: allowed: names of headers, such as Authorization, but not",
        ),
        ({"headers": {"X Y": "x"}}, "headers: allowed"),
        ({"headers": {"Authorization": ""}}, "allowed: a non-empty string"),
        ({"check_path": "me"}, "check_path: allowed"),
        ({"check_path": "/{me}"}, "check_path: allowed"),
        ({"timeout": "2m"}, "timeout: allowed"),
    ],
)
def test_a_connection_that_is_not_allowed(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(sentence)):
        connection(**values)


def test_settings_show_no_secret() -> None:
    assert "hunter" not in repr(connection(headers={"Authorization": "Bearer hunter2"}))
