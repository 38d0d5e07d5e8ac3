from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.plaid import PlaidConnector, PlaidSettings
from leaderjobs.errors import ConfigError

GOOD: dict[str, Any] = {"client_id": "c", "secret": {"file": "/run/s"}, "access_token": {"env": "TOKEN"}}


def convert(**values: object) -> PlaidSettings:
    """As the configuration does it."""
    return msgspec.convert(GOOD | values, PlaidSettings, dec_hook=lambda kind, value: kind.parse(value))


def test_every_name_has_settings_streams_and_a_connector() -> None:
    assert registry.names() == ("plaid",)
    assert registry.settings_type("plaid") is PlaidSettings
    assert [stream.name for stream in registry.streams("plaid")] == ["accounts", "transactions"]
    connector = registry.make("plaid", "household", convert(), Paces())
    assert isinstance(connector, PlaidConnector)
    connector.close()


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'paypal' is unknown; allowed: plaid"):
        registry.settings_type("paypal")


def test_the_http_library_is_imported_only_when_a_connector_is_made() -> None:
    program = (
        "import sys; from leaderjobs.connectors import registry as r; r.settings_type('plaid'); r.streams('plaid');"
        "sys.exit('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


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
