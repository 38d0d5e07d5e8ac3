"""Each way to say who one is, what a refusal becomes, and that no secret is shown or sent anywhere else."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs.connectors.rest.auth import Credentials
from leaderjobs.connectors.rest.auth_settings import RestAuth
from leaderjobs.errors import (
    ConfigError,
    FatalError,
    Forbidden,
    LeaderJobsError,
    RateLimited,
    TransientError,
    Unauthenticated,
)
from leaderjobs.model.effect import Request
from leaderjobs.sandbox.catalog.sandbox import API, OAUTH, CatalogSandbox
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.testing import Context
from leaderjobs.values import Secret
from tests.unit.connectors.catalog import connected, decoded, synced, table, truth
from tests.unit.connectors.wires import answering, serving

WRONG = "hunter22"
AUTHS = ("bearer", "basic", "header", "query", "oauth", "oauth in the body")


@pytest.fixture
def sandbox() -> Iterator[CatalogSandbox]:
    with CatalogSandbox(items=25) as running:
        yield running


def auths(sandbox: CatalogSandbox, *, right: bool = True) -> dict[str, dict[str, Any]]:
    word = dict.fromkeys(("token", "api_key", "password", "client_secret"), WRONG)
    if right:
        word = {name: getattr(sandbox, name) for name in word}
    client = {
        "kind": "oauth_client_credentials",
        "token_url": sandbox.url + OAUTH,
        "client_id": sandbox.client_id,
        "client_secret": word["client_secret"],
    }
    return {
        "bearer": {"kind": "bearer", "token": word["token"]},
        "basic": {"kind": "basic", "username": sandbox.username, "password": word["password"]},
        "header": {"kind": "header", "name": "X-Api-Key", "value": word["api_key"]},
        "query": {"kind": "query", "name": "api_key", "value": word["api_key"]},
        "oauth": client,
        "oauth in the body": {**client, "client_auth": "body", "scope": "items", "audience": "https://x"},
    }


@pytest.mark.parametrize("kind", AUTHS)
def test_each_way_reads_and_is_kept_secret(
    sandbox: CatalogSandbox, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # As `logs` has it: below that urllib3 writes every query down.
    caplog.set_level(logging.WARNING, logger="urllib3")
    auth, into, context = auths(sandbox)[kind], table(sandbox, "chained"), Context()
    with connected(sandbox, "chained", auth=auth) as made:
        made.check()
        shown = [repr(made)]
        for batch in made.read("chained", None, context):
            into.commit(batch)
            shown += [repr(batch), json.dumps(batch.cursor), batch.body.decode()]
        answer = made.exchange(Request("GET", "/me"), timeout=timedelta(seconds=5), guard=lambda: None)
    assert answer.status == 200
    assert into.rows == truth(sandbox, "chained")
    assert sandbox.requests().get(OAUTH, 1) == 1
    everything = "".join([*shown, caplog.text, *context.lines])
    for secret in (
        sandbox.token,
        sandbox.api_key,
        sandbox.password,
        sandbox.client_secret,
        *sandbox.issued(),
    ):
        assert secret not in everything


@pytest.mark.parametrize("kind", AUTHS)
def test_wrong_credentials_are_told_without_them(sandbox: CatalogSandbox, kind: str) -> None:
    auth = auths(sandbox, right=False)[kind]
    with connected(sandbox, "plain", auth=auth) as made:
        for attempt in (made.check, lambda: list(made.read("plain", None, Context()))):
            with pytest.raises(Unauthenticated) as caught:
                attempt()
            assert "\n" not in str(caught.value)
            assert WRONG not in "".join(traceback.format_exception(caught.value))


def test_a_token_that_ends_in_the_middle_is_replaced_once(sandbox: CatalogSandbox) -> None:
    into = table(sandbox, "cursor")
    with connected(sandbox, "cursor", auth=auths(sandbox)["oauth"]) as made:
        for batch in made.read("cursor", None, Context()):
            into.commit(batch)
            sandbox.expire_tokens()
    assert into.rows == truth(sandbox, "cursor")
    assert sandbox.requests()[OAUTH] == 3
    assert sandbox.requests()[API + "/cursor"] == 3 + 2
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, status=401, path=API))
    with pytest.raises(Unauthenticated):
        synced(sandbox, table(sandbox, "cursor"), auth=auths(sandbox)["oauth"])
    assert sandbox.requests()[API + "/cursor"] == 5 + 2


def test_a_request_that_is_repeated_with_another_token_takes_a_turn_of_its_own(
    sandbox: CatalogSandbox,
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, status=401, path=API, count=1))
    context = Context()
    with connected(sandbox, "plain", auth=auths(sandbox)["oauth"], rate_limit="6/min") as made:
        list(made.read("plain", None, context))
    sent = sum(count for path, count in sandbox.requests().items() if path.startswith(API))
    assert sent >= 2
    assert context.waits == [timedelta(seconds=10)] * (sent - 1)


@pytest.mark.parametrize(("life", "tokens"), [(3600, 1), (31, 1), (30, 3), (0, 3), (None, 1)])
def test_a_token_is_used_as_long_as_it_lives(sandbox: CatalogSandbox, life: int | None, tokens: int) -> None:
    sandbox.token_life = life
    synced(sandbox, table(sandbox, "cursor"), auth=auths(sandbox)["oauth"])
    assert sandbox.requests()[OAUTH] == tokens


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind=FaultKind.RATE_LIMITED, retry_after="7"), RateLimited),
        (Fault(kind=FaultKind.SERVER_ERROR), TransientError),
        (Fault(kind=FaultKind.HTML), TransientError),
        (Fault(kind=FaultKind.RESET), TransientError),
        (Fault(kind=FaultKind.REDIRECT), FatalError),
        (Fault(kind=FaultKind.SHAPELESS), FatalError),
        (Fault(kind=FaultKind.ERROR, status=403), Forbidden),
        (Fault(kind=FaultKind.ERROR, status=401), Unauthenticated),
    ],
)
def test_trouble_at_the_tokens_endpoint(
    sandbox: CatalogSandbox, fault: Fault, expected: type[LeaderJobsError]
) -> None:
    sandbox.faults.replace(fault)
    with connected(sandbox, "plain", auth=auths(sandbox)["oauth"]) as made:
        with pytest.raises(LeaderJobsError) as caught:
            list(made.read("plain", None, Context()))
        assert type(caught.value) is expected
        assert sandbox.client_secret not in "".join(traceback.format_exception(caught.value))
        # For an operation: nothing has been sent, and the engine must know.
        with pytest.raises(LeaderJobsError) as caught:
            made.exchange(Request("POST", "/me"), timeout=timedelta(seconds=5), guard=lambda: None)
    transient = issubclass(expected, TransientError)
    assert type(caught.value) is (TransientError if transient else ConfigError)
    assert getattr(caught.value, "code", "not_sent") == "not_sent"
    assert set(sandbox.requests()) == {OAUTH}


@pytest.mark.parametrize(
    "body", ['{"access_token":"a b"}', '{"access_token":""}', '{"access_token":7}', "[]"]
)
def test_what_is_no_token_is_not_sent_on(sandbox: CatalogSandbox, body: str) -> None:
    text = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with serving(answering(text.encode())) as server:
        auth = {**auths(sandbox)["oauth"], "token_url": server.url}
        with pytest.raises(FatalError, match="access_token"):
            synced(sandbox, table(sandbox, "plain"), auth=auth)
    assert sandbox.requests() == {}


def test_a_secret_that_cannot_be_had_is_told(sandbox: CatalogSandbox) -> None:
    for auth in (
        {"kind": "bearer", "token": {"env": "NO_SUCH_VARIABLE_HERE"}},
        {**auths(sandbox)["oauth"], "client_secret": {"file": "/nowhere/at/all"}},
        {"kind": "header", "name": "X", "value": f"{WRONG}\n"},
    ):
        with pytest.raises(FatalError) as caught:
            synced(sandbox, table(sandbox, "plain"), auth=auth)
        assert WRONG not in str(caught.value)
    assert sandbox.requests() == {}


def test_what_may_stand_in_no_marker() -> None:
    headers = {"X-Api-Key": Secret(literal="hunter22"), "Authorization": Secret(literal="Token hunter23"),
               "Accept": Secret(literal="application/json"), "X-Token": Secret(literal="ab")}  # fmt: skip
    auth = decoded(RestAuth, {"kind": "basic", "username": "somebody", "password": "hunter24"})
    made = Credentials(headers, auth, timedelta(seconds=1))
    assert made.words() == {"hunter22", "hunter23", "Token hunter23", "hunter24"}
