"""The environment wins over the file, and a variable that fits nothing is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs.config import Settings, load
from leaderjobs.config.decode import fields_of
from leaderjobs.config.environment import variable_of
from leaderjobs.config.settings import ClusterSettings
from leaderjobs.connectors import registry
from leaderjobs.errors import ConfigError
from leaderjobs.values import Secret
from tests.configurations import GOOD, SECRET

LoadText = Callable[..., Settings]
Complaint = Callable[..., str]
TEXTS = {
    "name": "b",
    "coordinator": "zookeeper://b",
    "database": "postgresql://b",
    "session_timeout": "11s",
    "concurrency": "11",
    "max_lag": "11s",
    "drain_timeout": "11s",
    "state_directory": "/b",
    "connector": "plaid",
    "client_id": "b",
    "secret": "b",
    "access_token": "b",
    "base_url": "https://b",
    "page_size": "11",
    "rate_limit": "11/h",
    "days_requested": "11",
    "timeout": "11s",
    "connection": "household",
    "streams": "accounts",
    "max_attempts": "11",
}


def test_every_setting_can_come_from_the_environment(load_text: LoadText) -> None:
    keys: list[tuple[str, ...]] = [("cluster", field.key) for field in fields_of(ClusterSettings)]
    keys += [("connections", "household", field.key) for field in fields_of(registry.settings_type("plaid"))]
    keys += [("connections", "household", "connector")]
    keys += [("syncs", "household", key) for key in ("connection", "streams", "max_attempts")]

    settings = load_text(GOOD, {variable_of(key): TEXTS[key[-1]] for key in keys})

    before = load_text(GOOD)
    for key in keys:
        now, then = _value(settings, key), _value(before, key)
        assert key[-1] in {"connector", "connection"} or now != then, key
    assert settings.cluster.max_lag == timedelta(seconds=11)
    assert settings.cluster.database == Secret(literal="postgresql://b")
    assert settings.syncs["household"].streams == ("accounts",)


def test_empty_variable_counts_as_unset(load_text: LoadText) -> None:
    assert load_text(GOOD, {"LEADERJOBS_CLUSTER_NAME": ""}).cluster.name == "acme"


def test_missing_key_may_come_from_the_environment(load_text: LoadText) -> None:
    text = GOOD.replace('connector = "plaid"', "").replace("access_token", "#")

    settings = load_text(
        text,
        {
            "LEADERJOBS_CONNECTIONS_HOUSEHOLD_CONNECTOR": "plaid",
            "LEADERJOBS_CONNECTIONS_HOUSEHOLD_ACCESS_TOKEN": SECRET,
        },
    )

    assert getattr(settings.connections["household"].options, "access_token", None) == Secret(literal=SECRET)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        (
            "LEADERJOBS_CLUSTER_CONCURRENCY",
            "0",
            'LEADERJOBS_CLUSTER_CONCURRENCY = "0": allowed: a whole number from 1',
        ),
        ("LEADERJOBS_CLUSTER_CONCURRENCY", "9" * 5000, 'LEADERJOBS_CLUSTER_CONCURRENCY = "999'),
        ("LEADERJOBS_CLUSTER_NAME", "a\nb", 'LEADERJOBS_CLUSTER_NAME = "a\\nb": allowed: 1 to 64'),
        (
            "LEADERJOBS_CLUSTER_DATABASE",
            f"mysql://a:{SECRET}@b",
            'LEADERJOBS_CLUSTER_DATABASE = "mysql://a:***@b": all',
        ),
        (
            "LEADERJOBS_CLUSTER_NAMES",
            "",
            "LEADERJOBS_CLUSTER_NAMES: no such setting; did you mean LEADERJOBS_CLUSTER_N",
        ),
        ("LEADERJOBS_SYNCS_OTHER_STREAMS", "a", "LEADERJOBS_SYNCS_OTHER_STREAMS: no such setting"),
        (
            "LEADERJOBS_SYNCS_HOUSEHOLD_STREAMS",
            "a,b",
            'LEADERJOBS_SYNCS_HOUSEHOLD_STREAMS = ["a", "b"]: allowed: strea',
        ),
        (
            "LEADERJOBS_CONNECTIONS_HOUSEHOLD_PAGE_SIZE",
            "0",
            'LEADERJOBS_CONNECTIONS_HOUSEHOLD_PAGE_SIZE = "0": allowe',
        ),
        (
            "LEADERJOBS_CONNECTIONS_HOUSEHOLD_CONNECTOR",
            "x",
            'LEADERJOBS_CONNECTIONS_HOUSEHOLD_CONNECTOR = "x": allow',
        ),
    ],
)
def test_bad_variable_is_refused_by_name(
    complaint: Complaint, variable: str, text: str, expected: str
) -> None:
    message = complaint("acme", "acme", {variable: text})

    assert message.startswith(expected)
    assert message.isprintable()
    assert SECRET not in message


def test_variable_that_fits_two_names_is_refused(load_text: LoadText) -> None:
    text = GOOD + '[syncs."a.b"]\nconnection = "household"\n[syncs.a-b]\nconnection = "household"\n'

    assert set(load_text(text).syncs) == {"household", "a.b", "a-b"}
    with pytest.raises(
        ConfigError, match=r"^LEADERJOBS_SYNCS_A_B_STREAMS: ambiguous, it names syncs\.a\.b\.streams and"
    ):
        load_text(text, {"LEADERJOBS_SYNCS_A_B_STREAMS": "accounts"})


def test_other_variables_of_ours_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert load(None, {"LEADERJOBS_LOG_FORMAT": "json", "LEADERJOBS_CONFIG": ""}) == Settings()


def _value(settings: Settings, key: tuple[str, ...]) -> object:
    match key:
        case ("cluster", name):
            return getattr(settings.cluster, name)
        case ("connections", name, "connector"):
            return settings.connections[name].connector
        case ("connections", name, option):
            return getattr(settings.connections[name].options, option)
        case ("syncs", name, option):
            return getattr(settings.syncs[name], option)
        case _:
            raise AssertionError(key)
