"""A peer of `throughput`: procrastinate's worker; run by the Python of its own environment.

`python peer_procrastinate.py SETTINGS` is told, and tells, the same as `peer_pgqueuer`; `batch` is its
concurrency.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

INSERTED_AT_ONCE = 1_000
PAUSE = 0.02
PATIENCE = 600.0


async def _main(settings: dict[str, Any]) -> None:
    import procrastinate  # type: ignore[import-not-found]  # it is in an environment of its own

    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=settings["database"], max_size=10)
    )
    found: list[float] = []
    done = asyncio.Event()

    @app.task(name="noop")  # type: ignore[untyped-decorator]  # as above
    async def noop() -> None:
        """Do nothing."""

    @app.task(name="timed")  # type: ignore[untyped-decorator]  # as above
    async def timed(sent: float) -> None:
        found.append(time.monotonic() - sent)
        if len(found) == settings["latency_jobs"]:
            done.set()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        left = settings["jobs"]
        while left:
            count = min(left, INSERTED_AT_ONCE)
            await noop.batch_defer_async(*({} for _ in range(count)))
            left -= count
        began = time.monotonic()
        await app.run_worker_async(wait=False, concurrency=settings["batch"], install_signal_handlers=False)
        rate = settings["jobs"] / (time.monotonic() - began)
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=settings["batch"], install_signal_handlers=False)
        )
        await asyncio.sleep(1)
        for _ in range(settings["latency_jobs"]):
            await timed.defer_async(sent=time.monotonic())
            await asyncio.sleep(PAUSE)
        await asyncio.wait_for(done.wait(), PATIENCE)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    print(json.dumps({"rate": rate, "latencies": found}))


if __name__ == "__main__":
    import logging

    logging.disable(logging.INFO)
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text())))
