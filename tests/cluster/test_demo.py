"""`leaderjobs demo`: what it prints, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import eventually

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]
COMMAND = [sys.executable, "-m", "leaderjobs", "demo"]


def left_over(directory: Path) -> list[str]:
    """Command lines of processes that still have to do with the demo's temporary directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line:
                found.append(line)
    return found


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(tmp_path)}


def test_the_demo_agrees_with_the_provider_and_cleans_up(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "--output", "json", "--transactions", "20000"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment(tmp_path),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert list(told) == [
        "ok",
        "provider_rows",
        "postgres_rows",
        "pages_committed",
        "pages_pulled_twice",
        "kills",
        "failover_seconds",
        "terms",
    ]
    assert told["ok"] is True
    assert told["provider_rows"] == told["postgres_rows"] >= 20_000
    assert told["kills"] == len(told["failover_seconds"]) == 1
    assert told["terms"] >= 2
    # At the kill one page was being committed and one was fetched ahead; no other may be asked for twice.
    assert told["pages_pulled_twice"] <= 2
    assert told["pages_committed"] == 201
    assert left_over(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_everything_it_started(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        eventually(lambda: "enqueued" in demo.stdout.readline(), 60, "the sync to begin")  # type: ignore[union-attr]
        assert left_over(tmp_path)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "Traceback" not in errors
    assert left_over(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
