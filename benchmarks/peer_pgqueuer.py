"""A peer of `throughput`: pgqueuer's queue manager, with asyncpg; run by the Python of its own environment.

`python peer_pgqueuer.py SETTINGS` reads from a JSON file where the database is, how many jobs to run, in what
batches, and how many to send one by one for their latency; it prints JSON: jobs a second, and
seconds from before the enqueue until the job's function began.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

INSERTED_AT_ONCE = 10_000
PAUSE = 0.02
PATIENCE = 600.0


async def _throughput(settings: dict[str, Any]) -> float:
    import asyncpg  # type: ignore[import-not-found]  # it is in an environment of its own
    from pgqueuer import PgQueuer  # type: ignore[import-not-found]  # as above
    from pgqueuer.types import QueueExecutionMode  # type: ignore[import-not-found]  # as above

    connection = await asyncpg.connect(settings["database"])
    manager = PgQueuer.from_asyncpg_connection(connection).qm
    await manager.queries.install()
    left = settings["jobs"]

    @manager.entrypoint("noop")  # type: ignore[untyped-decorator]  # as above
    async def noop(_job: object) -> None:
        """Do nothing."""

    while left:
        count = min(left, INSERTED_AT_ONCE)
        await manager.queries.enqueue(["noop"] * count, [None] * count, [0] * count)
        left -= count
    await connection.execute("CHECKPOINT")
    began = time.monotonic()
    await manager.run(batch_size=settings["batch"], mode=QueueExecutionMode.drain)
    seconds = time.monotonic() - began
    check = await asyncpg.connect(settings["database"])
    done = await check.fetchval("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'")
    await check.close()
    if done < settings["jobs"]:
        raise RuntimeError(f"{done} of {settings['jobs']} jobs are logged as successful")
    return float(settings["jobs"] / seconds)


async def _latencies(settings: dict[str, Any]) -> list[float]:
    import asyncpg
    from pgqueuer import PgQueuer

    found: list[float] = []
    wanted = settings["latency_jobs"]
    done = asyncio.Event()
    manager = PgQueuer.from_asyncpg_connection(await asyncpg.connect(settings["database"])).qm

    @manager.entrypoint("timed")  # type: ignore[untyped-decorator]  # as above
    async def timed(job: Any) -> None:  # noqa: ANN401 - as above
        found.append(time.monotonic() - float(job.payload))
        if len(found) == wanted:
            done.set()

    running = asyncio.create_task(manager.run(batch_size=settings["batch"]))
    producer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(settings["database"])).qm
    await asyncio.sleep(1)
    for _ in range(wanted):
        await producer.queries.enqueue("timed", str(time.monotonic()).encode())
        await asyncio.sleep(PAUSE)
    await asyncio.wait_for(done.wait(), PATIENCE)
    manager.shutdown.set()
    await running
    return found


async def _main(settings: dict[str, Any]) -> None:
    result = {"rate": await _throughput(settings), "latencies": await _latencies(settings)}
    print(json.dumps(result))


if __name__ == "__main__":
    import logging

    import uvloop  # type: ignore[import-not-found]  # it is in an environment of its own

    logging.disable(logging.INFO)
    uvloop.run(_main(json.loads(Path(sys.argv[1]).read_text())))
