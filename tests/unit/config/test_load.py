"""What a good configuration means, and what is said of a bad one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs.config import Settings, coordinator_url, database_url, load
from leaderjobs.errors import ConfigError
from leaderjobs.values import Secret
from tests.configurations import GOOD, SECRET

LoadText = Callable[..., Settings]
Complaint = Callable[..., str]


def test_every_value_of_the_file_is_read(load_text: LoadText) -> None:
    settings = load_text(GOOD)

    assert settings.cluster.name == "acme"
    assert settings.cluster.session_timeout == timedelta(seconds=15)
    assert settings.cluster.concurrency == 9
    assert settings.connections["household"].connector == "plaid"
    options = settings.connections["household"].options
    assert getattr(options, "secret", None) == Secret(file=Path("/run/secrets/plaid"))
    assert settings.syncs["household"].streams == ("accounts", "transactions")
    assert settings.syncs["household"].max_attempts == 3
    assert settings.warnings == ()
    assert SECRET not in repr(settings)


def test_what_is_left_out_has_its_default(load_text: LoadText) -> None:
    settings = load_text(GOOD.replace('streams = ["accounts", "transactions"]', ""))

    assert settings.cluster.max_lag == timedelta(seconds=10)
    assert settings.cluster.drain_timeout == timedelta(seconds=30)
    assert settings.syncs["household"].streams == ("accounts", "transactions")


def test_without_a_file_everything_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert load(None, {}) == Settings()


@pytest.mark.parametrize("chosen", ["option", "variable", "here", "user"])
def test_the_file_is_the_nearest_that_was_named_or_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    places = {
        "user": tmp_path / "config" / "leaderjobs" / "leaderjobs.toml",
        "here": tmp_path / "leaderjobs.toml",
        "variable": tmp_path / "variable.toml",
        "option": tmp_path / "option.toml",
    }
    for name, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'cluster.name = "{name}"\n')
        if name == chosen:
            break
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    environ = {"LEADERJOBS_CONFIG": str(places["variable"])} if places["variable"].exists() else {}

    settings = load(places["option"] if places["option"].exists() else None, environ)

    assert settings.cluster.name == chosen


COMPLAINTS = [
    ("= 9", "= 0", ":6: cluster.concurrency = 0: allowed: a whole number from 1 to 1024"),
    ("= 9", "= 9.0", ":6: cluster.concurrency = 9.0: allowed: a whole number"),
    ("= 9", "= nan", ":6: cluster.concurrency = nan: allowed: a whole number"),
    ("= 9", "= true", ":6: cluster.concurrency = true: allowed: a whole number"),
    ("= 9", "= 1979-05-27", ":6: cluster.concurrency = 1979-05-27: allowed: a whole number"),
    ("= 9", "= [[1]]", ":6: cluster.concurrency = a list: allowed: a whole number"),
    ("= 9", "= 9\nconcurrency = 8", ":7: not TOML: Cannot overwrite a value"),
    ("= 9", "= " + "9" * 5000, ": holds a number of too many digits"),
    ("= 9", "= " + "[" * 5000, ": nested too deeply"),
    ("= 9", "= 9\n" + "a." * 500 + "a = 1", ":7: a key of more than 64 parts"),
    (
        "concurrency",
        "concurency",
        ":6: cluster.concurency: unknown key; did you mean concurrency? allowed: name",
    ),
    ('"acme"', '"ac me"', ':2: cluster.name = "ac me": allowed: 1 to 64 letters, digits'),
    ('"acme"', '"acme\\n"', ':2: cluster.name = "acme\\n": allowed: 1 to 64 letters, digits'),
    ('"acme"', '"ac\0me"', ":2: not TOML: Illegal character '\\x00'"),
    ('"15s"', "15", ':5: cluster.session_timeout = 15: allowed: a duration from "1s" to "10m"'),
    ('"15s"', '"0.5s"', ':5: cluster.session_timeout = "0.5s": allowed: a duration from "1s" to "10m"'),
    (
        "zookeeper:",
        "etcd:",
        ':3: cluster.coordinator = "etcd://zk1:2181,zk2:2181,zk3:2181/leaderjobs": allowed: z',
    ),
    ("zk1:2181", "zk1:0", ":3: cluster.coordinator = "),
    ("/leaderjobs", "/a//b", ":3: cluster.coordinator = "),
    (
        "postgresql:",
        "mysql:",
        ':4: cluster.database = "mysql://leaderjobs:***@db/acme": allowed: postgresql://',
    ),
    ("postgresql:", "postgresql", ":4: cluster.database = ***: allowed: postgresql://"),
    ("@db/", "@db:x/", ":4: cluster.database = ***: allowed: postgresql://"),
    (
        "{ env =",
        "{ envy =",
        ':11: connections.household.client_id = ***: allowed: a non-empty string, { env = "NAME"',
    ),
    ('{ file = "', '{ file = "~no-such-user/', ":12: connections.household.secret = ***: allowed: a path"),
    (
        f'"{SECRET}"\n',
        f'["{SECRET}"]\n',
        ":13: connections.household.access_token = ***: allowed: a non-empty",
    ),
    ("client_id", "client_di", ":11: connections.household.client_di: unknown key; did you mean client_id?"),
    ("access_token", "#", ":8: connections.household: access_token is missing; allowed: a non-empty string"),
    ("= 100", "= 501", ":14: connections.household.page_size = 501: allowed: "),
    (
        "https://sandbox",
        "http://sandbox",
        ':10: connections.household.base_url = "http://sandbox.plaid.com": allowed',
    ),
    ('"plaid"', '"paid"', ':9: connections.household.connector = "paid": allowed: "google_'),
    ("connector =", "#", ':8: connections.household: connector is missing; allowed: "google_'),
    ("connection =", "#", ":16: syncs.household: connection is missing; allowed: 1 to 64"),
    ('"household"', '"house"', ':17: syncs.household.connection = "house": allowed: a connection: household'),
    (
        '"transactions"]',
        '"trans"]',
        ':18: syncs.household.streams = ["accounts", "trans"]: allowed: streams of',
    ),
    (
        '"transactions"]',
        '"accounts"]',
        ':18: syncs.household.streams = ["accounts", "accounts"]: allowed: each',
    ),
    (
        '["accounts", "transactions"]',
        "[]",
        ":18: syncs.household.streams = []: allowed: a non-empty list of strings",
    ),
    ("[syncs.household]", '[syncs."a\\nb"]', ":16: syncs.a\\nb: bad name; allowed: 1 to 64"),
    (
        "[syncs.household]",
        "[sync.household]",
        ":16: sync: unknown key; did you mean syncs? allowed: cluster, conn",
    ),
    ("[connections.household]", "[connections]", ":9: connections.connector: not a table"),
    ("[cluster]", "[cluster", ":1: not TOML: "),
]


@pytest.mark.parametrize(("old", "new", "expected"), COMPLAINTS)
def test_bad_value_is_refused_with_its_line_and_what_is_allowed(
    complaint: Complaint, old: str, new: str, expected: str
) -> None:
    message = complaint(old, new)

    assert message.startswith(f"leaderjobs.toml{expected}")
    assert message.isprintable()
    assert SECRET not in message


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/: cannot be read: Is a directory"),
        ("/no/such/file", "/no/such/file: cannot be read: No such file or directory"),
        ("/dev/zero", "/dev/zero: larger than 1048576 bytes"),
        ("a\0b", "a\\x00b: cannot be read: a path may not hold a NUL"),
        ("/no\n/file", "/no\\n/file: cannot be read"),
        ("/" + "a" * 5000, "/aaaa"),
    ],
)
def test_unreadable_file_is_refused(path: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(Path(path), {})

    assert str(raised.value).startswith(expected)
    assert str(raised.value).isprintable()


def test_file_that_is_no_text_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"# fine\nname = '\xff'\n")

    with pytest.raises(ConfigError, match=r"a\.toml:2: not UTF-8 text"):
        load(tmp_path / "a.toml", {})


def test_windows_text_is_read(load_text: LoadText) -> None:
    assert load_text("\ufeff" + GOOD.replace("\n", "\r\n")).cluster.name == "acme"


def test_literal_secret_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(GOOD)
    path.chmod(0o644)

    [warning] = load(path, {}).warnings

    assert warning == (
        f"{path}:4: cluster.database is a literal secret in a file that everybody may read; run: chmod 600 {path}"
    )


def test_open_file_without_literal_secrets_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(GOOD.replace(f":{SECRET}@", "@").replace(f'"{SECRET}"', '{ env = "TOKEN" }'))
    path.chmod(0o644)

    assert load(path, {}).warnings == ()


def test_url_behind_a_variable_is_checked_when_it_is_used(
    load_text: LoadText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_DATABASE", f"mysql://ann:{SECRET}@db/acme")
    settings = load_text('[cluster]\ndatabase = { env = "THE_DATABASE" }\n')

    with pytest.raises(ConfigError) as raised:
        database_url(settings.cluster)

    assert coordinator_url(settings.cluster) is None
    assert str(raised.value).startswith(
        'cluster.database (from environment variable THE_DATABASE) = "mysql://ann:***@db/acme": allowed: postgresql'
    )


def test_url_that_is_used_comes_back_whole(load_text: LoadText) -> None:
    settings = load_text(GOOD)

    assert database_url(settings.cluster) == f"postgresql://leaderjobs:{SECRET}@db/acme"
    assert coordinator_url(settings.cluster) == "zookeeper://zk1:2181,zk2:2181,zk3:2181/leaderjobs"
