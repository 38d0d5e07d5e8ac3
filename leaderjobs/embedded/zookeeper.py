"""A real ZooKeeper, standalone, as a child process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from leaderjobs.embedded.jars import find_jars
from leaderjobs.embedded.java import find_java
from leaderjobs.embedded.process import Command, Program
from leaderjobs.embedded.server import Server, exchange

HEAP = "-Xmx64m"
SHORTEST_SESSION = timedelta(seconds=1)
LONGEST_SESSION = timedelta(minutes=2)
SNAPSHOTS_KEPT = 3
PURGE_HOURS = 1


class ZooKeeperServer(Server):
    """ZooKeeper on loopback; any local user who finds the port may use it, so keep no secrets in it."""

    title = "ZooKeeper"
    stop_signal = signal.SIGTERM
    orphan_signal = "KILL"
    main: ClassVar[str] = "org.apache.zookeeper.server.ZooKeeperServerMain"
    """The class that Java runs; a member of an ensemble has another."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        tick: timedelta = timedelta(milliseconds=500),
        durable: bool = True,
        detached: bool = False,
    ) -> None:
        """`tick` is the grain at which sessions expire.

        Not `durable` skips fsync: data survives a killed server, but not a crash of the machine.
        `detached` lets it outlive this process.
        """
        super().__init__(directory, port=port, durable=durable, detached=detached)
        self._tick = tick

    @property
    def url(self) -> str:
        """What `coordinator` takes in the configuration."""
        return f"zookeeper://{self.address}/leaderjobs"

    def serves(self) -> bool:
        """Whether `srvr` is answered; the port opens some 0.2 s before that, and answers nothing yet."""
        return b"Zookeeper version" in exchange(self.port, b"srvr", 1024)

    def _prepare(self, lock: int) -> None:
        del lock
        (self.directory / "data").mkdir(mode=0o700, exist_ok=True)

    def _settings(self, port: int) -> dict[str, object]:
        """What `zoo.cfg` says."""
        return {
            "tickTime": int(self._tick / timedelta(milliseconds=1)),
            # Relative: ZooKeeper reads this file as Latin-1, and a backslash escapes.
            "dataDir": "data",
            "clientPort": port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "ruok,srvr,mntr,envi,conf",
            "maxClientCnxns": 0,
            "minSessionTimeout": int(SHORTEST_SESSION / timedelta(milliseconds=1)),
            # The default, 20 ticks, would silently cut the sessions that the configuration asks for.
            "maxSessionTimeout": int(LONGEST_SESSION / timedelta(milliseconds=1)),
            "autopurge.snapRetainCount": SNAPSHOTS_KEPT,
            "autopurge.purgeInterval": PURGE_HOURS,
        }

    @contextmanager
    def _program(self, port: int, lock: int) -> Iterator[Program]:
        settings = self._settings(port)
        (self.directory / "zoo.cfg").write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items())
        )
        options = [
            HEAP,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-Dzookeeper.jmx.log4j.disable=true",
            f"-Dzookeeper.forceSync={'yes' if self._durable else 'no'}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        ]
        classes = ":".join(str(jar) for jar in find_jars())
        command: Command = [find_java(), *options, "-cp", classes, self.main, "zoo.cfg"]
        yield Program(command, folder=self.directory, keep=[lock])
