"""Who else loads rows into Postgres, each run as well as it goes: what it is told, and how it is timed.

A peer's own start is not counted: dlt is timed inside its process, and from the target's time from start to
exit the time is taken off that it needs for an input without a line, measured right before.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

import psycopg

from benchmarks import peers
from benchmarks.load_material import COPY, KEY, STREAM, Material
from leaderjobs import clock
from leaderjobs.demo.process import tied
from leaderjobs.embedded.server import write_private

PATIENCE = 1800.0
Admin = psycopg.Connection[tuple[object, ...]]
DLT_SCRIPT = Path(__file__).with_name("peer_dlt.py")
UNTOUCHED: Mapping[str, object] = {
    "disposition": "merge",
    "nesting": None,
    "format": None,
    "environment": {},
}
"""As dlt comes: deletes and inserts, nested lists in tables of their own, INSERT with values, one process."""
TUNED: Mapping[str, object] = {
    "disposition": {"disposition": "merge", "strategy": "upsert"},
    "nesting": 0,
    "format": "csv",
    "environment": {"NORMALIZE__WORKERS": "2", "DATA_WRITER__FILE_MAX_ITEMS": "10000"},
}
"""What was fastest of all tried: one MERGE, nested lists as JSON, COPY, both processors."""
TARGET = {"load_method": "upsert", "use_copy": True, "validate_records": False, "batch_size_rows": 10_000}


class Peer(Protocol):
    """Somebody who can load the material."""

    @property
    def name(self) -> str:
        """What its figures end with."""

    @property
    def title(self) -> str:
        """What it is and does, with its version."""

    def load(self, *, first: bool) -> float:
        """Rows a second; `first`: into nothing, otherwise the same rows over those of the load before."""


class Copy:
    """COPY of bytes made beforehand into the very table that we load, in one transaction."""

    title = "COPY of ready bytes, one transaction"

    def __init__(self, admin: Admin, material: Material) -> None:
        """Nothing is made."""
        self._admin = admin
        self._material = material

    def load(self) -> float:
        """Rows a second into the table, which must be empty."""
        began = clock.elapsed()
        with self._admin.cursor() as cursor, cursor.copy(COPY) as copy:
            for part in self._material.copy:
                copy.write(part)
        return self._material.rows / (clock.elapsed() - began)


class Dlt:
    """dlt's merge, fed with pages from a file."""

    def __init__(
        self, admin: Admin, database: str, material: Material, directory: Path, told: Mapping[str, object]
    ) -> None:
        """Make its environment and its input; `told` is UNTOUCHED or TUNED."""
        tuned = told is TUNED
        self.name = "dlt_tuned" if tuned else "dlt"
        how = "merge by upsert, csv, no child tables, 2 processes" if tuned else "merge, as it comes"
        self.title = f"dlt {peers.DLT.version}, {how}"
        self._admin = admin
        self._rows = material.rows
        self._python = peers.DLT.environment() / "python"
        self._dataset = f"peer_{self.name}"
        self._state = directory / self._dataset
        pages = directory / "pages.jsonl"
        material.write_pages(pages)
        self._settings = directory / f"{self._dataset}.json"
        settings = {
            **told,
            "database": database,
            "pages": str(pages),
            "dataset": self._dataset,
            "directory": str(self._state),
        }
        write_private(self._settings, json.dumps(settings))

    def load(self, *, first: bool) -> float:
        """As the protocol."""
        if first:
            _drop(self._admin, self._dataset, f"{self._dataset}_staging")
            shutil.rmtree(self._state, ignore_errors=True)
            self._state.mkdir()
        _checkpoint(self._admin)
        command = [str(self._python), "-I", str(DLT_SCRIPT), str(self._settings)]
        seconds = float(_run(command, None, self._state).split()[-1])
        _check(self._admin, self._dataset, self._rows)
        return self._rows / seconds


class Singer:
    """MeltanoLabs' target-postgres, fed with RECORD lines from a file."""

    name = "singer"
    title = (
        f"{peers.SINGER.name} {peers.SINGER.version}, upsert, COPY, no validation, batches of "
        f"{TARGET['batch_size_rows']}"
    )

    def __init__(self, admin: Admin, database: str, material: Material, directory: Path) -> None:
        """Make its environment and its input."""
        self._admin = admin
        self._rows = material.rows
        self._directory = directory
        self._target = peers.SINGER.environment() / "target-postgres"
        self._schema = "peer_singer"
        self._records = directory / "records.jsonl"
        material.write_records(self._records)
        self._settings = directory / "peer_singer.json"
        url = database.replace("postgresql://", "postgresql+psycopg://", 1)
        settings = {**TARGET, "sqlalchemy_url": url, "default_target_schema": self._schema}
        write_private(self._settings, json.dumps(settings))

    def load(self, *, first: bool) -> float:
        """As the protocol."""
        if first:
            _drop(self._admin, self._schema)
        started = self._run(Path("/dev/null"))
        _checkpoint(self._admin)
        seconds = self._run(self._records) - started
        _check(self._admin, self._schema, self._rows)
        return self._rows / seconds

    def _run(self, lines: Path) -> float:
        with lines.open("rb") as source:
            began = clock.elapsed()
            _run([str(self._target), "--config", str(self._settings)], source, self._directory)
            return clock.elapsed() - began


def _run(command: list[str], source: IO[bytes] | None, directory: Path) -> str:
    done = subprocess.run(
        tied(command),
        stdin=source or subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        cwd=directory,
    )
    if done.returncode != 0:
        why = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{command[0]} left with {done.returncode}: {why}")
    return done.stdout.decode()


def _drop(admin: Admin, *schemas: str) -> None:
    for schema in schemas:
        admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def _checkpoint(admin: Admin) -> None:
    admin.execute("CHECKPOINT")


def _check(admin: Admin, schema: str, rows: int) -> None:
    found = admin.execute(
        f"SELECT count(*), count(DISTINCT {KEY}) FROM {schema}.{STREAM}".encode()
    ).fetchone()
    if found != (rows, rows):
        raise RuntimeError(f"{rows} rows were to be in {schema}.{STREAM}, which holds {found}")
