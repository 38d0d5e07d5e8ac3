"""The Compose files hold what they promise; Docker's own client judges them where it is installed."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from leaderjobs import config
from leaderjobs.config.urls import is_coordinator, is_database
from leaderjobs.coordination.zookeeper import SMALLEST_TICKS
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from leaderjobs.values import Duration
from tests.examples.commands import ROOT, complaint_about

COMPOSE = ROOT / "compose"
PINNED = re.compile(r"[a-z]+:\d+\.\d+[\w.-]*")
WORKERS = ("worker1", "worker2", "worker3")
SERVERS = ("zk1", "zk2", "zk3", "postgres")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """compose.yaml with its anchors and merges resolved."""
    return _load("compose.yaml")


@pytest.fixture(scope="module")
def sandbox() -> dict[str, Any]:
    """sandbox.yaml, which lies over it."""
    return _load("sandbox.yaml")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder without any secrets, to be written into."""
    made = tmp_path / "compose"
    shutil.copytree(COMPOSE, made, ignore=shutil.ignore_patterns("secrets"))
    return made


def _load(name: str) -> dict[str, Any]:
    yaml: Any = importlib.import_module("yaml")  # has no types of its own

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # as above
        """Knows the one tag of Compose that is used."""

    Loader.add_constructor("!reset", lambda _loader, _node: None)
    loaded: dict[str, Any] = yaml.load((COMPOSE / name).read_text(), Loader)
    return loaded


def _client() -> list[str] | None:
    """Docker Compose of the second generation or later, as a plugin or on its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            ran = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, check=False
            )
            if ran.returncode == 0 and int(ran.stdout.strip().lstrip("v").partition(".")[0] or 0) >= 2:
                return command
    return None


def _secrets(copy: Path, **environment: str) -> dict[str, str]:
    subprocess.run(
        [copy / "secrets.sh"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=True,
    )
    return {path.name: path.read_text() for path in (copy / "secrets").iterdir()}


@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "sandbox.yaml")], ids="+".join)
def test_docker_compose_accepts_the_files(copy: Path, files: tuple[str, ...]) -> None:
    client = _client()
    if client is None:
        pytest.skip("docker compose is not installed")
    _secrets(copy)
    options = [word for file in files for word in ("-f", str(copy / file))]

    ran = subprocess.run(
        [*client, *options, "config", "--quiet"], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_image_is_pinned(project: dict[str, Any], sandbox: dict[str, Any]) -> None:
    services = {**sandbox["services"], **project["services"]}.items()
    ours = {name for name, service in services if service["image"] == "leaderjobs:local"}
    assert ours == {*WORKERS, "migrate", "plaid"}
    assert all(
        service["build"]["dockerfile"] == "compose/Dockerfile" for name, service in services if name in ours
    )
    assert all(PINNED.fullmatch(service["image"]) for name, service in services if name not in ours)
    bases = re.findall(r"^FROM (\S+)", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(PINNED.fullmatch(base) for base in bases)


def test_what_stays_up_is_watched_and_started_again(project: dict[str, Any], sandbox: dict[str, Any]) -> None:
    staying = {**project["services"], "plaid": sandbox["services"]["plaid"]}
    assert staying.pop("migrate")["restart"] == "no"
    for name, service in staying.items():
        assert service["restart"] == "unless-stopped", name
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys(), name


def test_workers_wait_for_servers_that_serve_and_a_schema(project: dict[str, Any]) -> None:
    for name in WORKERS:
        waits = {on: how["condition"] for on, how in project["services"][name]["depends_on"].items()}
        assert waits == {
            **dict.fromkeys(SERVERS, "service_healthy"),
            "migrate": "service_completed_successfully",
        }


def test_docker_waits_longer_than_a_worker_drains(project: dict[str, Any]) -> None:
    drain = config.load(COMPOSE / "leaderjobs.toml", {}).cluster.drain_timeout
    for name in WORKERS:
        assert Duration.parse(project["services"][name]["stop_grace_period"]) > drain


def test_zookeeper_can_hold_the_session_and_tells_its_tick(project: dict[str, Any]) -> None:
    wanted = config.load(COMPOSE / "leaderjobs.toml", {}).cluster.session_timeout
    for number, name in enumerate(("zk1", "zk2", "zk3"), start=1):
        environment = project["services"][name]["environment"]
        tick = Duration.parse(f"{environment['ZOO_TICK_TIME']}ms")
        assert SMALLEST_TICKS * tick < wanted <= 20 * tick
        assert {"srvr", "conf"} <= set(environment["ZOO_4LW_COMMANDS_WHITELIST"].split(","))
        assert environment["ZOO_MY_ID"] == str(number)
        assert f"server.{number}={name}:2888:3888;2181" in environment["ZOO_SERVERS"].split()


def test_secrets_are_files_that_git_and_the_image_never_see(project: dict[str, Any]) -> None:
    assert {tuple(secret) for secret in project["secrets"].values()} == {("file",)}
    assert all(secret["file"].startswith("secrets/") for secret in project["secrets"].values())
    assert "/secrets/" in (COMPOSE / ".gitignore").read_text().splitlines()
    ignored = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not any(line.startswith("!compose") for line in ignored)


def test_no_password_is_written_down(project: dict[str, Any], sandbox: dict[str, Any]) -> None:
    for service in (*project["services"].values(), *sandbox["services"].values()):
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|CLIENT_ID", variable):
                assert value.startswith("/run/secrets/"), variable
    for path in COMPOSE.glob("*.*"):
        assert not re.search(r"://\w*:[^$@\s]+@(?!zk1)", path.read_text()), path


def test_every_service_gets_the_secrets_that_its_configuration_reads(project: dict[str, Any]) -> None:
    read = set(re.findall(r"/run/secrets/(\w+)", (COMPOSE / "leaderjobs.toml").read_text()))
    for name in WORKERS:
        assert set(project["services"][name]["secrets"]) == read
    assert set(project["services"]["migrate"]["secrets"]) == {"coordinator_url", "database_url"}
    everywhere = {secret for service in project["services"].values() for secret in service.get("secrets", ())}
    assert everywhere == set(project["secrets"])


def test_commands_are_understood(project: dict[str, Any], sandbox: dict[str, Any]) -> None:
    for name in (*WORKERS, "migrate"):
        assert complaint_about(project["services"][name]["command"]) == ""
    for name in WORKERS:
        health = project["services"][name]["healthcheck"]["test"]
        assert health[:2] == ["CMD", "leaderjobs"]
        assert complaint_about(health[2:]) == ""
        config.load(COMPOSE / "leaderjobs.toml", sandbox["services"][name]["environment"])
    plaid = sandbox["services"]["plaid"]
    assert plaid["entrypoint"][0] == "python"
    ran = subprocess.run(
        [sys.executable, *plaid["entrypoint"][1:], *plaid["command"], "--help"],
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0


def test_secrets_are_made_once_and_are_what_the_configuration_wants(copy: Path) -> None:
    made = _secrets(copy)

    assert set(made) == {Path(secret["file"]).name for secret in _load("compose.yaml")["secrets"].values()}
    assert stat.S_IMODE((copy / "secrets").stat().st_mode) == 0o700
    assert is_coordinator(made["coordinator_url"])
    assert is_database(made["database_url"])
    assert f":{made['leaderjobs_password']}@" in made["database_url"]
    assert len(made["postgres_password"]) == 48
    assert made["postgres_password"] != made["leaderjobs_password"]
    assert _secrets(copy, PLAID_CLIENT_ID="a", PLAID_SECRET="b", PLAID_ACCESS_TOKEN="c") == made


def test_plaids_secrets_come_from_the_environment_or_fit_the_stand_in(copy: Path) -> None:
    names = ("plaid_client_id", "plaid_secret", "plaid_access_token")
    given = _secrets(copy, PLAID_CLIENT_ID="a", PLAID_SECRET="b", PLAID_ACCESS_TOKEN="c")
    assert [given[name] for name in names] == ["a", "b", "c"]

    shutil.rmtree(copy / "secrets")
    made = _secrets(copy)
    arguments = _load("sandbox.yaml")["services"]["plaid"]["command"]
    seed = int(arguments[arguments.index("--seed") + 1])
    with PlaidSandbox(seed=seed) as provider:
        assert [made[name] for name in names] == [provider.client_id, provider.secret, provider.access_token]


def test_the_workers_role_is_no_superuser_and_can_migrate(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """The script that the Postgres image runs, with other names, because the server has one such database."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    (tmp_path / "composed_password").write_text("pa'ss word")
    script = (COMPOSE / "postgres" / "create-database.sh").read_text()
    script = script.replace("leaderjobs", "composed").replace("/run/secrets", str(tmp_path))
    admin = conninfo.conninfo_to_dict(own_postgres.url)
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": str(admin["host"]),
        "PGPORT": str(admin["port"]),
        "PGPASSWORD": str(admin.get("password", "")),
    }
    subprocess.run(["sh", "-c", script], env=environment, check=True)

    url = f"postgresql://composed:pa%27ss%20word@{admin['host']}:{admin['port']}/composed"
    database = Database(url, application="test")
    try:
        assert Migrations(database).apply()
    finally:
        database.close()
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert found == (False,)
