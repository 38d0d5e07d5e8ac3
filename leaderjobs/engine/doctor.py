"""Checks of everything that is assumed, side by side: one that hangs or breaks harms no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeAlias

from leaderjobs import clock
from leaderjobs.errors import LeaderJobsError
from leaderjobs.model.finding import Examination, Finding, FindingVerdict

PATIENCE = timedelta(minutes=1)
"""For all checks together; each bounds its own waits below that."""
MOST_AT_ONCE = 6
"""Checks at work: few enough for a server that has hardly a connection left."""
Look: TypeAlias = Callable[[], Iterable[Finding]]
_UNUSABLE = frozenset({FindingVerdict.FAILED, FindingVerdict.SKIPPED})


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at; makes sense only where the first finding of each of `needs` is usable."""

    name: str
    look: Look
    needs: tuple[str, ...] = ()
    """Names of checks that stand before this one."""


@dataclass(slots=True)
class _Running:
    check: Check
    needs: list[_Running]
    findings: list[Finding] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def usable(self) -> bool:
        return bool(self.findings) and self.findings[0].verdict not in _UNUSABLE


def examine(
    cluster: str,
    checks: Sequence[Check],
    *,
    hide: Callable[[str], str],
    patience: timedelta = PATIENCE,
) -> Examination:
    """What every check has found, in their order; raises nothing and returns within `patience`.

    `hide` takes secrets out of a text; everything goes through it.
    """
    deadline = clock.elapsed() + patience.total_seconds()
    places = threading.BoundedSemaphore(MOST_AT_ONCE)
    running: dict[str, _Running] = {}
    for check in checks:
        running[check.name] = _Running(check, [running[name] for name in check.needs])
    for each in running.values():
        name = f"check-{each.check.name}"
        threading.Thread(target=_run, args=(each, places, deadline), name=name, daemon=True).start()
    findings: list[Finding] = []
    for each in running.values():
        done = each.ended.wait(max(0.0, deadline - clock.elapsed()))
        findings += each.findings
        if not done:
            findings.append(_unfinished(each, patience))
    hidden = (replace(each, message=hide(each.message), remedy=hide(each.remedy)) for each in findings)
    return Examination(cluster, tuple(hidden))


def _unfinished(running: _Running, patience: timedelta) -> Finding:
    name = running.check.name
    waits_for = next((each.check.name for each in running.needs if not each.ended.is_set()), None)
    if waits_for is not None:
        return skipped(name, f"needs {waits_for}")
    return failed(name, f"it had no answer within {patience.total_seconds():g} s", "look at what hangs there")


def _run(running: _Running, places: threading.BoundedSemaphore, deadline: float) -> None:
    # Not from a place of its own: those who are waited for need one.
    if all(needed.ended.wait(max(0.0, deadline - clock.elapsed())) for needed in running.needs):
        try:
            _look(running, places)
        finally:
            running.ended.set()


def _look(running: _Running, places: threading.BoundedSemaphore) -> None:
    name, findings = running.check.name, running.findings
    for needed in running.needs:
        if not needed.usable:
            findings.append(skipped(name, f"needs {needed.check.name}"))
            return
    try:
        with places:
            # One by one: what is known when time is up is told.
            for finding in running.check.look():
                findings.append(finding)
    except LeaderJobsError as error:
        findings.append(Finding(name, FindingVerdict.FAILED, str(error)))
    except Exception as error:  # noqa: BLE001 - one check must not take the others with it
        what = f"the check itself failed: {type(error).__name__}: {error}"
        findings.append(Finding(name, FindingVerdict.FAILED, what, "please report it"))


# -- findings ----------------------------------------------------------------------------------------------


def ok(check: str, message: str) -> Finding:
    """It holds."""
    return Finding(check, FindingVerdict.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(check, FindingVerdict.WARNING, message, remedy)


def failed(check: str, message: str, remedy: str) -> Finding:
    """Work stops, or will."""
    return Finding(check, FindingVerdict.FAILED, message, remedy)


def skipped(check: str, message: str, remedy: str = "") -> Finding:
    """It could not be looked at, or means nothing here."""
    return Finding(check, FindingVerdict.SKIPPED, message, remedy)
