"""All checks, and the judge that runs them over a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tests.cluster.checks_effects import (
    check_bases,
    check_jobs_of_effects,
    check_once,
    check_settled,
    check_stamps,
)
from tests.cluster.checks_terms import (
    check_attempts,
    check_books,
    check_members,
    check_pages,
    check_replicas,
    check_rescues,
    check_secrets,
    check_sends_of_terms,
    check_sequences,
    check_terms,
)
from tests.cluster.history import Entry, Violation

Check = Callable[[Sequence[Entry]], None]

ALWAYS: Final[tuple[Check, ...]] = (
    check_terms,
    check_sends_of_terms,
    check_once,
    check_stamps,
    check_bases,
    check_pages,
    check_sequences,
    check_replicas,
    check_rescues,
    check_attempts,
    check_members,
    check_secrets,
)
"""What holds at every moment. I5 is not among them: there are no schedules."""
AT_THE_END: Final[tuple[Check, ...]] = (check_settled, check_jobs_of_effects, check_books)
"""What must have come true once everything works again."""


def violations(entries: Sequence[Entry], checks: Sequence[Check] = (*ALWAYS, *AT_THE_END)) -> list[Violation]:
    """The first violation that each check finds, the shortest story first."""
    found = []
    for check in checks:
        try:
            check(entries)
        except Violation as violation:
            found.append(violation)
    return sorted(found, key=lambda violation: len(violation.story))


def judge(entries: Sequence[Entry], checks: Sequence[Check] = (*ALWAYS, *AT_THE_END)) -> None:
    """Raise the violation with the shortest story, if there is any."""
    found = violations(entries, checks)
    if found:
        raise found[0]
