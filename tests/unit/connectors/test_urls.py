from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderjobs.connectors.urls import check_base_url, is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://production.plaid.com",
        "https://sandbox.plaid.com/",
        "https://10.1.2.3:8443/plaid/v2",
        "https://[2001:db8::1]",
        "http://127.0.0.1:4000",
        "http://127.9.9.9",
        "http://localhost:1",
        "http://LOCALHOST",
        "http://[::1]:80/x",
    ],
)
def test_https_anywhere_and_http_to_this_machine_are_allowed(url: str) -> None:
    check_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "plaid.com",
        "ftp://plaid.com",
        "https://",
        "https:///path",
        "http://sandbox.plaid.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://0.0.0.0",
        "http://2130706433",
        "http://0x7f.1",
        "http://[::ffff:10.0.0.1]",
        "https://user:hunter2@plaid.com",
        "https://hunter2@plaid.com",
        "https://plaid.com?key=hunter2",
        "https://plaid.com#hunter2",
        "https://plaid.com?",
        "https://plaid.com\\@evil.example",
        "https://plaid.com:0",
        "https://plaid.com:65536",
        "https://plaid.com:99999",
        "https://plaid..com",
        "https://.plaid.com",
        f"https://{'a' * 64}.com",
        f"https://{'a.' * 130}com",
        "https://plaid.com\n",
        " https://plaid.com",
        "https://pla\0id.com",
        "https://[::1",
        "https://[not-an-address]",
    ],
)
def test_everything_else_is_refused_with_what_is_allowed_and_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="base_url: allowed: ") as caught:
        check_base_url(url)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda tail: f"http://{tail}"))
def test_whatever_is_given_it_is_allowed_or_refused_by_value_error(url: str) -> None:
    with suppress(ValueError):
        check_base_url(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.1", "::1", "localhost"])
def test_loopback_is_known_without_a_name_server(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "10.0.0.1", "localhost.example"])
def test_what_could_be_elsewhere_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
