"""What an examination of one assumption has found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingVerdict(StrEnum):
    """How an assumption holds."""

    OK = "ok"
    WARNING = "warning"
    """It works, but somebody should know."""
    FAILED = "failed"
    """Work stops, or will."""
    SKIPPED = "skipped"
    """It could not be looked at, or means nothing here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `leaderjobs doctor`; nothing in it is secret."""

    check: str
    """`GROUP.ASSUMPTION`; a promise to scripts."""
    verdict: FindingVerdict
    message: str
    remedy: str = ""
    """What to do; empty when nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was looked at, in the order of the checks."""

    cluster: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether work stops, or will; warnings do not count."""
        return any(finding.verdict is FindingVerdict.FAILED for finding in self.findings)
