"""Commands as a user types them, in a cluster of their own on a migrated database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from leaderjobs import app
from leaderjobs.cli import main
from leaderjobs.config import load
from leaderjobs.engine.stores import Stores


@dataclass
class Typed:
    """One cluster's command line."""

    config: Path
    cluster: str

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["--config", str(self.config), *words])

    def said(self, *words: str) -> str:
        """What a command that goes well prints."""
        ran = self(*words)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def told(self, *words: str) -> Any:
        """What it prints as JSON."""
        return json.loads(self.said(*words, "--output", "json"))

    def refused(self, *words: str) -> str:
        """The one line of a command that fails in a way that is meant."""
        ran = self(*words)
        assert ran.exit_code in {1, 2}, ran.output
        assert ran.stdout == ""
        assert len(ran.stderr.splitlines()) == 1, ran.stderr
        return ran.stderr

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        with app.opened_stores(load(self.config, {})) as opened:
            yield opened

    def execute(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """What nobody but a leader, or time, would do; `%(cluster)s` is this one."""
        with self.stores() as stores, stores.database.transaction() as connection:
            connection.execute(statement, {"cluster": self.cluster, **(parameters or {})})

    def enqueue(self, *words: str) -> int:
        """The id of a new job of the sync `household`."""
        job: int = self.told("enqueue", "household", *words)["job"]["id"]
        return job

    def become(self, job: int, state: str, error: str | None = None) -> None:
        """Bring a job into a state, as a leader would have."""
        self.execute(
            """
            UPDATE leaderjobs.jobs
            SET state = %(state)s, error = %(error)s, attempt = 3, term = 7, member = 'web1', started_at = now(),
                finished_at = CASE WHEN %(state)s IN ('completed', 'discarded', 'cancelled') THEN now() END
            WHERE id = %(job)s AND cluster = %(cluster)s
            """,
            {"job": job, "state": state, "error": error},
        )

    def state(self, job: int) -> str:
        with self.stores() as stores:
            return stores.jobs.get(job).state.value
