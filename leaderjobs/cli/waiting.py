"""Waiting for a job to end, as `--wait` of several commands does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import duration
from leaderjobs.errors import LeaderJobsError

if TYPE_CHECKING:
    from leaderjobs.engine.stores import Stores
    from leaderjobs.model.job import Job

LOOK_EVERY = timedelta(milliseconds=500)
TIMEOUT = click.option(
    "--timeout",
    callback=duration,
    default="24h",
    show_default=True,
    metavar="D",
    help="Stop waiting after this.",
)


def until_ended(stores: Stores, cluster: str, job: Job, timeout: timedelta) -> Job:
    """The job once it is final or uncertain; LeaderJobsError when the time is up."""
    from leaderjobs import clock
    from leaderjobs.model.job import JobState
    from leaderjobs.store.waker import Waker

    deadline = clock.elapsed() + timeout.total_seconds()
    waker = Waker(stores.database, cluster)
    try:
        while not job.state.final and job.state is not JobState.UNCERTAIN:
            if clock.elapsed() >= deadline:
                raise LeaderJobsError(
                    f"job {job.id} is still {job.state.value} after {timeout}; it goes on: "
                    "see leaderjobs status"
                )
            waker.wait(LOOK_EVERY)
            job = stores.jobs.get(job.id)
    finally:
        waker.close()
    return job
