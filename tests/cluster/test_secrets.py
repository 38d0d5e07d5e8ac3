"""I9: no secret in a log, an error, `ps`, a job row, a marker or a node of the coordinator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from leaderjobs.demo.rig import Plan, Rig
from leaderjobs.model.job import JobState
from tests.cluster.audit import Audit
from tests.cluster.conftest import Start
from tests.cluster.watching import flowing, leaderjobs, start_workers
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
PLAN = Plan(session_timeout=timedelta(seconds=4), transactions=5_000, latency=timedelta(milliseconds=30))


def nodes(rig: Rig) -> bytes:
    """Every path and content in ZooKeeper."""
    client = KazooClient(hosts=rig.zookeeper.address)
    client.start(timeout=10)
    try:
        found, waiting = b"", ["/"]
        while waiting:
            path = waiting.pop()
            found += path.encode() + b" " + (client.get(path)[0] or b"") + b"\n"
            waiting.extend(f"{path.rstrip('/')}/{name}" for name in client.get_children(path))
        return found
    finally:
        client.stop()
        client.close()


def tables(audit: Audit) -> bytes:
    """Every row of our own schema, and of the provider's tables, as text."""
    names = audit.execute(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('leaderjobs', 'plaid')"
    )
    rows = [audit.execute(f"SELECT t::text AS row FROM {name['name']} t") for name in names]
    return "\n".join(row["row"] for table in rows for row in table).encode()


def command_lines() -> bytes:
    """What `ps` shows of everybody, environment left out."""
    found = b""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found += (entry / "cmdline").read_bytes() + b"\n"
            except OSError:
                continue
    return found


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
    seen = command_lines() + nodes(rig) + tables(audit)
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
