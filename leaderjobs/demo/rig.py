"""Servers, provider and workers in one directory; leaving the context leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from leaderjobs import app
from leaderjobs.config import load
from leaderjobs.demo.process import tied
from leaderjobs.demo.provider import Provider
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.model.job import Job, NewJob

if TYPE_CHECKING:
    from leaderjobs.coordination.base import Coordinator
    from leaderjobs.engine.stores import Stores

STOP_PATIENCE = 5.0
SYNC = "household"
STREAMS = ("accounts", "transactions")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rig holds, and how the workers are configured."""

    session_timeout: timedelta = timedelta(seconds=4)
    transactions: int = 25_000
    page_size: int = 100
    latency: timedelta = timedelta(milliseconds=10)
    row_bytes: int = 600
    seed: int = 1
    cluster: str = "demo"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further settings of [cluster], as TOML values."""


class Rig:
    """One cluster on loopback: entering starts servers and provider, workers are started one by one."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        """Nothing happens before the context is entered; `directory` must be there and is the caller's."""
        self.directory = directory
        self.plan = plan
        self.zookeeper = ZooKeeperServer(directory / "zookeeper", durable=False)
        self.postgres = PostgresServer(directory / "postgres", durable=False)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.provider: Provider
        self.stores: Stores
        self.session: Coordinator
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything but the workers, side by side where possible; make the schema."""
        plan = self.plan
        arguments = [
            *("--transactions", str(plan.transactions), "--seed", str(plan.seed)),
            *("--row-bytes", str(plan.row_bytes)),
            *("--latency", f"{round(plan.latency.total_seconds() * 1000)}ms"),
        ]
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            # The provider is tied to the thread that starts it, so it is started here and not in the pool.
            with ThreadPoolExecutor(max_workers=2) as threads:
                starting = [threads.submit(server.start) for server in (self.zookeeper, self.postgres)]
                self.provider = Provider(arguments, self.directory / "provider.log")
                self._stack.callback(self.provider.stop)
                for started in starting:
                    started.result()
            self.config = self.directory / "leaderjobs.toml"
            self.write_config(self.config)
            self.settings = load(self.config, {})
            self.session = self._stack.enter_context(app.observer(self.settings))
            self.stores = self._stack.enter_context(app.opened_stores(self.settings, migrate=True))
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything that was started."""
        self.stop()

    def write_config(self, path: Path) -> None:
        """The configuration of this plan; secrets stand in files beside it, as they would in production."""
        plan = self.plan
        secrets = {"client_id": self.provider.client_id, "secret": self.provider.secret}
        secrets |= {"access_token": self.provider.access_token, "database": self.postgres.url}
        for name, value in secrets.items():
            _write_secret(self.directory / name, value)
        cluster = {
            "name": f'"{plan.cluster}"',
            "coordinator": f'"{self.zookeeper.url}"',
            "database": f'{{ file = "{self.directory / "database"}" }}',
            "session_timeout": f'"{round(plan.session_timeout.total_seconds() * 1000)}ms"',
            "state_directory": f'"{self.directory / "state"}"',
            **plan.settings,
        }
        connection = {
            "connector": '"plaid"',
            "base_url": f'"{self.provider.url}"',
            "page_size": str(plan.page_size),
            "rate_limit": '"1000000/min"',
            **{
                name: f'{{ file = "{self.directory / name}" }}'
                for name in ("client_id", "secret", "access_token")
            },
        }
        sync = {"connection": f'"{SYNC}"', "streams": str(list(STREAMS)).replace("'", '"')}
        sections = {"cluster": cluster, f"connections.{SYNC}": connection, f"syncs.{SYNC}": sync}
        text = "\n".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
            for section, values in sections.items()
        )
        _write_secret(path, text)

    # -- workers -------------------------------------------------------------------------------------------

    def start_worker(self, name: str, config: Path | None = None) -> subprocess.Popen[bytes]:
        """One `leaderjobs run` as a process of its own; what it logs is in `<name>.log`."""
        command = [sys.executable, "-m", "leaderjobs", "--config", str(config or self.config)]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                tied([*command, "run", "--id", name]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.workers[name]

    def send(self, name: str, number: signal.Signals) -> None:
        """Signal a worker of ours; one that is gone already is left alone."""
        with contextlib.suppress(ProcessLookupError):
            self.workers[name].send_signal(number)

    def reap(self, name: str) -> int:
        """Wait for a worker that was told to end; its exit code."""
        return self.workers.pop(name).wait(STOP_PATIENCE * 4)

    def leader(self) -> str | None:
        """The name of the member that leads and has raised its fence."""
        found = self.session.leader(0)
        return found.id if found is not None and found.number > 0 else None

    def enqueue(self) -> Job:
        """One sync of everything."""
        return self.stores.jobs.enqueue(NewJob(target=SYNC, connection=SYNC, streams=STREAMS))[0]

    def stop(self) -> None:
        """End workers, provider and servers; safe to call twice."""
        for worker in self.workers.values():
            worker.kill()  # a stopped process hears nothing else, and nothing of it needs saving
        for worker in self.workers.values():
            worker.wait(STOP_PATIENCE)
        self.workers.clear()
        self._stack.close()
        self.postgres.stop()
        self.zookeeper.stop()


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
