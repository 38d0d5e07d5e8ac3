"""A URL in a message keeps everything but its password."""

from __future__ import annotations

import pytest

from leaderjobs.values import hide_passwords


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://ann:word@db/acme", "postgresql://ann:***@db/acme"),
        ("at postgresql://ann:w:o@r/d@db/acme, and", "at postgresql://ann:***@db/acme, and"),
        ("zookeeper://:word@a:2181,b:2181", "zookeeper://:***@a:2181,b:2181"),
        ("x://a:b@c x://d:e@f", "x://a:***@c x://d:***@f"),
        ("postgresql://db/x?a=b&password=word&c=d", "postgresql://db/x?a=b&password=***&c=d"),
        ("https://host:443/path", "https://host:443/path"),
        ("mail ann@host: hello", "mail ann@host: hello"),
    ],
)
def test_password_is_replaced(text: str, hidden: str) -> None:
    assert hide_passwords(text) == hidden
