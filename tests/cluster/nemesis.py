"""What goes wrong when: a schedule that the seed alone decides, and whoever carries it out.

Faults overlap, and some are drawn in pairs. A fault says whom it strikes by role ("leader", or one of the three
members); who that is turns out when it begins, and the history says so. A fault that would strike what another
one has under way takes another member, or is left out, and the history says that too.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from leaderjobs.clock import elapsed
from tests.cluster.history import What
from tests.cluster.strikes import STRIKES, Kind, Struck

GAP: Final = (0.4, 3.6)
"""Seconds between two faults, at least and at most."""
PAIRED: Final = 0.25
"""How often a fault comes together with another."""
ON_LEADER: Final = 0.7
"""How often a fault is meant for whoever leads."""
JOIN_PATIENCE: Final = 90.0

# How often each is drawn, and for how many seconds it lasts.
WEIGHTS: Final[Mapping[Kind, tuple[int, float, float]]] = {
    Kind.KILL: (12, 0.1, 1.5),
    Kind.PAUSE: (12, 2.2, 4.0),
    Kind.STOP: (6, 0.1, 1.0),
    Kind.ZOOKEEPER_DOWN: (5, 0.2, 3.0),
    Kind.QUORUM_LOST: (4, 0.5, 4.0),
    Kind.ZOOKEEPER_ISOLATED: (4, 1.0, 4.0),
    Kind.CUT_ZOOKEEPER: (10, 0.3, 4.0),
    Kind.CUT_POSTGRES: (8, 0.3, 4.0),
    Kind.POSTGRES_RESTART: (4, 0.0, 1.0),
    Kind.BACKENDS_ENDED: (8, 0.0, 0.1),
    Kind.PROVIDER: (30, 0.3, 3.0),
    Kind.WIRE: (14, 0.3, 2.5),
    Kind.SLOW: (6, 1.0, 4.0),
    Kind.CLOCK: (8, 1.0, 6.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the schedule."""

    number: int
    at: float
    """Seconds after the beginning."""
    kind: Kind
    target: str
    """`leader`, or a member's name."""
    seconds: float
    how: Mapping[str, Any]

    def __str__(self) -> str:
        how = " ".join(f"{name}={value}" for name, value in self.how.items())
        return (
            f"{self.number:4} {self.at:8.2f} s  {self.kind:<18} {self.target:<6} {self.seconds:5.2f} s  {how}"
        )


def schedule(seed: int, seconds: float) -> list[Fault]:
    """The faults of a run; a longer one begins with those of a shorter one."""
    source = random.Random(seed)
    kinds = list(WEIGHTS)
    weights = [WEIGHTS[kind][0] for kind in kinds]
    faults: list[Fault] = []
    at = 0.0
    while True:
        at += source.uniform(*GAP)
        for _ in range(2 if source.random() < PAIRED else 1):
            kind = source.choices(kinds, weights)[0]
            _, least, most = WEIGHTS[kind]
            target = "leader" if source.random() < ON_LEADER else source.choice("abc")
            how = STRIKES[kind].drawn(source)
            fault = Fault(
                len(faults) + 1, round(at, 3), kind, target, round(source.uniform(least, most), 3), how
            )
            if at >= seconds:
                return faults
            faults.append(fault)


class Nemesis:
    """Carries a schedule out on a field, each fault on a thread of its own."""

    def __init__(self, struck: Struck, faults: list[Fault]) -> None:
        """Nothing happens before `run`."""
        self._struck = struck
        self._faults = faults
        self._over = threading.Event()
        self._failed: list[BaseException] = []

    def run(self) -> None:
        """Strike until the schedule is done; afterwards everything is healed. Raises what a fault could not do."""
        began = elapsed()
        threads: list[threading.Thread] = []
        for fault in self._faults:
            if self._over.wait(max(0.0, began + fault.at - elapsed())):
                break
            thread = threading.Thread(
                target=self._strike, args=(fault,), name=f"fault-{fault.number}", daemon=True
            )
            threads.append(thread)
            thread.start()
        for thread in threads:
            thread.join(JOIN_PATIENCE)
            assert not thread.is_alive(), f"{thread.name} could not be healed"
        if self._failed:
            raise self._failed[0]

    def _strike(self, fault: Fault) -> None:
        field = self._struck.field
        facts = {"number": fault.number, "kind": fault.kind.value}
        try:
            with ExitStack() as stack:
                target = self._struck.reserve(stack, fault.kind, fault.target)
                if target is None:
                    field.tell("nemesis", What.FAULT, **facts, target=fault.target, left_out=True)
                    return
                more = {"target": target, "seconds": fault.seconds, **fault.how}
                field.tell("nemesis", What.FAULT, **facts, **more)
                try:
                    with STRIKES[fault.kind].strike(self._struck, target, fault.how):
                        self._over.wait(fault.seconds)
                finally:
                    field.tell("nemesis", What.HEALED, **facts, target=target)
        except BaseException as error:  # noqa: BLE001 - carried over to whoever runs the nemesis
            self._failed.append(error)
            self._over.set()
