"""I9: no secret in a log, an error, `ps`, a job row, a marker or a node of the coordinator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leaderjobs.demo.rig import Plan
from leaderjobs.model.job import JobState
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.leaks import command_lines, nodes, tables
from tests.cluster.watching import flowing, leaderjobs, start_workers
from tests.support import eventually

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]
PLAN = Plan(session_timeout=timedelta(seconds=4), transactions=5_000, latency=timedelta(milliseconds=30))


def test_no_secret_is_anywhere_after_good_and_bad_days(start: Start) -> None:
    rig = start(PLAN)
    audit = Audit(rig.postgres.url)
    secrets = [(rig.directory / name).read_text().strip() for name in ("client_id", "secret", "access_token")]
    secrets.append(rig.postgres.password_file.read_text().strip())
    start_workers(rig, "a", "b")
    job = rig.enqueue()
    flowing(rig)
    rig.provider.faults(
        {"kind": "server_error", "count": 1},
        {"kind": "html", "count": 1, "skip": 1},
        {"kind": "reset", "count": 1, "skip": 2},
        {"kind": "login_required", "skip": 4},
    )
    eventually(rig.stores.holds.all, 30, "the connection to be held")
    seen = command_lines() + nodes(rig.zookeeper.address) + tables(audit)
    rig.postgres.stop()
    for arguments in (
        ("status",),
        ("status", "--output", "json"),
        ("-vv", "enqueue", "household"),
        ("-vv", "migrate"),
    ):
        ran = leaderjobs(rig, *arguments)
        seen += (ran.stdout + ran.stderr).encode()
    rig.postgres.start()
    rig.provider.faults(
        {"kind": "error", "error_type": "INVALID_INPUT", "error_code": "INVALID_API_KEYS", "status": 400}
    )
    rig.stores.holds.release("household")
    eventually(lambda: rig.stores.jobs.get(job.id).state is JobState.DISCARDED, 30, "the job to be given up")
    seen += tables(audit)
    logs = b"".join(path.read_bytes() for path in rig.directory.glob("*.log"))
    assert b"job_ended" in logs
    for place, text in (("commands, nodes and rows", seen), ("logs", logs)):
        for secret in secrets:
            assert len(secret) > 8
            assert secret.encode() not in text, f"a secret is in {place}"
