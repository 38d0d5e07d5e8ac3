"""Jobs of effects in the queue: beside each other, never spent by waiting, never given up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leaderjobs.engine.limiter import OPERATIONS_AT_ONCE
from leaderjobs.model.job import Cancelled, Completed, JobState, Postpone, Uncertain
from leaderjobs.store.jobs import MOST_RESCUES
from tests.integration.store.rig import Admin, Cluster

HOUR = timedelta(hours=1)


def test_operations_run_beside_each_other_and_beside_the_sync_of_their_connection(cluster: Cluster) -> None:
    for n in range(OPERATIONS_AT_ONCE + 2):
        cluster.plan(f"invoice:in_{n}:pay")
    cluster.plan("invoice:x:pay", connection="other")
    cluster.enqueue("billing")
    cluster.enqueue("billing")
    led = cluster.lead()

    claimed = cluster.claim(led, limit=20)

    assert sum(1 for job in claimed if job.effect and job.connection == "billing") == OPERATIONS_AT_ONCE
    assert sum(1 for job in claimed if job.effect is None) == 1
    assert sum(1 for job in claimed if job.connection == "other") == 1


@pytest.mark.parametrize(
    ("outcome", "state", "attempt"),
    [
        (Postpone(HOUR, "why"), JobState.RETRYABLE, 0),
        (Uncertain(HOUR, "why"), JobState.UNCERTAIN, 0),
        (Cancelled(), JobState.CANCELLED, 1),
        (Completed(), JobState.COMPLETED, 1),
    ],
)
def test_waiting_for_an_effect_spends_no_attempt(
    cluster: Cluster, outcome: Postpone | Uncertain | Cancelled | Completed, state: JobState, attempt: int
) -> None:
    cluster.plan()
    led = cluster.lead()
    (job,) = cluster.claim(led)

    assert cluster.finish(led, job, outcome) is state
    now = cluster.jobs.get(job.id)
    assert now.attempt == attempt
    assert (now.finished_at is not None) == state.final


def test_an_operation_is_never_given_up_for_the_leaders_it_outlived(cluster: Cluster, admin: Admin) -> None:
    cluster.plan()
    led = cluster.lead()
    (job,) = cluster.claim(led)
    admin.execute("UPDATE leaderjobs.jobs SET rescues = %s", (MOST_RESCUES * 2,))
    led = cluster.lead()

    assert cluster.jobs.rescue(led.connections, led.term) == 1
    assert cluster.jobs.get(job.id).state is JobState.AVAILABLE
