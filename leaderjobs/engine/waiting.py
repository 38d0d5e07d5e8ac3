"""Waiting for a job to end."""

from __future__ import annotations

from datetime import timedelta

from leaderjobs import clock
from leaderjobs.engine.stores import Stores
from leaderjobs.errors import LeaderJobsError
from leaderjobs.model.job import Job, JobState
from leaderjobs.store.waker import Waker

LOOK_EVERY = timedelta(milliseconds=500)
"""How long a job is left alone when nobody says that something has ended."""


def until_ended(stores: Stores, cluster: str, job: Job, timeout: timedelta) -> Job:
    """The job once it is final or uncertain; LeaderJobsError when the time is up."""
    deadline = clock.elapsed() + timeout.total_seconds()
    waker = Waker(stores.database, cluster)
    try:
        while not job.state.final and job.state is not JobState.UNCERTAIN:
            left = deadline - clock.elapsed()
            if left <= 0:
                raise LeaderJobsError(
                    f"job {job.id} is still {job.state.value} after {timeout}; it goes on: "
                    "see leaderjobs status"
                )
            waker.wait(min(LOOK_EVERY, timedelta(seconds=left)))
            job = stores.jobs.get(job.id)
    finally:
        waker.close()
    return job
