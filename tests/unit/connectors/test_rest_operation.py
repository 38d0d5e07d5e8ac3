"""What a declared operation sends, and what it makes of every answer."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.connectors.rest.operation import RestOperation
from leaderjobs.connectors.rest.settings import RestOperationSettings, RestSettings
from leaderjobs.errors import (
    ConfigError,
    FatalError,
    Forbidden,
    RateLimited,
    TransientError,
    Unauthenticated,
    UsageError,
)
from leaderjobs.model.effect import Request, Told, Verdict
from leaderjobs.model.settle import Rules
from leaderjobs.values import Secret
from tests.unit.connectors.ledger import sent
from tests.unit.connectors.test_rest_settings import declared, look_up
from tests.unit.connectors.wires import answering, serving

KEY = "lj-1"
GIVEN = {"order": "A/7", "cents": "1250"}


def operation(**values: object) -> RestOperation:
    return RestOperation("create_order", declared(**values), timedelta(seconds=8))


def kinds(**values: object) -> RestOperation:
    """One argument of every kind."""
    arguments = {"t": "text", "i": "integer", "d": "decimal", "b": "boolean"}
    body = {
        "t": "{t}",
        "i": "{i}",
        "d": "{d}",
        "b": "{b}",
        "all": "{t} {i} {d} {b} {{}} {idempotency_key}",
        "n": 1,
    }
    settings = {"arguments": arguments, "business_key": "{t}:{d}:{b}", "body": body, "look_up": None}
    return operation(**(settings | values))


def test_every_kind_is_written_as_what_it_is_and_kept_as_json() -> None:
    made = kinds()
    arguments = made.parse({"t": "x", "i": "-7", "d": "010.50", "b": "true"})
    assert arguments == {"t": "x", "i": -7, "d": "10.5", "b": True}
    assert made.parse(arguments) == arguments
    request = made.build(arguments, KEY)
    assert request.body == (b'{"t":"x","i":-7,"d":10.5,"b":true,"all":"x -7 10.5 true {} lj-1","n":1}')
    assert made.business_key(arguments) == "x:10.5:true"
    assert request.headers == {
        "Accept": "application/json", "Content-Type": "application/json", "Idempotency-Key": KEY
    }  # fmt: skip


def test_money_keeps_its_digits() -> None:
    made = kinds()
    for given, kept in (("0.0000001", "0.0000001"), ("123456789012345678.10", "123456789012345678.1")):
        arguments = made.parse({"t": "x", "i": 1, "d": given, "b": False})
        assert arguments["d"] == kept
        assert f"x 1 {kept} false".encode() in made.build(arguments, KEY).body
        form = kinds(form=True).build(arguments, KEY)
        assert f"&d={kept}&".encode() in form.body


def test_a_form() -> None:
    request = operation(form=True, body={"order": {"name": "{order}", "lines": ["{cents}"]}}).build(
        {"order": "A&7", "cents": 5}, KEY
    )
    assert request.body == b"order%5Bname%5D=A%267&order%5Blines%5D%5B0%5D=5"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_what_is_filled_into_a_path_stays_in_its_place() -> None:
    made = operation(path="/orders/{order}/cancel?why={order}", body=None, method="DELETE")
    request = made.build(made.parse({"order": "../a?b#c%2e é", "cents": 1}), KEY)
    quoted = "..%2Fa%3Fb%23c%252e%20%C3%A9"
    assert (request.method, request.path, request.body) == (
        "DELETE",
        f"/orders/{quoted}/cancel?why={quoted}",
        b"",
    )
    for order in (".", ".."):
        with pytest.raises(UsageError, match="cannot be part of a path"):
            made.build(made.parse({"order": order, "cents": 1}), KEY)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"order": "a"}, "create_order: cents is missing; give cents=…"),
        ({}, "order, cents is missing"),
        (GIVEN | {"colour": "red"}, "no argument 'colour'; allowed: order, cents"),
        (GIVEN | {"cents": "12.5"}, "cents = '12.5': allowed: a whole number of up to 18 digits"),
        (GIVEN | {"order": ""}, "order = '': allowed: a text of 1 to 1000 characters"),
        (GIVEN | {"order": "x" * 1001}, "allowed: a text"),
        (GIVEN | {"order": 7}, "allowed: a text"),
        (GIVEN | {"order": "a\0b"}, "allowed: a text"),
        (GIVEN | {"order": "caf\udce9"}, "allowed: a text"),
    ],
)
def test_arguments_that_are_not_allowed(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        operation().parse(given)


@pytest.mark.parametrize("given", ["1e3", "1.5.2", "", "x", 1.5, True, None, "1" * 19])
def test_decimals_that_are_not_allowed(given: object) -> None:
    with pytest.raises(UsageError, match="allowed: a decimal number"):
        kinds().parse({"t": "x", "i": 1, "d": given, "b": True})


@pytest.mark.parametrize("order", ["x" * 200, "a\nb"])
def test_a_business_key_is_short_and_can_be_read(order: str) -> None:
    with pytest.raises(UsageError, match="business key"):
        operation().business_key({"order": order, "cents": 1})


def rules(**values: object) -> Rules:
    return operation(**values).rules


def test_what_may_be_relied_on() -> None:
    assert rules() == Rules(timedelta(hours=23), looks_up=True)
    assert rules(absent_after="5m").absent_after == timedelta(minutes=5)
    assert rules(look_up=None, replay_window=None) == Rules(None, looks_up=False)
    assert operation(timeout="3s").timeout == timedelta(seconds=3)


REPLAYED = {"idempotent-replayed": "True"}
ASYNC = {"accepted": [202], "id": "order.id", "done": {"order.state": ["made", "1"]}, "pending": {"order.state": ["queued"]},
         "declined": {"order.state": ["refused"], "order.final": ["true"]}}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "status", "body", "headers", "told"),
    [
        ({}, 200, b"{}", {}, Told.DONE),
        ({}, 201, b'{"id":"o1"}', {}, Told.DONE),
        ({}, 204, b"", {}, Told.DONE),
        ({}, 200, b"<html>", {}, Told.UNKNOWN),
        ({}, 200, b'{"id":', {}, Told.UNKNOWN),
        ({"success": [201]}, 200, b"{}", {}, Told.UNKNOWN),
        ({"success": [201]}, 201, b"", {}, Told.DONE),
        (ASYNC, 202, b"", {}, Told.PENDING),
        (ASYNC, 200, b'{"order":{"state":"made"}}', {}, Told.DONE),
        (ASYNC, 200, b'{"order":{"state":1}}', {}, Told.DONE),
        (ASYNC, 200, b'{"order":{"state":"queued"}}', {}, Told.PENDING),
        (ASYNC, 200, b'{"order":{"state":"refused","final":true}}', {}, Told.DECLINED),
        (ASYNC, 200, b'{"order":{"state":"refused","final":false}}', {}, Told.UNKNOWN),
        (ASYNC, 200, b'{"order":{"state":"new"}}', {}, Told.UNKNOWN),
        (ASYNC, 200, b"{}", {}, Told.UNKNOWN),
        (ASYNC, 200, b"", {}, Told.UNKNOWN),
        ({"pending": {"state": ["queued"]}}, 200, b'{"state":"whatever"}', {}, Told.DONE),
        ({}, 401, b"", {}, Told.REFUSED),
        ({}, 403, b"{}", {}, Told.REFUSED),
        ({}, 429, b"", {}, Told.REFUSED),
        ({"retryable": [503]}, 503, b"", {}, Told.REFUSED),
        ({"retryable": [503]}, 503, b"", REPLAYED, Told.STUCK),
        ({}, 409, b"", {}, Told.MISMATCH),
        ({"conflict": "refused"}, 409, b"", {}, Told.REFUSED),
        ({}, 400, b"", {}, Told.DECLINED),
        ({}, 404, b"", {}, Told.DECLINED),
        ({}, 422, b"", REPLAYED, Told.DECLINED),
        ({}, 408, b"", {}, Told.UNKNOWN),
        ({}, 301, b"", {}, Told.UNKNOWN),
        ({}, 304, b"", {}, Told.UNKNOWN),
        ({}, 500, b"", {}, Told.UNKNOWN),
        ({}, 503, b"", {}, Told.UNKNOWN),
        ({}, 500, b"", REPLAYED, Told.STUCK),
        ({"replayed_header": "X-Again"}, 500, b"", REPLAYED, Told.UNKNOWN),
        ({"replayed_header": "X-Again"}, 500, b"", {"x-again": "true"}, Told.STUCK),
    ],
)
def test_an_answer(
    values: dict[str, Any], status: int, body: bytes, headers: dict[str, str], told: Told
) -> None:
    verdict = operation(**values).classify(Answer(status, body, timedelta(seconds=4), headers))
    assert verdict.told is told
    assert verdict.hold == (status in {401, 403})
    assert (verdict.status, verdict.retry_after) == (status, timedelta(seconds=4))
    assert f"HTTP {status}" in verdict.message
    assert verdict.code == ("" if status < 300 else f"http_{status}")


def test_ids_and_the_providers_own_words_are_kept() -> None:
    made = operation(id="data.0.id", error_code="error.code")
    assert made.classify(Answer(200, b'{"data":[{"id":17}]}')).remote_id == "17"
    assert made.classify(Answer(200, b'{"data":[]}')).remote_id == ""
    verdict = made.classify(Answer(422, b'{"error":{"code":"sold\\nout"}}'))
    assert (verdict.code, verdict.message) == ("sold out", "HTTP 422 sold out: the provider refused it")
    assert made.classify(Answer(422, b'{"error":{"code":["x"]}}')).code == "http_422"


def look(made: RestOperation, body: bytes, status: int = 200, asked: list[Request] | None = None) -> Verdict:
    def ask(request: Request) -> Answer:
        if asked is not None:
            asked.append(request)
        return Answer(status, body)

    return made.look_up(sent(made, GIVEN, Told.UNKNOWN), ask)


STATES = {"done": {"status": ["made"]}, "pending": {"status": ["queued"]},
          "declined": {"status": ["refused"]}, "open": {"status": ["draft"]}}  # fmt: skip
ONE = look_up(path="/orders/{order}", parameters=None, match=None, records=None, absent=[404], **STATES)


@pytest.mark.parametrize(
    ("values", "status", "body", "told"),
    [
        ({}, 200, b'{"data":[{"id":"o1","reference":"A/7"}]}', Told.DONE),
        ({}, 200, b'{"data":[]}', Told.OPEN),
        # A provider that does not know the parameter shows everything.
        ({}, 200, b'{"data":[{"id":"o1","reference":"A/8"}]}', Told.OPEN),
        ({}, 200, b'{"data":[{"id":"o1"},null,7,[]]}', Told.OPEN),
        # What is no answer to the question says nothing, least of all that there is nothing.
        ({}, 200, b"{}", Told.UNAVAILABLE),
        ({}, 200, b'{"data":null}', Told.UNAVAILABLE),
        ({}, 200, b"<html>", Told.UNAVAILABLE),
        ({}, 404, b"{}", Told.UNAVAILABLE),
        ({}, 401, b"{}", Told.UNAVAILABLE),
        ({}, 500, b"{}", Told.UNAVAILABLE),
        ({}, 302, b'{"data":[]}', Told.UNAVAILABLE),
        (look_up(absent=[404]), 404, b"", Told.OPEN),
        (look_up(**STATES), 200, b'{"data":[{"reference":"A/7","status":"refused"}]}', Told.DECLINED),
        (look_up(**STATES), 200, b'{"data":[{"reference":"A/7","status":"refused"},{"reference":"A/7","status":"made"}]}', Told.DONE),
        (look_up(**STATES), 200, b'{"data":[{"reference":"A/7","status":"refused"},{"reference":"A/7","status":"queued"}]}', Told.PENDING),
        (look_up(**STATES), 200, b'{"data":[{"reference":"A/7","status":"something new"}]}', Told.PENDING),
        (ONE, 200, b'{"status":"made"}', Told.DONE),
        (ONE, 200, b'{"status":"draft"}', Told.OPEN),
        (ONE, 200, b'{"status":"refused"}', Told.DECLINED),
        (ONE, 200, b'{"status":"new"}', Told.PENDING),
        (ONE, 404, b"", Told.OPEN),
        (ONE, 200, b"[]", Told.OPEN),
    ],
)  # fmt: skip
def test_a_look_up(values: dict[str, Any], status: int, body: bytes, told: Told) -> None:
    verdict = look(operation(**values), body, status)
    assert verdict.told is told
    assert verdict.hold == (status == 401)


def test_a_look_up_asks_for_this_one_and_says_what_it_found() -> None:
    asked: list[Request] = []
    body = b'{"data":[{"id":"o1","reference":"A/7"},{"id":"o2","reference":"A/7"}]}'
    verdict = look(operation(), body, asked=asked)
    assert asked == [Request("GET", "/orders?reference=A%2F7")]
    assert (verdict.remote_id, verdict.facts) == ("o1", {"records": 2})


@pytest.mark.parametrize(
    ("found", "same"),
    [("1250", True), ('"1250"', True), ("1250.00", True), ("1.25e3", True), ("1251", False), ("true", False), ("null", False)],
)  # fmt: skip
def test_numbers_match_by_value(found: str, same: bool) -> None:  # noqa: FBT001 - a table of cases
    values = look_up(match={"cents": "{cents}"})
    told = look(operation(**values), f'{{"data":[{{"cents":{found}}}]}}'.encode()).told
    assert told is (Told.DONE if same else Told.OPEN)


def test_long_texts_match_to_their_end() -> None:
    """What is cut for people must not be cut where it decides about a second send."""
    made = operation(business_key="{cents}")
    order = "x" * 999
    asked = sent(made, {"order": order + "y", "cents": 1}, Told.UNKNOWN)
    for last, told in (("y", Told.DONE), ("z", Told.OPEN)):
        body = f'{{"data":[{{"reference":"{order}{last}"}}]}}'.encode()
        assert made.look_up(asked, lambda _, body=body: Answer(200, body)).told is told  # type: ignore[misc]


def connector(url: str, **declared: RestOperationSettings) -> RestConnector:
    headers = {"Authorization": Secret(literal="Bearer hunter2")}
    return RestConnector(
        "shop", RestSettings(base_url=url, headers=headers, check_path="/me"), Paces(), declared
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, FatalError),
        (302, FatalError),
        (429, RateLimited),
        (503, TransientError),
    ],
)
def test_check(status: int, kind: type[Exception] | None) -> None:
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(answering(answer)) as server:
        made = connector(server.url)
        if kind is None:
            made.check()
        else:
            with pytest.raises(kind) as caught:
                made.check()
            assert type(caught.value) is kind
        assert "GET /me HTTP/1.1" in server.wires[0].head
        assert "Authorization: Bearer hunter2" in server.wires[0].head
        made.close()


def test_without_a_path_nothing_can_be_checked_and_nothing_is_said_to_be_fine() -> None:
    made = RestConnector("shop", RestSettings(base_url="http://127.0.0.1:1"), Paces())
    with pytest.raises(FatalError, match="connection shop cannot be checked; set check_path"):
        made.check()
    with pytest.raises(FatalError, match="rest has no stream 'orders'"):
        made.read("orders", None, None)  # type: ignore[arg-type]
    made.close()


def test_a_header_that_cannot_be_had_is_a_matter_of_configuration() -> None:
    for secret in (Secret(env="NO_SUCH_VARIABLE_HERE"), Secret(literal="Bearer hunter2\n")):
        made = RestConnector(
            "shop", RestSettings(base_url="http://127.0.0.1:1", headers={"X": secret}), Paces()
        )
        with pytest.raises(ConfigError) as caught:
            made.exchange(Request("GET", "/"), timeout=timedelta(seconds=1), guard=lambda: None)
        assert "hunter" not in str(caught.value)
        made.close()
