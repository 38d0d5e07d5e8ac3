"""What a Singer connection takes, and the tap's own configuration made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.singer.settings import Configuration, SingerSettings
from leaderjobs.errors import ConfigError
from leaderjobs.model.stream import CursorKind
from leaderjobs.values import Secret

TOML = """
[connections.crm]
connector = "singer"
command = ["/opt/tap-shop/bin/python", "-m", "tap_shop"]
streams = ["orders", "customers"]
also_select = ["shops"]
config = { start_date = 2026-01-01T00:00:00Z, auth = { user = "ann" } }
secrets = { api_key = { env = "SHOP_KEY" }, "auth.password" = "hunter2" }

[connections.crm.select.orders]
fields = ["id", "amount"]
replication_method = "FULL_TABLE"

[syncs.shop]
connection = "crm"
"""


def load(folder: Path, text: str, **variables: str) -> config.Settings:
    path = folder / "leaderjobs.toml"
    path.write_text(text)
    path.chmod(0o600)
    return config.load(path, variables)


def settings(**other: Any) -> SingerSettings:
    return SingerSettings(**({"command": "/opt/tap", "streams": ("orders",)} | other))


def test_the_file_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "k3y")
    found = load(tmp_path, TOML, LEADERJOBS_CONNECTIONS_CRM_PAGE_SIZE="100")
    connection = found.connections["crm"]
    made = registry.make("singer", "crm", connection.options, Paces())
    assert found.syncs["shop"].streams == ("orders", "customers")
    assert [(stream.name, stream.cursor) for stream in made.streams] == [
        ("orders", CursorKind.FULL),
        ("customers", CursorKind.NEWER),
    ]
    assert made.schema == "crm"
    assert isinstance(connection.options, SingerSettings)
    assert connection.options.page_size == 100
    assert connection.options.tap == "python"
    assert json.loads(Configuration(connection.options).body) == {
        "start_date": "2026-01-01T00:00:00Z",
        "auth": {"user": "ann", "password": "hunter2"},
        "api_key": "k3y",
    }
    # The settings are what they were: the next run reads its secrets anew.
    assert "hunter2" not in repr(connection.options)
    assert connection.options.config["auth"] == {"user": "ann"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('command = ["/opt', 'command = ["opt', "command = .*: allowed: the absolute path of the tap's executable"),
        ("command = [", "commands = [", "unknown key; did you mean command?"),
        ('streams = ["orders", "customers"]', "streams = []", "streams = .*: allowed: a non-empty list"),
        ('["orders", "customers"]', '["orders", "orders"]', "streams = .*: allowed: names of streams, each once"),
        ("select.orders]", "select.order]", "allowed: tables named like the streams: orders, customers"),
        ('"FULL_TABLE"', '"ALL"', 'replication_method = "ALL": allowed: "FULL_TABLE", "INCREMENTAL"'),
        ('fields = ["id"', 'field = ["id"', "select.orders.field: unknown key"),
        ('also_select = ["shops"]', 'also_select = ["orders"]', "also_select = .*: allowed: streams that are not"),
        ("streams = [", "page_size = 0\nstreams = [", "page_size = 0: allowed: 1 to 100000"),
        ("streams = [", 'timeout = "2d"\nstreams = [', "timeout = .*: allowed: more than"),
        ("streams = [", 'catalog = "x.json"\nstreams = [', "catalog = .*: allowed: the absolute path"),
        ("streams = [", 'schema = ""\nstreams = [', "schema = .*: allowed: 1 to 63 bytes"),
        ("api_key =", "start_date =", "secrets = .*: allowed: names of members that config does not have"),
        ('"auth.password"', '"start_date.x"', "secrets = .*'start_date' is no table"),
        ('"auth.password"', '"auth."', "secrets = .*: allowed: names of members"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_what_is(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in TOML
    with pytest.raises(ConfigError, match=sentence) as caught:
        load(tmp_path, TOML.replace(old, new))
    assert "hunter2" not in str(caught.value)


def test_a_stream_whose_view_would_have_too_long_a_name_is_refused() -> None:
    settings(streams=("x" * 55,))
    with pytest.raises(ValueError, match="of at most 55 bytes"):
        settings(streams=("x" * 56,))


@pytest.mark.parametrize(
    "secret", ["hunter2", 'quo"te\\d', "sp ace&more/", "ümlaut", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n"]
)
def test_a_secret_is_hidden_however_it_is_spelt(secret: str) -> None:
    made = Configuration(
        settings(secrets={"key": Secret(literal=secret), "other": Secret(literal=secret + "-and-more")})
    )
    spelt = [secret, json.dumps({"k": secret}), json.dumps([secret], ensure_ascii=False), repr({"k": secret})]
    shown = made.hide(
        "\n".join([*spelt, "https://x/?key=" + __import__("urllib.parse").parse.quote(secret, safe="")])
    )
    for word in (secret.strip().splitlines()[-1], "hunter", "MIIE"):
        assert word not in shown or word not in secret
    assert shown.count("***") >= 5
    assert made.hide(f"{secret}-and-more") == "***"


def test_without_secrets_nothing_is_hidden() -> None:
    assert Configuration(settings()).hide("every word") == "every word"
