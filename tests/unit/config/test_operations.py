"""`[operations.CONNECTION.NAME]`: what is declared is checked whole, and a complaint names line, key and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderjobs import config
from leaderjobs.connectors.rest.settings import RestOperationSettings
from leaderjobs.errors import ConfigError

GOOD = """\
[connections.orders]
connector = "rest"
base_url = "https://api.example.com"
headers = { Authorization = "Bearer hunter2-never-shown" }

[connections.billing]
connector = "stripe"
api_key = "hunter2-never-shown"

[operations.orders.create_order]
path = "/orders"
arguments = { order = "text" }
business_key = "order:{order}"

[operations.orders.create_order.look_up]
path = "/orders"
parameters = { reference = "{order}" }
match = { reference = "{order}" }
"""


def load(tmp_path: Path, text: str) -> config.Settings:
    file = tmp_path / "leaderjobs.toml"
    file.write_text(text)
    file.chmod(0o600)
    return config.load(file, {})


def test_operations_are_read_with_their_connection(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)

    declared = settings.connections["orders"].operations["create_order"]
    assert isinstance(declared, RestOperationSettings)
    assert declared.look_up is not None
    assert declared.look_up.match == {"reference": "{order}"}
    assert settings.connections["billing"].operations == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'path = "/orders"\narg',
            'path = "orders"\narg',
            'operations.orders.create_order.path = "orders": allowed: a path',
        ),
        (
            'path = "/orders"\npar',
            "path = 7\npar",
            "operations.orders.create_order.look_up.path = 7: allowed: a string",
        ),
        ("match = {", "matches = {", "look_up.matches: unknown key; did you mean match?"),
        ("business_key =", "key =", "operations.orders.create_order.key: unknown key"),
        (
            "[operations.orders.create_order]",
            '[operations.orders."create.order"]',
            "bad name; allowed: 1 to 64 letters",
        ),
        (
            "[operations.orders.",
            "[operations.billing.",
            "operations.billing: not a connection that takes operations; allowed: orders",
        ),
        ("[operations.orders.", "[operations.nobody.", "allowed: orders"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, GOOD.replace(old, new))

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_sync_needs_a_connection_with_streams(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed: a connection with streams: "):
        load(tmp_path, GOOD + '[syncs.orders]\nconnection = "orders"\n')


def test_a_literal_secret_in_a_table_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "leaderjobs.toml"
    file.write_text(GOOD)
    file.chmod(0o644)

    (warning,) = config.load(file, {}).warnings

    assert "connections.orders.headers is a literal secret" in warning
