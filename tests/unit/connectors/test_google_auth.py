"""Tokens of Google: fetched when needed, renewed in time and once after a refusal, and told to nobody."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from leaderjobs import clock
from leaderjobs.connectors.google import auth as google_auth
from leaderjobs.connectors.google.auth import GoogleCredentials, GoogleSettings
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.errors import (
    ConfigError,
    ConnectorError,
    FatalError,
    Interrupted,
    NeedsUser,
    RateLimited,
    TransientError,
    Unauthenticated,
)
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google_analytics.sandbox import SCOPES, GoogleAnalyticsSandbox
from leaderjobs.values import Duration, Secret
from tests.support import eventually
from tests.unit.connectors.analytics import by_key, settings

PATH = "/token"


@pytest.fixture
def sandbox() -> Iterator[GoogleAnalyticsSandbox]:
    with GoogleAnalyticsSandbox() as made:
        yield made


@pytest.fixture(params=[settings, by_key], ids=["user", "service account"])
def options(request: pytest.FixtureRequest, sandbox: GoogleAnalyticsSandbox) -> GoogleSettings:
    made: GoogleSettings = request.param(sandbox)
    return made


def credentials(options: GoogleSettings) -> GoogleCredentials:
    return GoogleCredentials(options, tuple(SCOPES), timeout=Duration(seconds=10))


def renamed(options: GoogleSettings, **members: Any) -> GoogleSettings:
    """The same with other members in the key file."""
    assert options.service_account is not None
    key = json.loads(options.service_account.reveal()) | members
    return msgspec.structs.replace(options, service_account=Secret(literal=json.dumps(key)))


def test_a_token_is_fetched_once_and_kept(sandbox: GoogleAnalyticsSandbox, options: GoogleSettings) -> None:
    made = credentials(options)
    assert made.headers() == made.headers()
    assert list(made.headers()) == ["Authorization"]
    assert sandbox.requests() == {PATH: 1}


@pytest.mark.parametrize(("minutes", "fetched"), [(54, 1), (56, 2)])
def test_a_token_is_renewed_five_minutes_before_it_expires(
    sandbox: GoogleAnalyticsSandbox, monkeypatch: pytest.MonkeyPatch, minutes: int, fetched: int
) -> None:
    made = credentials(settings(sandbox))
    made.headers()
    later = clock.elapsed() + minutes * 60
    monkeypatch.setattr(clock, "elapsed", lambda: later)
    made.headers()
    assert sandbox.tokens.issued == fetched


@pytest.mark.parametrize(
    ("statuses", "sent", "fetched"), [([401, 200], 2, 2), ([401, 401], 2, 2), ([403], 1, 1)]
)
def test_a_refused_token_is_renewed_once(
    sandbox: GoogleAnalyticsSandbox, statuses: list[int], sent: int, fetched: int
) -> None:
    made, used = credentials(settings(sandbox)), []

    def send(headers: Any) -> Answer:
        used.append(headers["Authorization"])
        return Answer(statuses[len(used) - 1], b"")

    assert made.authorized(send).status == statuses[-1]
    assert len(used) == len(set(used)) == sent
    assert sandbox.tokens.issued == fetched


def test_threads_that_need_a_token_at_once_fetch_one(sandbox: GoogleAnalyticsSandbox) -> None:
    made, seen = credentials(settings(sandbox)), []
    threads = [
        threading.Thread(target=lambda: seen.append(made.headers()["Authorization"])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert sandbox.tokens.issued == 1


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        (Fault(kind=FaultKind.ERROR, error_code="invalid_grant"), NeedsUser, "invalid_grant"),
        (Fault(kind=FaultKind.ERROR, error_code="unauthorized_client", status=401), Unauthenticated, None),
        (Fault(kind=FaultKind.ERROR, error_code="access_denied", status=403), Unauthenticated, None),
        (Fault(kind=FaultKind.RATE_LIMITED, retry_after="7"), RateLimited, None),
        (Fault(kind=FaultKind.SERVER_ERROR), TransientError, "internal_failure"),
        (Fault(kind=FaultKind.HTML, status=502), TransientError, ""),
        (Fault(kind=FaultKind.HTML), TransientError, NO_ANSWER),
        (Fault(kind=FaultKind.RESET), TransientError, NO_ANSWER),
        (Fault(kind=FaultKind.TRUNCATED), TransientError, NO_ANSWER),
        (Fault(kind=FaultKind.REDIRECT), FatalError, None),
        (Fault(kind=FaultKind.SHAPELESS), FatalError, None),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
def test_each_answer_of_the_token_endpoint_has_its_error_after_one_request_and_tells_no_secret(
    sandbox: GoogleAnalyticsSandbox,
    options: GoogleSettings,
    fault: Fault,
    expected: type[ConnectorError],
    code: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox.faults.replace(fault)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConnectorError) as caught:
        credentials(options).headers()
    assert type(caught.value) is expected
    assert code is None or caught.value.code == code
    assert sandbox.requests() == {PATH: 1}
    shown = "".join([*traceback.format_exception(caught.value), repr(options), caplog.text])
    assert "\n" not in str(caught.value)
    assert not [secret for secret in sandbox.tokens.secrets() if secret in shown]


def test_an_endpoint_that_is_not_there_is_told_as_not_sent(sandbox: GoogleAnalyticsSandbox) -> None:
    options = settings(sandbox, token_uri="http://127.0.0.1:1/token")
    with pytest.raises(TransientError) as caught:
        credentials(options).headers()
    assert caught.value.code == NOT_SENT


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"token_uri": "http://example.com/token"}, "token_uri: allowed"),
        ({"token_uri": "https://user:pw@example.com/token"}, "token_uri: allowed"),
        ({"client_email": None}, "not a service account's key"),
        ({"private_key": 5}, "not a service account's key"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"},
            "not a PEM key",
        ),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_without_its_content(
    sandbox: GoogleAnalyticsSandbox, members: dict[str, Any], says: str
) -> None:
    with pytest.raises(FatalError, match=says) as caught:
        credentials(renamed(by_key(sandbox), **members)).headers()
    assert "example.com" not in str(caught.value)
    assert "c2VjcmV0" not in "".join(traceback.format_exception(caught.value))
    assert sandbox.requests() == {}


def test_an_assertion_of_another_key_or_account_gets_nothing(sandbox: GoogleAnalyticsSandbox) -> None:
    with pytest.raises(NeedsUser):
        credentials(renamed(by_key(sandbox), client_email="someone@else.example")).headers()


def test_a_rotated_key_file_is_read_for_the_next_token(
    sandbox: GoogleAnalyticsSandbox, tmp_path: Any
) -> None:
    file = tmp_path / "key.json"
    file.write_text("{}")
    options = msgspec.structs.replace(by_key(sandbox), service_account=Secret(file=file))
    made = credentials(options)
    with pytest.raises(FatalError, match="not a service account's key"):
        made.headers()
    file.write_text(sandbox.tokens.key_file(sandbox.url))
    assert made.headers()
    file.unlink()
    made.forget()
    with pytest.raises(FatalError, match="cannot be read"):
        made.headers()


def test_close_cuts_a_request_that_hangs_and_refuses_the_next(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.HANG))
    made, ended = credentials(settings(sandbox)), []

    def fetch() -> None:
        try:
            made.headers()
        except Interrupted as error:
            ended.append(error)

    fetching = threading.Thread(target=fetch)
    fetching.start()
    eventually(sandbox.requests)
    began = clock.elapsed()
    made.close()
    made.close()
    fetching.join(5)
    assert clock.elapsed() - began < 1
    assert len(ended) == 1
    with pytest.raises(Interrupted):
        made.headers()
    assert sandbox.requests() == {PATH: 1}


@pytest.mark.parametrize("missing", ["google", "google.oauth2"])
def test_without_google_auth_the_error_says_what_to_install(
    sandbox: GoogleAnalyticsSandbox, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def find_spec(name: str) -> None:
        if missing == "google":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(ConfigError, match=r"pip install 'leaderjobs\[google\]'"):
        credentials(settings(sandbox))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"client_id": Secret(literal="a")}, "belong together"),
        ({"refresh_token": Secret(literal="a"), "client_id": Secret(literal="b")}, "belong together"),
        ({"token_uri": "http://example.com/token"}, "token_uri: allowed"),
        ({"token_uri": "https://example.com/token?key=secret"}, "token_uri: allowed"),
        (
            {
                "service_account": Secret(literal="{}"),
                **{name: Secret(literal="a") for name in ("client_id", "client_secret", "refresh_token")},
            },
            "not both",
        ),
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GoogleSettings(**given)


def test_importing_it_imports_neither_google_auth_nor_requests() -> None:
    # What the code of the module names at its top; in this process both may have been imported long ago.
    assert not {"google", "requests", "cryptography"} & set(vars(google_auth))
