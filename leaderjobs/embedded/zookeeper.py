"""A real ZooKeeper, standalone, as a child process."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

from leaderjobs.embedded.jars import find_jars
from leaderjobs.embedded.java import find_java
from leaderjobs.embedded.process import spawn
from leaderjobs.embedded.server import Server, child_environment, exchange

HEAP = "-Xmx64m"
LONGEST_SESSION = timedelta(minutes=2)
SNAPSHOTS_KEPT = 3
_MAIN = "org.apache.zookeeper.server.ZooKeeperServerMain"


class ZooKeeperServer(Server):
    """ZooKeeper on loopback; any local user who finds the port may use it, so keep no secrets in it."""

    title = "ZooKeeper"
    stop_signal = signal.SIGTERM
    orphan_signal = "KILL"

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
        (self.directory / "data").mkdir(mode=0o700, exist_ok=True)

    def _launch(self, port: int, lock: int) -> int:
        settings = {
            "tickTime": int(self._tick / timedelta(milliseconds=1)),
            # A .properties file: the backslash escapes.
            "dataDir": str(self.directory / "data").replace("\\", "\\\\"),
            "clientPort": port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "ruok,srvr,mntr,envi,conf",
            "maxClientCnxns": 0,
            "minSessionTimeout": 1000,
            # The default, 20 ticks, would silently cut the sessions that the configuration asks for.
            "maxSessionTimeout": int(LONGEST_SESSION / timedelta(milliseconds=1)),
            "autopurge.snapRetainCount": SNAPSHOTS_KEPT,
            "autopurge.purgeInterval": 1,
        }
        config = self.directory / "zoo.cfg"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        command = [
            find_java(),
            HEAP,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.jmx.log4j.disable=true",
            f"-Dzookeeper.forceSync={'yes' if self._durable else 'no'}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            ":".join(str(jar) for jar in find_jars()),
            _MAIN,
            config,
        ]
        return spawn(command, environment=child_environment(), log=self._log, keep=[lock])
