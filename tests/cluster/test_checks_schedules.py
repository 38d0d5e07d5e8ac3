"""The judge of I5 finds what it looks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.model.schedule import CatchUp, FireOutcome, Schedule, ScheduleSpec, Source
from tests.cluster.checks_schedules import FireRow, JobRow, Stored, check_fires, check_none_lost
from tests.cluster.history import Violation

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
TIMES = tuple(START + n * timedelta(minutes=1) for n in range(1, 4))
SPEC = ScheduleSpec("each", "sync", "* * * * *", catch_up=CatchUp.ALL)
FINE = Stored(
    "acme",
    [Schedule(SPEC, Source.FILE, 1, START, TIMES[-1])],
    [
        FireRow("each", TIMES[1], FireOutcome.ENQUEUED, 1),
        FireRow("each", TIMES[2], FireOutcome.ENQUEUED, 2),
        FireRow("each", TIMES[0], FireOutcome.OVERLAPPED, None),
    ],
    [JobRow(1, "each", TIMES[1]), JobRow(2, "each", TIMES[2]), JobRow(9, "each", None)],
)


def test_what_is_as_it_should_be_passes() -> None:
    check_fires(FINE)
    check_none_lost(FINE, {"each": START})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda jobs, fires: (jobs.append(JobRow(7, "each", TIMES[1])), fires), "2 jobs of each"),
        (lambda jobs, fires: (jobs, fires.pop(0)), "job 1 of each for .* has no row of its own"),
        (lambda jobs, fires: (jobs.pop(0), fires.append(replace(fires[2], job=9))), "overlapped|names job 9"),
        (lambda jobs, fires: (jobs, fires.append(replace(fires.pop(2), job=2))), "is overlapped, job 2"),
    ],
)
def test_a_second_job_a_job_without_a_row_and_a_wrong_name_are_found(
    spoil: Callable[[list[JobRow], list[FireRow]], object], said: str
) -> None:
    jobs, fires = list(FINE.jobs), list(FINE.fires)
    spoil(jobs, fires)
    with pytest.raises(Violation, match=said):
        check_fires(replace(FINE, jobs=jobs, fires=fires))


def test_a_lost_fire_time_is_found() -> None:
    with pytest.raises(Violation, match=f"{TIMES[2].minute:02}:00.* has no row"):
        check_none_lost(replace(FINE, fires=[FINE.fires[0], FINE.fires[2]]), {"each": START})
