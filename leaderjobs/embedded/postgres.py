"""A real Postgres as a child process."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from leaderjobs.embedded.account import Account
from leaderjobs.embedded.binaries import find_postgres
from leaderjobs.embedded.process import Command, Program
from leaderjobs.embedded.server import Server, exchange, write_private
from leaderjobs.errors import EmbeddedError

DATABASE = "leaderjobs"
USER = "postgres"
MOST_CONNECTIONS = 100
INIT_SECONDS = 120.0
_FAILED = re.compile(r"\bERROR\b|\bFATAL\b|\berror:")
_PROTOCOL = 3 << 16
# Passwords only, loopback only: with `trust` every local user would be a superuser.
_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


class PostgresServer(Server):
    """Postgres on loopback, no Unix socket, a random password in a file of mode 0600.

    Its statistics, locale (C) and time zone (UTC) are the same on every machine.
    """

    title = "Postgres"
    # Fast shutdown: open transactions are rolled back; SIGTERM would wait for every client.
    stop_signal = signal.SIGINT
    orphan_signal = "QUIT"

    def __init__(
        self, directory: Path, *, port: int | None = None, durable: bool = True, detached: bool = False
    ) -> None:
        """Not `durable` skips fsync: data survives a killed server, but not a crash of the machine.

        `detached` lets it outlive this process.
        """
        super().__init__(directory, port=port, durable=durable, detached=detached)

    @property
    def url(self) -> str:
        """What `database` takes in the configuration; holds the password."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The URL of another database on this server; holds the password."""
        try:
            password = self.password_file.read_text()
        except OSError as error:
            raise EmbeddedError(f"{self.password_file} cannot be read: {error.strerror}") from None
        return f"postgresql://{USER}:{password}@{self.address}/{database}"

    @property
    def password_file(self) -> Path:
        """Holds the superuser's password, without a newline."""
        return self.directory / "password"

    def serves(self) -> bool:
        """Whether it asks who we are: while it starts up or recovers it answers with an error instead.

        The startup packet and the answer's first byte are those of the documentation's chapter
        "Message Formats": R is an authentication request, E an error.
        """
        words = b"".join(word.encode() + b"\0" for word in ("user", USER, "database", DATABASE)) + b"\0"
        packet = struct.pack("!ii", 8 + len(words), _PROTOCOL) + words
        return exchange(self.port, packet, 1) == b"R"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _prepare(self, lock: int) -> None:
        if not (self._data / "PG_VERSION").is_file():
            self._create(lock)
        _forget_reused_pid(self._data / "postmaster.pid")

    def _create(self, lock: int) -> None:
        """Make the cluster beside its place and rename it, so that a half-made one is never started."""
        fresh = self.directory / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        account = Account.choose()
        account.own(fresh)
        programs = account.programs(find_postgres())
        # hex: in the SQL below and in a URL it needs no quoting.
        password = secrets.token_hex(24)
        flush = [] if self._durable else ["--no-sync"]
        with account.path_to(fresh) as (name, keep):
            # `trust` holds only until pg_hba.conf is replaced below, before anything listens.
            options = ["-U", USER, "--auth=trust", "-E", "UTF8", "--no-locale", *flush]
            make: Command = [*account.prefix, programs / "initdb", "-D", name, *options]
            self._run(Program(make, keep=[*keep, lock], uid=account.uid), "")
            single: Command = [*account.prefix, programs / "postgres", "--single", "-D", name, "postgres"]
            sql = f"ALTER USER {USER} PASSWORD '{password}';\nCREATE DATABASE {DATABASE};\n"
            self._run(Program(single, keep=[*keep, lock], uid=account.uid), sql)
        (fresh / "pg_hba.conf").write_text(_HBA)
        write_private(self.password_file, password)
        try:
            fresh.rename(self._data)
        except OSError:
            raise EmbeddedError(f"{self._data} exists and holds no Postgres data; move it away") from None

    def _run(self, program: Program, text: str) -> None:
        try:
            done = program.run(text, INIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(
                f"Postgres made no database in {self.directory} within {INIT_SECONDS:.0f} s"
            ) from None
        # `postgres --single` leaves with 0 even where a statement failed.
        failed = [line for line in done.stderr.splitlines() if _FAILED.search(line)]
        if done.returncode != 0 or failed:
            why = (failed or done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise EmbeddedError(f"Postgres made no database in {self.directory}: {why}")

    @contextmanager
    def _program(self, port: int, lock: int) -> Iterator[Program]:
        account = Account.choose()
        account.own(self._data)
        programs = account.programs(find_postgres(int((self._data / "PG_VERSION").read_text())))
        on = "on" if self._durable else "off"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            # A socket's path may have 107 bytes; a user's data directory may have more.
            "unix_socket_directories": "",
            "max_connections": MOST_CONNECTIONS,
            # Segments under /dev/shm would outlive a killed server, and containers have little of it.
            "dynamic_shared_memory_type": "mmap",
            "fsync": on,
            "full_page_writes": on,
            # The log is for failed starts; statements may hold what must not be in a log.
            "log_min_messages": "fatal",
            "log_min_error_statement": "panic",
            "log_checkpoints": "off",
            "log_line_prefix": "",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with account.path_to(self._data) as (name, keep):
            command: Command = [*account.prefix, programs / "postgres", "-D", name, *options]
            yield Program(command, keep=[*keep, lock], uid=account.uid)


def _forget_reused_pid(path: Path) -> None:
    """Let Postgres start although its last process was killed and the pid now belongs to another.

    It refuses when the pid in its file lives, whoever that is: after a reboot often enough somebody
    does. We hold the directory's lock, so no process of that server lives. The file must not go, for
    its shared memory key guards the data; the pid becomes ours, which Postgres ignores in its parent.
    """
    try:
        lines = path.read_text().splitlines(keepends=True)
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return
    with suppress(OSError):
        os.kill(pid, 0)
        path.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
