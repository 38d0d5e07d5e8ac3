"""Jobs a second that do nothing, each recorded as completed by its term; and how soon a job starts.

- `noop_jobs`: one member (`leaderjobs run`, concurrency 256) works through jobs without streams, spread over
  many connections; from the commit that brought them until the last one's end, by the database's clock.
- `noop_jobs_old_snapshot`: the same with 1,000,000 ended jobs in the table and a snapshot that is held open
  for the whole run, so that nothing can be vacuumed; beside the empty table in the same run.
- `member_memory`: that member's largest resident size after them; beside it after 1,000 jobs.
- `start_p50`, `start_p99`: from before the enqueue of one job until its connector is asked, in an idle queue.

Peers, each in the same Postgres with fsync, in a database of its own: pgqueuer with asyncpg and uvloop at the
best of several batch sizes, each job logged as successful; procrastinate's worker at the best of several
concurrencies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import figures, peers
from benchmarks.cluster import peak_mib, started, until
from benchmarks.figures import Figure, percentile
from benchmarks.peers import Package
from leaderjobs import clock
from leaderjobs.demo.process import tied
from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.embedded.server import write_private
from leaderjobs.model.job import NewJob

CONCURRENCY = 512
CONNECTIONS = 1_000
LATENCY_JOBS = 500
FEW_JOBS = 1_000
PAUSE = 0.02
"""Seconds between two jobs whose start is timed."""
PATIENCE = 900.0
PEERS: dict[str, tuple[Package, str, tuple[int, ...], float]] = {
    "pgqueuer": (peers.PGQUEUER, "peer_pgqueuer.py", (100, 250, 500, 1000), 1.0),
    "procrastinate": (peers.PROCRASTINATE, "peer_procrastinate.py", (1, 10, 50), 0.02),
}
"""Its package, its script, the sizes that are tried, and the share of the jobs that it is given."""
_EMPTY = "TRUNCATE leaderjobs.jobs"
_INSERT = """
INSERT INTO leaderjobs.jobs (
    cluster, target, connection, streams, state, priority, max_attempts, scheduled_at)
SELECT %(cluster)s, 'noop', 'c' || n %% %(connections)s, '{}', 'available', 5, 1, now()
FROM generate_series(1, %(jobs)s) n
"""
_ENDED = """
INSERT INTO leaderjobs.jobs (
    cluster, target, connection, streams, state, priority, max_attempts, scheduled_at, attempt, term, member,
    started_at, finished_at)
SELECT %(cluster)s, 'noop', 'c' || n %% %(connections)s, '{}', 'completed', 5, 1, now(), 1, 1, 'a',
    now(), now()
FROM generate_series(1, %(jobs)s) n
"""
_DONE = """
SELECT count(*), extract(epoch FROM max(finished_at) - %(since)s)
FROM leaderjobs.jobs
WHERE id > %(first)s AND cluster = %(cluster)s AND state = 'completed' AND attempt = 1 AND term = %(term)s
"""


class Bench:
    """One member and its database."""

    def __init__(self, rig: Rig, admin: psycopg.Connection[tuple[object, ...]]) -> None:
        """The member leads."""
        self._rig = rig
        self._admin = admin
        self._notes = rig.directory / "notes"

    def rate(self, jobs: int, *, ended: int = 0) -> float:
        """Jobs a second; `ended`: beside so many ended ones, and under an open snapshot."""
        names = {"cluster": self._rig.plan.cluster, "connections": CONNECTIONS}
        self._admin.execute(_EMPTY)
        if not ended:
            return self._run(jobs, names)
        self._admin.execute(_ENDED, {**names, "jobs": ended})
        self._admin.execute("VACUUM ANALYZE leaderjobs.jobs")
        with psycopg.connect(self._rig.postgres.url) as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT count(*) FROM leaderjobs.terms")
            return self._run(jobs, names)

    def starts(self, jobs: int) -> list[float]:
        """Seconds from before the enqueue until the connector was asked, one job after the other."""
        self._admin.execute(_EMPTY)
        self._notes.write_text("")
        sent: list[float] = []
        pause = threading.Event()
        for _ in range(jobs):
            sent.append(clock.elapsed())
            self._rig.stores.jobs.enqueue(NewJob("noop", "noop", ("nothing",)))
            pause.wait(PAUSE)
        until(lambda: len(self._noted()) == jobs, "the jobs to start", PATIENCE)
        return [began - asked for asked, began in zip(sent, self._noted(), strict=True)]

    def memory(self) -> float:
        """The most memory that the member ever had, in MiB."""
        return peak_mib(self._rig.workers["a"].pid)

    def _noted(self) -> list[float]:
        return [float(line) for line in self._notes.read_text(encoding="ascii").split()]

    def _run(self, jobs: int, names: dict[str, object]) -> float:
        self._admin.execute("CHECKPOINT")
        stored = self._rig.stores.terms.current(0)
        first = self._value("SELECT coalesce(max(id), 0) FROM leaderjobs.jobs")
        with self._admin.transaction():
            self._admin.execute(_INSERT, {**names, "jobs": jobs})
            self._admin.execute("SELECT leaderjobs.wake(%(cluster)s)", names)
        since = self._value("SELECT clock_timestamp()")
        asked = {**names, "first": first, "since": since, "term": stored.number if stored else 0}

        def done() -> float | None:
            count, seconds = self._admin.execute(_DONE, asked).fetchone() or (0, 0)
            return float(str(seconds)) if count == jobs else None

        # Counting costs the server as much as some hundred jobs: not all the time.
        pause = threading.Event()
        end = clock.elapsed() + PATIENCE
        while (seconds := done()) is None:
            if clock.elapsed() > end:
                raise RuntimeError(f"the jobs were not completed by their term within {PATIENCE:g} s")
            pause.wait(1.0)
        return jobs / seconds

    def _value(self, query: str) -> object:
        found = self._admin.execute(query.encode()).fetchone()
        return found[0] if found else None


class Other:
    """A peer: what it runs in, and how it is told."""

    def __init__(self, rig: Rig, name: str) -> None:
        """Make its environment."""
        self.name = name
        self._package, script, self.sizes, self._share = PEERS[name]
        self._rig = rig
        self._command = [
            str(self._package.environment() / "python"),
            "-I",
            str(Path(__file__).with_name(script)),
        ]

    def measure(self, jobs: int, latency_jobs: int) -> tuple[float, int, list[float]]:
        """Its best rate, the size it was reached with, and the latencies at the smallest of its sizes."""
        best, size, starts = 0.0, 0, list[float]()
        for tried in self.sizes:
            found = self._run(tried, round(jobs * self._share), latency_jobs if tried == self.sizes[0] else 1)
            figures.progress(f"{self.name}, {tried}: {found['rate']:,.0f} jobs/s")
            starts = starts or found["latencies"]
            if found["rate"] > best:
                best, size = found["rate"], tried
        return best, size, starts

    def title(self, size: int) -> str:
        """What it is, and how it was told."""
        word = "batches of" if self.name == "pgqueuer" else "concurrency"
        return f"{self._package.name} {self._package.version}, {word} {size}"

    def _run(self, size: int, jobs: int, latency_jobs: int) -> dict[str, Any]:
        database = f"peer_{self.name}"
        with psycopg.connect(self._rig.postgres.url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {database}".encode())
            admin.execute("CHECKPOINT")
        url = self._rig.postgres.url.rpartition("/")[0] + f"/{database}"
        told = self._rig.directory / f"{database}.json"
        settings = {"database": url, "jobs": jobs, "batch": size, "latency_jobs": latency_jobs}
        write_private(told, json.dumps(settings))
        done = subprocess.run(
            tied([*self._command, str(told)]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} left with {done.returncode}: {done.stderr.decode()[-500:]}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@contextmanager
def bench() -> Iterator[tuple[Rig, Bench]]:
    """Servers and one member that leads."""
    plan = Plan(transactions=1, settings={"concurrency": str(CONCURRENCY)})

    def durable(rig: Rig) -> None:
        rig.postgres = PostgresServer(rig.directory / "postgres", durable=True)

    with started(plan, before=durable) as rig:
        notes = json.dumps(str(rig.directory / "notes"))
        with rig.config.open("a", encoding="utf-8") as config:
            config.write(
                f'\n[connections.noop]\nconnector = "benchmarks.throughput_connector:Noop"\nnotes = {notes}\n'
            )
        rig.start_worker("a")
        until(rig.leader, "a leader")
        with psycopg.connect(rig.postgres.url, autocommit=True) as admin:
            yield rig, Bench(rig, admin)


class Measured:
    """Every value that was measured, and the figures made of them."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self.ours: dict[str, list[float]] = defaultdict(list)
        self.theirs: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.titles: dict[str, str] = {}

    def add(self, name: str, value: float) -> None:
        """One of ours."""
        figures.progress(f"{name}: {value:,.4g}")
        self.ours[name].append(value)

    def shown(self, peers: Sequence[str]) -> list[Figure]:
        """Each of ours beside each peer, and the old snapshot beside the empty table."""
        made = []
        for name, unit in (("noop_jobs", "jobs/s"), ("start_p50", "ms"), ("start_p99", "ms")):
            for peer in peers or ("",):
                title = self.titles.get(peer)
                shown = f"{name}_{peer}" if peer and peer != "pgqueuer" else name
                made.append(Figure(shown, unit, self.ours[name], title, self.theirs[name, peer]))
        old = self.ours["noop_jobs_old_snapshot"]
        empty = "the same with an empty table"
        made.append(Figure("noop_jobs_old_snapshot", "jobs/s", old, empty, self.ours["noop_jobs"]))
        few = f"after {FEW_JOBS} jobs"
        made.append(
            Figure("member_memory", "MiB", self.ours["member_memory"], few, self.ours["member_memory_few"])
        )
        return made


def measure(party: Bench, others: Sequence[Other], wanted: argparse.Namespace, found: Measured) -> None:
    """One run of everything."""
    party.rate(FEW_JOBS)
    found.add("member_memory_few", party.memory())
    found.add("noop_jobs", party.rate(wanted.jobs))
    found.add("member_memory", party.memory())
    found.add("noop_jobs_old_snapshot", party.rate(wanted.jobs, ended=wanted.ended))
    starts = [1000 * each for each in party.starts(wanted.latency_jobs)]
    found.add("start_p50", percentile(starts, 0.5))
    found.add("start_p99", percentile(starts, 0.99))
    for other in others:
        rate, size, seconds = other.measure(wanted.jobs, wanted.latency_jobs)
        found.titles[other.name] = other.title(size)
        found.theirs["noop_jobs", other.name].append(rate)
        for name, share in (("start_p50", 0.5), ("start_p99", 0.99)):
            found.theirs[name, other.name].append(1000 * percentile(seconds, share))


def main() -> None:
    """Measure and print."""
    wanted = _wanted()
    found = Measured()
    for run in range(wanted.runs):
        figures.progress(f"run {run + 1} of {wanted.runs}")
        with bench() as (rig, party):
            measure(party, [Other(rig, name) for name in wanted.peers], wanted, found)
    figures.show(found.shown(wanted.peers), wanted.output)


def _wanted() -> argparse.Namespace:
    parser = figures.parser(__doc__ or "", runs=3)
    for name, count in (("jobs", 100_000), ("ended", 1_000_000), ("latency-jobs", LATENCY_JOBS)):
        parser.add_argument(
            f"--{name}", type=figures.positive, default=count, metavar="N", help=f"default: {count}"
        )
    return figures.parsed(parser, PEERS)


if __name__ == "__main__":
    main()
