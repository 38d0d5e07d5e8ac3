from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.plaid.connector import PlaidConnector, PlaidSettings
from leaderjobs.connectors.rest.connector import RestConnector
from leaderjobs.connectors.rest.settings import RestOperationSettings, RestSettings
from leaderjobs.connectors.stripe.connector import StripeConnector, StripeSettings
from leaderjobs.errors import ConfigError, FatalError
from leaderjobs.model.effect import Request
from leaderjobs.values import Secret

GOOD: dict[str, Any] = {"client_id": "c", "secret": {"file": "/run/s"}, "access_token": {"env": "TOKEN"}}


def convert(**values: object) -> PlaidSettings:
    """As the configuration does it."""
    return msgspec.convert(GOOD | values, PlaidSettings, dec_hook=lambda kind, value: kind.parse(value))


def test_every_name_has_settings_streams_and_a_connector() -> None:
    assert registry.names() == ("google_analytics", "plaid", "rest", "singer", "stripe", "youtube")
    assert registry.settings_type("plaid") is PlaidSettings
    streams = registry.streams("plaid", "household", convert())
    assert [stream.name for stream in streams] == ["accounts", "transactions"]
    assert registry.own_streams("plaid") == streams
    assert registry.schema("plaid", "household", convert()) == "plaid"
    connector = registry.make("plaid", "household", convert(), Paces())
    assert isinstance(connector, PlaidConnector)
    connector.close()


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'paypal' is unknown; allowed: google_analytics, plaid, rest, "):
        registry.settings_type("paypal")


@pytest.mark.parametrize("name", registry.names())
def test_settings_do_without_the_http_library(name: str) -> None:
    """The configuration is read by every command, also by those that ask nobody anything."""
    program = (
        f"import sys; from leaderjobs.connectors import registry as r; r.settings_type({name!r});"
        f"r.own_streams({name!r}); r.operation_type(); "
        "sys.exit(bool({'requests', 'google.auth', 'cryptography'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_only_rest_takes_operations_from_the_configuration() -> None:
    assert [name for name in registry.names() if registry.declares(name)] == ["rest"]
    assert registry.operation_type() is RestOperationSettings
    options = RestSettings(base_url="https://api.example.com")
    declared = RestOperationSettings(path="/a/{b}", arguments={"b": "text"}, business_key="{b}")
    made = registry.make("rest", "shop", options, Paces(), {"act": declared})
    assert isinstance(made, RestConnector)
    assert [operation.name for operation in made.operations.values()] == ["act"]
    made.close()


def test_stripe_has_operations_of_its_own_and_says_which_it_can_list() -> None:
    made = registry.make("stripe", "books", StripeSettings(api_key=Secret(literal="sk")), Paces())
    assert isinstance(made, StripeConnector)
    assert sorted(made.operations) == ["confirm_payment_intent", "create_refund", "pay_invoice"]
    assert made.reconciles == {"create_refund", "pay_invoice"}
    made.close()


def test_a_connector_without_operations_sends_none() -> None:
    made = registry.make("plaid", "household", convert(), Paces())
    assert (made.operations, made.reconciles) == ({}, frozenset())
    with pytest.raises(FatalError, match="connector plaid has no operations"):
        made.exchange(Request("GET", "/"), timeout=timedelta(seconds=1), guard=lambda: None)
    made.close()


def test_defaults_are_plaids_own() -> None:
    found = convert()
    assert found.base_url == "https://production.plaid.com"
    assert (found.page_size, found.rate_limit.count, found.days_requested) == (500, 50, None)
    assert found.timeout.total_seconds() == 30


@pytest.mark.parametrize(
    "values",
    [
        {"page_size": 1, "days_requested": 730, "timeout": "10m", "rate_limit": "1/h"},
        {"page_size": 500, "days_requested": 1, "timeout": "1ms", "base_url": "http://127.0.0.1:1"},
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(values: dict[str, Any]) -> None:
    convert(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"page_size": 0}, "page_size: allowed: 1 to 500"),
        ({"page_size": 501}, "page_size: allowed: 1 to 500"),
        ({"days_requested": 0}, "days_requested: allowed: 1 to 730"),
        ({"days_requested": 731}, "days_requested: allowed: 1 to 730"),
        ({"timeout": "0s"}, "timeout: allowed"),
        ({"timeout": "11m"}, "timeout: allowed"),
        ({"timeout": 5}, "allowed: a number and a unit"),
        ({"rate_limit": "0/min"}, "allowed: a whole number per"),
        ({"base_url": "http://plaid.com"}, "base_url: allowed"),
        ({"secret": ""}, "allowed: a non-empty string"),
        ({"page_size": "many"}, "Expected `int`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        convert(**values)


def test_settings_show_no_secret() -> None:
    shown = repr(convert(client_id="hunter2", secret="hunter3", access_token="hunter4"))
    assert "hunter" not in shown
