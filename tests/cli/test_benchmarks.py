"""Every benchmark runs, and its JSON is what it promises; the sizes here are too small to mean anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHAPE = {
    "name": str,
    "unit": str,
    "min": float,
    "median": float,
    "max": float,
    "runs": int,
    "peer": (str, type(None)),
    "peer_median": (float, type(None)),
    "ratio": (float, type(None)),
}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["failover", "--only", "sigterm"], ["sigterm"]),
        pytest.param(
            ["replica_lag", "--busy-seconds", "2", "--idle-seconds", "3"],
            ["lag_busy_p50", "lag_busy_p99", "lag_idle_p50", "lag_idle_p99"],
            marks=pytest.mark.soak,
        ),
        (
            # The other peers are fetched from a package index, which tests never ask.
            ["load", "--rows", "2000", "--big-rows", "2500", "--peers", "copy"],
            [
                *("upsert_first", "upsert_again", "staged", "sync_end_to_end"),
                *("sync_peak_memory_2k", "sync_peak_memory_2500"),
            ],
        ),
        (["startup"], ["help", "status"]),
        pytest.param(
            ["throughput", "--jobs", "2000", "--ended", "5000", "--latency-jobs", "5", "--peers", ""],
            ["noop_jobs", "start_p50", "start_p99", "noop_jobs_old_snapshot", "member_memory"],
            marks=pytest.mark.soak,
        ),
        pytest.param(
            ["charges", "--invoices", "20"],
            ["payments_per_invoice", "payments_of_one_invoice_at_most"],
            marks=pytest.mark.soak,
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_benchmark_prints_its_figures_as_json(arguments: list[str], names: list[str]) -> None:
    name, *options = arguments
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--runs", "1", "--output", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=ROOT)

    assert ran.returncode == 0, ran.stderr
    documents = json.loads(ran.stdout)
    assert [document["name"] for document in documents] == names
    for document in documents:
        assert list(document) == list(SHAPE)
        for key, kind in SHAPE.items():
            assert isinstance(document[key], kind), (key, document)  # type: ignore[arg-type]  # a type or several
        assert 0 < document["min"] <= document["median"] <= document["max"]
        assert document["runs"] == 1
