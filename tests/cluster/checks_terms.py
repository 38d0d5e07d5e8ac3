"""Checks over a history: terms and their writes (I1), pages (I3, I4, I8), jobs (I6, I7), secrets (I9).

Each is a pure function that raises a Violation with the shortest story, and returns when all is well. There is
none for I5 yet: there are no schedules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tests.cluster.history import Entry, Violation, What, committed

UNSPENT = frozenset({"scheduled", "available"})
"""States in which a job goes on as if the attempt had never been."""


def check_terms(entries: Sequence[Entry]) -> None:
    """I1: no write of a term after the raise of a later one; raises go up by one."""
    term = 0
    raised: dict[int, Entry] = {}
    for entry in committed(entries):
        if entry.what is What.RAISE:
            if entry.term != term + 1:
                raise Violation(
                    "I1", f"term {entry.term} was raised after {term}", [*[*raised.values()][-1:], entry]
                )
            term = entry.term
            raised[term] = entry
        elif entry.term and entry.what is not What.EVIDENCE and entry.term != term:
            story = [raise_ for number, raise_ in raised.items() if number in {entry.term, entry.term + 1}]
            raise Violation(
                "I1", f"{entry.what} of term {entry.term} was committed in term {term}", [*story, entry]
            )


def check_sends_of_terms(entries: Sequence[Entry]) -> None:
    """I1 at the provider: nothing is sent by a term once its successor has begun."""
    raised = {entry.term: entry for entry in entries if entry.what is What.RAISE}
    for entry in entries:
        successor = raised.get(entry.term + 1)
        if entry.what is What.SEND and successor is not None and entry.at > successor.at:
            stamps = [
                each
                for each in entries
                if each.what is What.STAMP and (each.effect, each.n) == (entry.effect, entry.n)
            ]
            raise Violation(
                "I1",
                f"term {entry.term} sent {1000 * (entry.at - successor.at):.1f} ms after term "
                f"{successor.term} had begun",
                [*stamps, successor, entry, *_faults_around(entries, entry.at)],
            )


def check_sequences(entries: Sequence[Entry]) -> None:
    """I4: each stream's sequence rises by exactly one per batch, from one."""
    streams: dict[str, list[Entry]] = defaultdict(list)
    for entry in committed(entries, What.BATCH):
        streams[entry.stream].append(entry)
    for stream, batches in streams.items():
        if batches[0].fact("sequence") != 1:
            raise Violation("I4", f"{stream} began at {batches[0].fact('sequence')}", batches[:1])
        for before, after in pairwise(batches):
            was, now = before.fact("sequence"), after.fact("sequence")
            if now != was + 1:
                raise Violation("I4", f"{stream} went from {was} to {now}", [before, after])


def check_replicas(entries: Sequence[Entry]) -> None:
    """I4: no replica is ahead of a database that was read after it."""
    for entry in entries:
        if entry.what is What.REPLICA and entry.fact("position") > entry.fact("database"):
            raise Violation("I4", f"the replica of {entry.fact('member')} is ahead of the database", [entry])


def check_pages(entries: Iterable[Entry]) -> None:
    """I3: in one snapshot the staged pages and the marker's cursor tell the same story."""
    for entry in entries:
        if entry.what is What.PAGES and entry.fact("staged") != entry.fact("expected"):
            raise Violation(
                "I3",
                f"{entry.stream} has {entry.fact('staged')} staged pages, its cursor says "
                f"{entry.fact('expected')}",
                [entry],
            )


def check_rescues(entries: Sequence[Entry]) -> None:
    """I6: before a term claims anything, every job that an older one left running is back in the queue."""
    running: dict[int, Entry] = {}
    claimed: set[int] = set()
    raises: dict[int, Entry] = {}
    for entry in committed(entries, What.RAISE, What.JOB):
        if entry.what is What.RAISE:
            raises[entry.term] = entry
            continue
        state, by = entry.fact("state"), entry.fact("by") or 0
        if state == "running" and by not in claimed:
            claimed.add(by)
            left = [claim for claim in running.values() if (claim.fact("by") or 0) < by]
            if left:
                raise Violation(
                    "I6",
                    f"term {by} began to work while job {left[0].job} was left running by term "
                    f"{left[0].fact('by')}",
                    [left[0], *([raises[by]] if by in raises else []), entry],
                )
        if state == "running":
            running[entry.job] = entry
        else:
            running.pop(entry.job, None)


def check_attempts(entries: Sequence[Entry]) -> None:
    """I7: an attempt counts for good only when the job itself failed; what a term loses is given back."""
    jobs: dict[int, list[Entry]] = defaultdict(list)
    for entry in committed(entries, What.JOB):
        jobs[entry.job].append(entry)
    for changes in jobs.values():
        spent = 0
        for entry in changes:
            was, state, attempt = entry.fact("was"), entry.fact("state"), entry.fact("attempt")
            expected = {spent + 1} if state == "running" else {spent}
            if was == "running" and state not in {*UNSPENT, "running"}:
                expected = {spent, spent + 1}
                spent = attempt
            if attempt not in expected:
                raise Violation(
                    "I7",
                    f"job {entry.job} is {state} with attempt {attempt}, and {spent} were spent",
                    changes[: changes.index(entry) + 1],
                )


def check_books(entries: Sequence[Entry]) -> None:
    """I8: when all is done, the provider and Postgres hold the same; somebody must have looked."""
    looked = [entry for entry in entries if entry.what is What.BOOKS]
    if not looked:
        raise Violation("I8", "nobody compared the provider's rows with those in Postgres")
    for entry in looked:
        if not entry.fact("agree"):
            raise Violation("I8", "the provider and Postgres hold different rows", [entry])


def check_secrets(entries: Sequence[Entry]) -> None:
    """I9: no secret was found anywhere."""
    for entry in entries:
        if entry.what is What.LEAK:
            raise Violation("I9", f"{entry.fact('secret')} is in {entry.fact('place')}", [entry])


def check_members(entries: Sequence[Entry]) -> None:
    """No member ends by itself, whatever is wrong around it."""
    for entry in entries:
        if entry.what is What.DIED:
            raise Violation(
                "I6", f"{entry.fact('member')} ended by itself with code {entry.fact('code')}", [entry]
            )


def _faults_around(entries: Sequence[Entry], at: float) -> list[Entry]:
    """The faults that had begun, and were not undone, at an instant."""
    open_faults: dict[object, Entry] = {}
    for entry in entries:
        if entry.at > at:
            break
        if entry.what is What.FAULT:
            open_faults[entry.fact("number")] = entry
        elif entry.what is What.HEALED:
            open_faults.pop(entry.fact("number"), None)
    return list(open_faults.values())
