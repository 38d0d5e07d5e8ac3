"""`leaderjobs run`, but with what a test does to it first: `python -m tests.cluster.member JSON [arguments]`.

The product has no switch for any of this. What may be asked for (all of it optional):

    clock      a file with seconds by which this member's wall clock is ahead; it may change while it runs
    points     a directory of tokens, see `tests.cluster.points`
    mutations  guards that are taken out, see `tests.cluster.mutations`
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from leaderjobs import clock

LOOK_EVERY = 0.1


def apply(told: Mapping[str, Any]) -> None:
    """Do to this process what is asked for."""
    from tests.cluster.mutations import HABITS, MUTATIONS
    from tests.cluster.points import Places

    if told.get("clock"):
        move_clock(Path(told["clock"]))
    for name in told.get("mutations", ()):
        {**MUTATIONS, **HABITS}[name]()
    if told.get("points"):
        Places(Path(told["points"])).install()


def move_clock(path: Path) -> None:
    """Add what the file says to the wall clock, and to nothing else; a thread keeps looking."""
    true, offset = clock.now, [timedelta(0)]

    def look() -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_EVERY):
            with contextlib.suppress(OSError, ValueError):
                offset[0] = timedelta(seconds=float(path.read_text()))

    threading.Thread(target=look, name="moved-clock", daemon=True).start()
    clock.now = lambda: true() + offset[0]


def main() -> None:
    """Take the first argument for ourselves, and leave the rest to the product."""
    from leaderjobs.cli import main as run

    apply(json.loads(sys.argv.pop(1)))
    run()


if __name__ == "__main__":
    main()
