"""A real pgbouncer in transaction mode, from PATH or fetched from the system's package archive; nothing is installed."""

from __future__ import annotations

import os
import shutil
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from leaderjobs.embedded.process import Program
from leaderjobs.embedded.server import Server, exchange, write_private
from tests.model.programs import fetched

PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
"""The program, and those of its libraries that not every system has; apt checks what it fetches."""
BACKENDS = 6
"""Connections to Postgres for each database; so few that clients really share them."""
_PROTOCOL = 3 << 16
_SETTINGS = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
{account}
auth_type = any
pool_mode = transaction
default_pool_size = {backends}
max_client_conn = 200
server_round_robin = 1
"""
# Round robin: the next transaction gets another backend than the last one, where there is more than one yet.


class PgBouncer(Server):
    """In front of one Postgres; every one of its databases can be reached through it."""

    title = "pgbouncer"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    orphan_signal: ClassVar[str] = "KILL"

    def __init__(self, directory: Path, postgres_url: str) -> None:
        """`postgres_url` is of any database of the server."""
        super().__init__(directory)
        self._postgres = urlsplit(postgres_url)

    def url_of(self, database: str) -> str:
        """The URL of a database, through the pooler; whom it names does not matter."""
        return f"postgresql://anybody@{self.address}/{database}"

    def serves(self) -> bool:
        """Whether it lets a client of its own console in."""
        words = b"".join(word.encode() + b"\0" for word in ("user", "x", "database", "pgbouncer")) + b"\0"
        packet = struct.pack("!ii", 8 + len(words), _PROTOCOL) + words
        return exchange(self.port, packet, 1) == b"R"

    def _prepare(self, lock: int) -> None:
        """The settings are written with the port."""

    @contextmanager
    def _program(self, port: int, lock: int) -> Iterator[Program]:
        own = self._postgres
        settings = self.directory / "pgbouncer.ini"
        write_private(
            settings,
            _SETTINGS.format(
                host=own.hostname,
                port=own.port,
                user=own.username,
                password=own.password,
                own_port=port,
                # It refuses to be root, and changes to whom it is told to once it has read its settings.
                account="user = nobody" if os.geteuid() == 0 else "",
                backends=BACKENDS,
            ),
        )
        yield Program([*_pgbouncer(), settings], keep=[lock])


def _pgbouncer() -> list[str | Path]:
    found = shutil.which("pgbouncer")
    if found is not None:
        return [found]
    program = fetched("pgbouncer", PACKAGES, "usr/sbin/pgbouncer")
    library = next(program.parents[2].glob("usr/lib/*/libevent-2.1.so.7"))
    return ["/usr/bin/env", f"LD_LIBRARY_PATH={library.parent}", program]
