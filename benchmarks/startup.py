"""How long a person waits for the command line.

`help`: `leaderjobs --help`, whole process, beside `python -c "import click"`: in pairs, because a machine
that is slow for a moment must be slow for both. `status`: `leaderjobs status` against a running cluster
of one member; it asks both servers and has no peer.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks import figures
from benchmarks.cluster import started
from benchmarks.figures import Figure
from leaderjobs import clock
from leaderjobs.demo.rig import Plan

PATIENCE = 60
WARM_UP = 2


def command() -> list[str]:
    """The installed script, as a user calls it; the module where there is none."""
    script = Path(sys.executable).with_name("leaderjobs")
    return [str(script)] if script.exists() else [sys.executable, "-m", "leaderjobs"]


def milliseconds(arguments: Sequence[str]) -> float:
    """The wall time of a process that must succeed.

    Waiting with a timeout would poll in steps of up to 50 ms, which is half of what is measured here.
    """
    began = clock.elapsed()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    stuck = threading.Timer(PATIENCE, process.kill)
    stuck.start()
    code = process.wait()
    took = clock.elapsed() - began
    stuck.cancel()
    if code:
        raise subprocess.CalledProcessError(code, list(arguments))
    return took * 1000


def main() -> None:
    """Measure and print."""
    wanted = figures.parser(__doc__ or "", runs=15).parse_args()
    shown, imported = [], []
    for _ in range(WARM_UP + wanted.runs):
        shown.append(milliseconds([*command(), "--help"]))
        imported.append(milliseconds([sys.executable, "-c", "import click"]))
    figures.progress(f"help: {wanted.runs} pairs")
    with started(Plan(session_timeout=timedelta(seconds=10), transactions=100), "a") as rig:
        asking = [*command(), "--config", str(rig.config), "status"]
        status = [milliseconds(asking) for _ in range(WARM_UP + wanted.runs)]
    figures.progress(f"status: {wanted.runs} runs")
    found = [
        Figure("help", "ms", shown[WARM_UP:], 'python -c "import click"', imported[WARM_UP:]),
        Figure("status", "ms", status[WARM_UP:]),
    ]
    figures.show(found, wanted.output)


if __name__ == "__main__":
    main()
