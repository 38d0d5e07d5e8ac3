"""What tests ask of a running cluster, always from the books of Postgres and of the provider."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from leaderjobs.demo.judge import judge
from leaderjobs.demo.rig import SYNC, Rig
from leaderjobs.model.job import Job, JobState
from tests.cluster.audit import Audit
from tests.support import eventually

COMMAND_PATIENCE = 60


def pages(rig: Rig) -> int:
    marker = rig.stores.markers.load(SYNC, "transactions")
    return marker.sequence if marker else 0


def newest_term(rig: Rig) -> int:
    marker = rig.stores.markers.load(SYNC, "transactions")
    return marker.term if marker else 0


def assert_rows_equal(rig: Rig) -> None:
    """I8: what Postgres holds is what the provider's own books hold."""
    judgement = judge(rig)
    assert judgement.agree, judgement


def assert_completed(rig: Rig, job: Job, timeout: float = 90) -> None:
    """The job ends well on its first attempt (I7), and the books agree (I8)."""
    eventually(lambda: rig.stores.jobs.get(job.id).state.final, timeout, "the sync to end")
    done = rig.stores.jobs.get(job.id)
    assert (done.state, done.attempt) == (JobState.COMPLETED, 1), done
    assert_rows_equal(rig)


def start_workers(rig: Rig, *names: str) -> str:
    """Start members and give the first leader."""
    for name in names:
        rig.start_worker(name)
    return eventually(rig.leader, 60, "a first leader")


def flowing(rig: Rig, more: int = 5, timeout: float = 30) -> int:
    """Wait until `more` further pages are committed; how many there are then."""
    goal = pages(rig) + more
    eventually(lambda: pages(rig) >= goal, timeout, f"{more} more pages")
    return pages(rig)


def syncing(rig: Rig, *names: str) -> tuple[Rig, Audit, Job]:
    """A cluster in the middle of a sync, with the record of its commits."""
    audit = Audit(rig.postgres.url)
    start_workers(rig, *names)
    job = rig.enqueue()
    flowing(rig)
    return rig, audit, job


def leaderjobs(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line against the rig's configuration, as a user would."""
    command = [sys.executable, "-m", "leaderjobs", "--config", str(rig.config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_PATIENCE, check=False)


def status(rig: Rig) -> dict[str, Any]:
    """The document of `status --output json`."""
    ran = leaderjobs(rig, "status", "--output", "json")
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def other_config(rig: Rig, file_name: str, **replacements: str) -> Path:
    """The rig's configuration with some values replaced."""
    text = rig.config.read_text()
    for old, new in replacements.items():
        before, after = f"{old} = ", f"{old} = {new}\n"
        start = text.index(before)
        text = text[:start] + after + text[text.index("\n", start) + 1 :]
    path = rig.directory / file_name
    path.write_text(text)
    path.chmod(0o600)
    return path
