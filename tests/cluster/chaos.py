"""`python -m tests.cluster.chaos --seconds N --seed S`: a cluster at work while everything around it breaks.

Three members, real servers, stand-ins behind proxies. The seed decides what goes wrong and when; it is printed
first, with the schedule. Everything that happens is written to a history, which is judged afterwards: exit
code 1, and the shortest story, when an invariant does not hold.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from leaderjobs.clock import elapsed
from leaderjobs.demo.rig import Plan
from tests.cluster.checks import violations
from tests.cluster.checks_effects import evidence_of_the_deposed, tally
from tests.cluster.feeding import background, collect, final_sync, look, open_invoices, pay, settled, sync
from tests.cluster.field import MEMBERS, Field, Terrain
from tests.cluster.history import Entry, Violation, What
from tests.cluster.nemesis import Nemesis, schedule
from tests.cluster.strikes import Struck
from tests.support import eventually

SESSION_TIMEOUT: Final = timedelta(seconds=2)
SETTLE_PATIENCE: Final = 300.0
"""Seconds after the last fault until everything must have come to its end, where no more was asked than it can do."""
SLOWEST_PER_SECOND: Final = 3.0
"""Invoices that are paid in a second, at the least, once nothing is wrong any more."""
DATA: Final = ("postgres", "zookeepers", "state", "points")
SHOWN: Final = 3
"""Violations that are told in full."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One run."""

    seconds: float
    seed: int
    zookeeper: int = 1
    invoices: int = 200


@dataclass
class Result:
    """What came of it."""

    history: Path
    entries: list[Entry]
    seconds_to_settle: float
    violations: list[Violation] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many really struck."""
        return sum(_struck(entry) for entry in self.entries)

    def summary(self) -> str:
        """A few lines of figures."""
        kinds = Counter(str(entry.fact("kind")) for entry in self.entries if _struck(entry))
        terms = sum(entry.what is What.RAISE for entry in self.entries)
        sends = sum(entry.what is What.SEND for entry in self.entries)
        late = sum(1 for _ in evidence_of_the_deposed(self.entries))
        effects = " ".join(f"{state}={count}" for state, count in tally(self.entries).items())
        return "\n".join(
            [
                f"faults: {self.faults} ({', '.join(f'{kind} {count}' for kind, count in kinds.most_common())})",
                f"terms: {terms}; sends: {sends}; evidence from deposed terms: {late}",
                f"effects: {effects or 'none'}; settled {self.seconds_to_settle:.1f} s after the last fault",
                f"history: {self.history} ({len(self.entries)} entries)",
            ]
        )


def _struck(entry: Entry) -> bool:
    return entry.what is What.FAULT and not entry.fact("left_out")


def run(directory: Path, wanted: Wanted, say: Callable[[str], None] = lambda _line: None) -> Result:
    """Let it all happen in a directory, and judge it."""
    faults = schedule(wanted.seed, wanted.seconds)
    say(f"seed {wanted.seed}, {wanted.seconds:g} s, {wanted.zookeeper} ZooKeeper, {len(faults)} faults:")
    for fault in faults:
        say(str(fault))
    terrain = Terrain(
        Plan(
            session_timeout=SESSION_TIMEOUT,
            transactions=2_000,
            page_size=100,
            latency=timedelta(milliseconds=10),
            row_bytes=300,
            seed=wanted.seed,
            settings={"drain_timeout": '"5s"'},
        ),
        zookeeper=wanted.zookeeper,
        invoices=wanted.invoices,
        seed=wanted.seed,
    )
    with ExitStack() as stack:
        cluster = stack.enter_context(Field(directory, terrain))
        say(f"history: {cluster.history.path}")
        for name in MEMBERS:
            cluster.start_member(name)
        eventually(lambda: cluster.stores.terms.current(0), 30, "a first leader")
        nemesis = Nemesis(Struck(cluster), faults)
        with background() as busy:
            busy.start("feeder", partial(pay, cluster, open_invoices(cluster), wanted.seconds))
            busy.start("syncs", partial(sync, cluster))
            busy.start("watcher", partial(look, cluster))
            nemesis.run()
            cluster.heal()
            busy.finish("feeder", SETTLE_PATIENCE)
        return _judged(cluster, SETTLE_PATIENCE + wanted.invoices / SLOWEST_PER_SECOND)


def _judged(cluster: Field, patience: float) -> Result:
    """Wait until all has come to its end, in peace; then collect and judge."""
    began = elapsed()
    stuck: list[Violation] = []
    try:
        eventually(lambda: settled(cluster), patience, "everything to be settled")
        seconds = elapsed() - began
        final_sync(cluster, patience)
    except AssertionError as error:
        seconds = elapsed() - began
        stuck.append(Violation("I6", str(error)))
    cluster.check_members()
    collect(cluster)
    entries = cluster.history.entries()
    return Result(cluster.history.path, entries, seconds, [*violations(entries), *stuck])


def main(arguments: list[str] | None = None) -> int:
    """Run it once; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.chaos", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are made")
    parser.add_argument("--seed", type=int, help="decides the schedule; any, and said, unless given")
    parser.add_argument("--zookeeper", type=int, choices=(1, 3), default=3, help="servers of it")
    parser.add_argument("--invoices", type=int, help="to be paid; 4 a second unless given")
    parser.add_argument("--keep", type=Path, help="a new directory for history, logs and data")
    given = parser.parse_args(arguments)
    invoices = given.invoices if given.invoices is not None else max(1, int(given.seconds * 4))
    seed = given.seed if given.seed is not None else random.randrange(1, 1_000_000)
    wanted = Wanted(given.seconds, seed, given.zookeeper, invoices)
    if given.keep is not None and given.keep.exists():
        parser.error(f"{given.keep} is there already; name a directory that is not")
    directory = given.keep or Path(tempfile.mkdtemp(prefix="chaos."))
    directory.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    result = run(directory, wanted, say)
    if given.keep is None:
        for name in DATA:  # what is left is small: the history, and what the members logged
            shutil.rmtree(directory / name, ignore_errors=True)
    say(result.summary())
    for violation in result.violations[:SHOWN]:
        say(f"\nVIOLATION {violation}")
    if result.violations:
        again = (
            f"--seconds {wanted.seconds:g} --seed {seed} --zookeeper {wanted.zookeeper} --invoices {invoices}"
        )
        say(f"\n{len(result.violations)} violations; again: python -m tests.cluster.chaos {again}")
        return 1
    say("I1 to I9 hold (I5: there are no schedules yet)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
