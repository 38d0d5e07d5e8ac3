"""The queue: what is enqueued, claimed and recorded."""

from __future__ import annotations

from datetime import timedelta

from leaderjobs.model.job import (
    JobState,
)
from tests.integration.store.rig import Admin, Cluster

HOUR = timedelta(hours=1)


def test_sync_that_was_cancelled_before_its_leader_died_ends_cancelled(
    cluster: Cluster, admin: Admin
) -> None:
    job = cluster.start(cluster.lead())
    admin.execute("UPDATE leaderjobs.jobs SET cancel_requested_at = now()")
    new = cluster.lead()

    assert cluster.jobs.rescue(new.connections, new.term) == 1

    assert cluster.jobs.get(job.id).state is JobState.CANCELLED
    assert admin.execute("SELECT outcome, term FROM leaderjobs.attempts").fetchall() == [("cancelled", 1)]
