"""One server: what `start` promises, and what is true after each way to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from kazoo.client import KazooClient

from leaderjobs.embedded import server as server_module
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.process import started_at
from leaderjobs.embedded.server import Server, exchange
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.errors import EmbeddedError
from tests.support import eventually, free_port

KINDS = [ZooKeeperServer, PostgresServer]
OWNER = """
import sys, threading
from pathlib import Path
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.zookeeper import ZooKeeperServer
server = {"ZooKeeperServer": ZooKeeperServer, "PostgresServer": PostgresServer}[sys.argv[1]](
    Path(sys.argv[2]), durable=False, detached=sys.argv[3] == "detached"
)
server.start()
print(server.pid, flush=True)
threading.Event().wait(60)
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with any server."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Somebody else's listener on a port that a server could have had."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
        yield listener


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[type[Server], Path]:
    """One directory for each kind: making Postgres's data anew for every test would take a second."""
    return {kind: tmp_path_factory.mktemp(kind.__name__) for kind in KINDS}


@pytest.fixture
def server(kind: type[Server], homes: dict[type[Server], Path]) -> Iterator[Server]:
    """A server that does not run, nor will afterwards; it may have data of the test before."""
    started = make(kind, homes[kind])
    yield started
    started.stop()


@contextlib.contextmanager
def zookeeper_client(server: ZooKeeperServer) -> Iterator[KazooClient]:
    client = KazooClient(server.address, timeout=5)
    client.start(timeout=5)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def test_zookeeper_takes_a_write_at_once_and_keeps_it_and_its_port_after_a_kill(
    own_zookeeper: ZooKeeperServer,
) -> None:
    address = own_zookeeper.address
    assert b"Zookeeper version" in exchange(own_zookeeper.port, b"srvr", 1024)
    with zookeeper_client(own_zookeeper) as client:
        client.create("/kept", b"1")
    own_zookeeper.kill()
    assert own_zookeeper.pid is None
    own_zookeeper.start()
    assert own_zookeeper.address == address
    with zookeeper_client(own_zookeeper) as client:
        assert client.get("/kept")[0] == b"1"


def test_postgres_takes_a_write_at_once_and_keeps_it_and_its_port_after_a_kill(
    own_postgres: PostgresServer,
) -> None:
    url = own_postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.kill()
    assert own_postgres.pid is None
    own_postgres.start()
    assert own_postgres.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_postgres_rolls_back_open_transactions_instead_of_waiting_for_clients(
    own_postgres: PostgresServer,
) -> None:
    with psycopg.connect(own_postgres.url) as connection:
        connection.execute("CREATE TABLE unfinished ()")
        own_postgres.stop()
        assert own_postgres.pid is None
        assert "fast shutdown" not in repr(own_postgres)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()


def test_zookeeper_grants_the_session_timeouts_that_members_ask_for(
    zookeeper_server: ZooKeeperServer,
) -> None:
    """With its default maximum, 20 ticks, a session of 15 s would silently become one of 10 s."""
    settings = exchange(zookeeper_server.port, b"conf", 4096).decode()
    assert "minSessionTimeout=1000\n" in settings
    assert "maxSessionTimeout=120000\n" in settings


def test_postgres_lets_nobody_in_without_the_password(postgres_server: PostgresServer) -> None:
    password = postgres_server.password_file.read_text()
    for wrong in ("", ":guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres_server.url.replace(f":{password}", wrong))


def test_the_password_is_shown_nowhere(postgres_server: PostgresServer) -> None:
    password = postgres_server.password_file.read_text()
    assert password in postgres_server.url
    assert password not in repr(postgres_server)
    assert password not in Path(f"/proc/{postgres_server.pid}/cmdline").read_text()
    assert password not in (postgres_server.directory / "log").read_text()
    assert postgres_server.password_file.stat().st_mode & 0o777 == 0o600
    assert postgres_server.directory.stat().st_mode & 0o777 == 0o700


def test_servers_listen_on_loopback_only(
    zookeeper_server: ZooKeeperServer, postgres_server: PostgresServer
) -> None:
    for server in (zookeeper_server, postgres_server):
        wanted = f":{server.port:04X}"
        rows = [
            row.split()
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for row in Path(table).read_text().splitlines()[1:]
        ]
        listening = {
            row[1].removesuffix(wanted) for row in rows if row[1].endswith(wanted) and row[3] == "0A"
        }
        loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
        assert listening
        assert listening <= loopback


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_may_have_any_name_and_length(kind: type[Server], tmp_path: Path) -> None:
    server = make(kind, tmp_path / "with space, ünï\\cödé 日本" / ("long" * 40))
    server.start()
    try:
        assert any((server.directory / "data").iterdir())
        server.stop()
        server.start()
        assert server.serves()
    finally:
        server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_dies_with_its_owner_unless_it_is_detached(kind: type[Server], server: Server) -> None:
    for lifetime in ("detached", "bound"):
        command = [sys.executable, "-c", OWNER, kind.__name__, str(server.directory), lifetime]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            pid = int(owner.stdout.readline())
            owner.kill()
        if lifetime == "detached":
            assert server.pid == pid
            assert server.serves()
            server.stop()
        else:
            eventually(partial(is_dead, pid), what="the server's end")
        assert server.pid is None


@pytest.mark.parametrize("kind", KINDS)
def test_starting_what_another_process_runs_gives_that_server(kind: type[Server], server: Server) -> None:
    server.start()
    second = make(kind, server.directory)
    second.start()
    assert (second.pid, second.address) == (server.pid, server.address)


def test_a_directory_that_an_unknown_server_uses_is_refused(
    own_zookeeper: ZooKeeperServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOCK_SECONDS", 0.2)
    record = own_zookeeper.directory / "server.json"
    text = record.read_text()
    record.write_text("{}")
    with pytest.raises(EmbeddedError, match=r"is in use by a ZooKeeper that server.json does not name"):
        make(ZooKeeperServer, own_zookeeper.directory).start()
    record.write_text(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_lost_to_a_stranger_is_replaced_unless_it_was_asked_for(
    kind: type[Server], server: Server, stranger: socket.socket
) -> None:
    server.start()
    server.stop()
    taken = stranger.getsockname()[1]
    record = server.directory / "server.json"
    record.write_text(record.read_text().replace(str(server.port), str(taken)))
    server.start()
    assert server.port != taken
    assert server.serves()
    server.stop()
    with pytest.raises(EmbeddedError, match=f"port {taken} is taken by another program") as caught:
        kind(server.directory, port=taken, durable=False).start()
    assert "\n" not in str(caught.value)
    assert make(kind, server.directory).pid is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_react_is_ended_by_force(
    kind: type[Server], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.3)
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert server.pid is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_hangs_is_replaced_by_the_next_start(
    kind: type[Server], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    hung = server.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    eventually(partial(is_stopped, hung), what="it to stand still")
    monkeypatch.setattr(server_module, "ADOPT_SECONDS", 0.3)
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.3)
    server.start()
    assert server.pid not in (None, hung)
    assert server.serves()
    server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(
    kind: type[Server], server: Server, bystander: subprocess.Popen[bytes]
) -> None:
    server.start()
    pid = server.pid
    server.kill()
    record = server.directory / "server.json"
    record.write_text(record.read_text().replace(f'"pid": {pid}', f'"pid": {bystander.pid}'))
    stale = server.directory / "data" / "postmaster.pid"
    if kind is PostgresServer:
        stale.write_text(stale.read_text().replace(str(pid), str(bystander.pid), 1))
    assert server.pid is None
    server.stop()
    server.start()
    assert server.serves()
    server.stop()
    assert bystander.poll() is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_crashed_by_itself_is_started_again(kind: type[Server], server: Server) -> None:
    server.start()
    crashed = server.pid
    assert crashed is not None
    os.kill(crashed, signal.SIGKILL)
    eventually(partial(is_dead, crashed), what="its end")
    server.start()
    assert server.pid not in {None, crashed}
    server.stop()


def test_a_failed_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    server = make(PostgresServer, tmp_path)
    server.start()
    server.stop()
    (tmp_path / "data" / "postgresql.conf").write_text("nonsense = on\n")
    with pytest.raises(EmbeddedError, match=r"ended at once: FATAL: .* contains errors") as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert server.pid is None


def test_a_half_made_database_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("15\n")
    server = make(PostgresServer, tmp_path)
    server.start()
    server.stop()
    assert not (tmp_path / "data.new").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"ZooKeeper cannot use .*file/here"):
        make(ZooKeeperServer, tmp_path / "file" / "here").start()


def is_dead(pid: int) -> bool:
    return started_at(pid) is None


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def make(kind: type[Server], directory: Path) -> Server:
    return kind(directory, durable=False)
