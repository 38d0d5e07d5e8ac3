"""The pair of servers shared by every command that one user runs on this machine.

Every process asks `start` for it; the first starts the servers, the rest find them. A lock file
keeps two of those calls apart; the servers outlive all of them, until `stop`. What is true is what
`server.json` and the locks in the two directories say; nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from leaderjobs.embedded.locks import locked
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.server import Server
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.errors import EmbeddedError

# Longer than a first start with a download of ZooKeeper takes.
LOCK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class DevServers:
    """Both servers, running. `database_url` holds a password."""

    coordinator_url: str
    database_url: str = field(repr=False)
    zookeeper_pid: int
    postgres_pid: int
    directory: Path
    password_file: Path

    @property
    def shown_database_url(self) -> str:
        """The database's URL without its password, fit to be printed."""
        scheme, _, rest = self.database_url.partition("://")
        credentials, _, place = rest.rpartition("@")
        return f"{scheme}://{credentials.partition(':')[0]}@{place}"


def default_directory() -> Path:
    """Where the pair lives unless somebody says otherwise: in the user's data directory."""
    return platformdirs.user_data_path("leaderjobs") / "embedded"


def start(directory: Path | None = None) -> DevServers:
    """Both serve when this returns; what already runs is left alone. EmbeddedError says what is missing."""
    home = default_directory() if directory is None else directory
    with _one_command_at_a_time(home):
        _start_both(_servers(home))
    found = status(home)
    if found is None:
        raise EmbeddedError(f"a server in {home} ended right after its start; see the logs there")
    return found


def stop(directory: Path | None = None) -> bool:
    """End both; their data stay. False when nothing was running."""
    home = default_directory() if directory is None else directory
    if not home.is_dir():
        return False
    zookeeper, postgres = _servers(home)
    with _one_command_at_a_time(home):
        running = zookeeper.pid is not None or postgres.pid is not None
        zookeeper.stop()
        postgres.stop()
    return running


def status(directory: Path | None = None) -> DevServers | None:
    """The pair, or None when one of them does not run. Starts nothing and waits for nobody."""
    home = default_directory() if directory is None else directory
    zookeeper, postgres = _servers(home)
    zookeeper_pid, postgres_pid = zookeeper.pid, postgres.pid
    if zookeeper_pid is None or postgres_pid is None:
        return None
    return DevServers(
        coordinator_url=zookeeper.url,
        database_url=postgres.url,
        zookeeper_pid=zookeeper_pid,
        postgres_pid=postgres_pid,
        directory=home.absolute(),
        password_file=postgres.password_file,
    )


def missing(directory: Path | None = None) -> tuple[str, ...]:
    """The names of those that do not run; both, one or none."""
    home = default_directory() if directory is None else directory
    return tuple(server.title for server in _servers(home) if server.pid is None)


def _start_both(servers: Sequence[Server]) -> None:
    """Side by side; where one fails, what was not running before does not run afterwards either."""
    absent = [server for server in servers if server.pid is None]
    with ThreadPoolExecutor(max_workers=len(servers)) as threads:
        starts = [threads.submit(server.start) for server in servers]
    failures = [failure for failure in (start.exception() for start in starts) if failure]
    if failures:
        for server in absent:
            server.stop()
        raise failures[0]


def _servers(home: Path) -> tuple[ZooKeeperServer, PostgresServer]:
    return (
        ZooKeeperServer(home / "zookeeper", detached=True),
        PostgresServer(home / "postgres", detached=True),
    )


@contextmanager
def _one_command_at_a_time(home: Path) -> Iterator[None]:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(home / "lock", LOCK_SECONDS):
            yield
    except TimeoutError as error:
        raise EmbeddedError(f"{error}; end it and try again") from None
    except OSError as error:
        raise EmbeddedError(
            f"{home} cannot be used: {error.strerror}; set XDG_DATA_HOME to another place"
        ) from None
