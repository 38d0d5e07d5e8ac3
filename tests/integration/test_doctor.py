"""`leaderjobs doctor` against the real servers, with each assumption broken for real."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from psycopg import sql

from leaderjobs import app, config
from leaderjobs.coordination import zookeeper_doctor
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.engine import doctor_database
from leaderjobs.engine.doctor_database import DatabaseChecks
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.finding import Examination, Finding
from leaderjobs.store import doctor as looks_module
from leaderjobs.store.doctor import DatabaseLooks, Server
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from tests.pgbouncer import PgBouncer
from tests.support import free_port
from tests.support_proxy import TcpProxy

SECRETS = ("open-sesame", "s3cr3t-of-plaid")
# The shared server writes nothing through, and nobody leads.
HARMLESS = {"database.durability", "cluster.members"}


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database for all of them; who changes something in it puts it back."""
    with closing(psycopg.connect(postgres_server.url, autocommit=True)) as connection:
        connection.execute("CREATE DATABASE examined")
        found = postgres_server.url_of("examined")
        with closing(Database(found, application="test")) as database:
            Migrations(database).apply()
        yield found
        connection.execute("DROP DATABASE examined WITH (FORCE)")


@pytest.fixture
def write(tmp_path: Path, zookeeper_server: ZooKeeperServer, url: str) -> Callable[..., Examination]:
    """Examine by a file of mode 0600; what is given takes the place of what is right."""

    def examined(
        *, coordinator: str = "", database: str = "", more: str = "", mode: int = 0o600
    ) -> Examination:
        root = f"zookeeper://ann:{SECRETS[0]}@{{}}/doctor-{secrets.token_hex(8)}"
        path = tmp_path / "leaderjobs.toml"
        path.write_text(
            f"""
            [cluster]
            coordinator = "{root.format(coordinator or zookeeper_server.address)}"
            database = "{database or url}"
            state_directory = "{tmp_path}"
            [connections.household]
            connector = "plaid"
            client_id = "c-of-plaid"
            secret = "{SECRETS[1]}"
            access_token = "t-of-plaid"
            {more}
            """
        )
        path.chmod(mode)
        return app.doctor(config.load(path, {}))

    return examined


def wrong(found: Examination) -> dict[str, str]:
    return {each.check: each.verdict.value for each in found.findings if each.verdict.value != "ok"}


def only(found: Examination, check: str) -> Finding:
    (finding,) = [each for each in found.findings if each.check == check]
    return finding


# -- all of it ---------------------------------------------------------------------------------------------


def test_a_good_set_has_nothing_to_complain_of(write: Callable[..., Examination], url: str) -> None:
    found = write()
    assert wrong(found) == dict.fromkeys(HARMLESS, "warning")
    assert not found.failed
    assert len({each.check for each in found.findings}) == 30
    shown = msgspec.json.encode(found).decode()
    for secret in (*SECRETS, "t-of-plaid", str(urlsplit(url).password)):
        assert secret not in shown
    assert json.loads(shown)["cluster"] == "leaderjobs"


def test_servers_that_are_away_are_told_once_and_hide_nothing_else(
    write: Callable[..., Examination], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zookeeper_doctor, "CONNECT_PATIENCE", timedelta(seconds=1))
    parts = urlsplit(url)
    gone = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{free_port()}/acme"
    found = write(coordinator=f"127.0.0.1:{free_port()}", database=gone)
    failures = {each.check for each in found.findings if each.verdict.value == "failed"}
    assert failures == {"coordinator.reachable", "coordinator.servers", "database.reachable"}
    assert only(found, "database.schema").message == "needs database.reachable"
    assert only(found, "cluster.connections").verdict.value == "skipped"
    assert only(found, "machine.secrets").verdict.value == "ok"
    shown = str(found)
    assert not any(secret in shown for secret in (*SECRETS, str(parts.password)))


def test_a_secret_that_a_server_repeats_is_hidden(
    write: Callable[..., Examination], monkeypatch: pytest.MonkeyPatch
) -> None:
    def indiscreet(_looks: DatabaseLooks) -> Server:
        raise StoreUnavailable(f"{SECRETS[1]} is no user")

    monkeypatch.setattr(DatabaseLooks, "server", indiscreet)
    message = only(write(), "database.reachable").message
    assert message.endswith("is no user")
    assert SECRETS[1] not in message


def test_what_the_file_says_is_looked_at(write: Callable[..., Examination], tmp_path: Path) -> None:
    found = write(
        mode=0o644,
        more=f"""
        [connections.other]
        connector = "plaid"
        client_id = "c"
        secret = {{ file = "{tmp_path}/missing" }}
        access_token = {{ env = "LEADERJOBS_TEST_NOT_SET" }}
        """,
    )
    config_file = only(found, "machine.config_file")
    assert config_file.verdict.value == "warning"
    assert "cluster.coordinator, cluster.database, connections.household" in config_file.message
    unreadable = [each.message for each in found.findings if each.check == "machine.secrets"]
    assert [message.partition(":")[0] for message in unreadable] == [
        "connections.other.secret",
        "connections.other.access_token",
    ]


def test_without_the_url_s_secret_everything_else_is_still_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        '[cluster]\ncoordinator = "zookeeper://127.0.0.1:1/a"\ndatabase = { env = "LEADERJOBS_TEST_NOT_SET" }\n'
        f'state_directory = "{tmp_path}"\n'
    )
    found = app.doctor(config.load(path, {}))
    assert only(found, "servers").verdict.value == "failed"
    assert only(found, "machine.state_directory").verdict.value == "ok"


# -- Postgres ----------------------------------------------------------------------------------------------


@contextmanager
def checks(url: str, tables: tuple[str, ...] = ()) -> Iterator[Callable[[str], list[Finding]]]:
    with closing(Database(url, application="leaderjobs doctor")) as database:
        made = DatabaseChecks(DatabaseLooks(database), Migrations(database), tables)
        by_name = {check.name: check for check in made.checks()}
        yield lambda name: list(by_name[f"database.{name}"].look())


def one(findings: list[Finding]) -> tuple[str, str, str]:
    (found,) = findings
    return found.verdict.value, found.message, found.remedy


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def role(
    url: str, admin: psycopg.Connection[tuple[object, ...]], postgres_server: PostgresServer
) -> Iterator[str]:
    """A role that may do nothing yet; its URL."""
    name = f"sync_{secrets.token_hex(4)}"
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'open-sesame'").format(sql.Identifier(name)))
    yield f"postgresql://{name}:open-sesame@{postgres_server.address}{urlsplit(url).path}"
    admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def user_of(url: str) -> str:
    return str(urlsplit(url).username)


def test_a_schema_that_is_behind_or_ahead(database_url: str) -> None:
    with checks(database_url) as look:
        verdict, message, remedy = one(look("schema"))
        assert (verdict, remedy) == ("failed", "leaderjobs migrate")
        assert "the database's schema is at 0" in message
    with closing(Database(database_url, application="test")) as database:
        Migrations(database).apply()
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute("INSERT INTO leaderjobs.schema_versions VALUES (999, 'later', true)")
    with checks(database_url) as look:
        assert one(look("schema"))[2] == "install the newer leaderjobs here"


def test_rights_that_are_missing_are_named_with_the_grant(
    role: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    name = sql.Identifier(user_of(role))
    with checks(role, ("plaid.accounts",)) as look:
        assert (
            one(look("rights"))[2]
            == f"as its owner: grant usage, create on schema leaderjobs to {user_of(role)}"
        )
        admin.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA leaderjobs TO {}").format(name))
        verdict, message, remedy = one(look("rights"))
        assert (verdict, message) == (
            "failed",
            f"schema plaid is not there, and {user_of(role)} may not make it",
        )
        assert remedy == f"as its owner: create schema plaid authorization {user_of(role)}"
        admin.execute(sql.SQL("CREATE SCHEMA plaid AUTHORIZATION {}").format(name))
        verdict, message, remedy = one(look("rights"))
        assert verdict == "failed"
        assert "may not read and write leaderjobs." in message
        assert remedy.startswith("grant postgres to")
        admin.execute(
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leaderjobs TO {}").format(
                name
            )
        )
        verdict, message, _ = one(look("rights"))
        assert (verdict, "may not change the columns of leaderjobs." in message) == ("warning", True)
        admin.execute(sql.SQL("GRANT postgres TO {}").format(name))
        assert one(look("rights"))[0] == "ok"


def test_members_of_another_role_could_not_be_ended(
    role: str, url: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    with checks(role) as look, closing(psycopg.connect(url, application_name="leaderjobs acme a")):
        verdict, message, remedy = one(look("take_over"))
        assert (verdict, remedy.startswith("grant pg_signal_backend to")) == ("failed", True)
        assert message.startswith("members work as postgres too")
        admin.execute(sql.SQL("GRANT pg_signal_backend TO {}").format(sql.Identifier(user_of(role))))
        assert one(look("take_over"))[0] == "ok"


def test_settings_of_the_role_that_hurt_are_named_with_their_reset(
    role: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    for setting, value in (
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "500ms"),
        ("idle_session_timeout", "1h"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("synchronous_commit", "off"),
    ):
        command = sql.SQL("ALTER ROLE {} SET {} = {}")
        admin.execute(
            command.format(sql.Identifier(user_of(role)), sql.Identifier(setting), sql.Literal(value))
        )
    with checks(role) as look:
        shown = [each.message.partition(" cuts")[0] for each in look("timeouts")]
        assert shown == [
            "statement_timeout = 30 s (user)",
            "idle_in_transaction_session_timeout = 0.5 s (user)",
            "idle_session_timeout = 3600 s (user)",
        ]
        assert look("timeouts")[0].remedy.startswith("alter role ... reset statement_timeout")
        assert one(look("isolation"))[0] == "warning"
        assert one(look("writable"))[0] == "warning"
        assert any("synchronous_commit is off (user)" in each.message for each in look("durability"))


class Deaf(TcpProxy):
    """Hands everything on but notifications, as a pooler in transaction mode does."""

    def _passed(self, piece: bytes, *, answers: bool) -> bytes:
        # A message of its own: kind, length, process, channel, payload.
        told = answers and piece[:1] == b"A" and int.from_bytes(piece[1:5]) == len(piece) - 1
        return b"" if told else piece


def test_notifications_that_something_swallows(
    url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_module, "NOTICE_PATIENCE", timedelta(seconds=0.3))
    with (
        Deaf("127.0.0.1", postgres_server.port) as proxy,
        checks(url.replace(postgres_server.address, proxy.address)) as look,
    ):
        verdict, message, remedy = one(look("notify"))
    assert (verdict, "found by polling" in message) == ("warning", True)
    assert "session mode" in remedy


class Pooler(TcpProxy):
    """Greets with a process of its own, as every pooler does."""

    def _passed(self, piece: bytes, *, answers: bool) -> bytes:
        # BackendKeyData: kind K, length 12, process, key; it comes once, among the parameters.
        at = piece.find(b"K\0\0\0\x0c") if answers else -1
        return piece if at < 0 else piece[: at + 5] + b"\0\0\0\x07" + piece[at + 9 :]


def test_a_pooler_in_between_is_known_by_its_greeting(url: str, postgres_server: PostgresServer) -> None:
    with (
        Pooler("127.0.0.1", postgres_server.port) as proxy,
        checks(url.replace(postgres_server.address, proxy.address)) as look,
    ):
        assert one(look("pooler"))[:2] == ("ok", "a pooler stands in between, by the session")
        assert one(look("take_over"))[0] == "skipped"
        assert one(look("notify"))[0] == "ok"


def test_a_pooler_that_shares_connections_by_the_transaction(
    url: str, postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_module, "NOTICE_PATIENCE", timedelta(seconds=0.3))
    pooler = PgBouncer(tmp_path, postgres_server.url)
    try:
        pooler.start()
        with checks(pooler.url_of("examined")) as look:
            verdict, message, _ = one(look("pooler"))
            assert (verdict, "shares connections by the transaction" in message) == ("warning", True)
            assert one(look("notify"))[0] == "warning"
            assert one(look("take_over"))[0] == "skipped"
            assert one(look("schema"))[0] == one(look("rights"))[0] == "ok"
    finally:
        pooler.stop()


def test_a_transaction_that_stays_open_is_named(
    url: str, admin: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_database, "OLD", timedelta(0))
    with closing(psycopg.connect(url, application_name="report")) as reading, checks(url) as look:
        reading.execute("SELECT pg_current_xact_id()")
        verdict, message, remedy = one(look("old_transactions"))
        assert verdict == "warning"
        assert message.startswith(f"pid {reading.info.backend_pid} (postgres report) has been open for 0 min")
        assert "pg_terminate_backend" in remedy
        reading.rollback()
        assert one(look("old_transactions"))[0] == "ok"


def test_a_table_that_is_never_vacuumed_is_named(
    url: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    admin.execute("ALTER TABLE leaderjobs.jobs SET (autovacuum_enabled = off)")
    with checks(url) as look:
        verdict, _, remedy = one(look("autovacuum"))
        assert (verdict, remedy) == ("warning", "alter table leaderjobs.jobs reset (autovacuum_enabled)")
        admin.execute(sql.SQL("ALTER TABLE leaderjobs.jobs RESET (autovacuum_enabled)"))
        assert one(look("autovacuum"))[0] == "ok"
