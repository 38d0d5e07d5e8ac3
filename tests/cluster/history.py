"""What happened in a run, told by those who only watch: the database, the proxies, the provider, the nemesis.

Instants are seconds of the machine's own wall clock, which all of them share; a member whose clock the nemesis
moves only moves its own. Entries of the database have the instant of their commit, where the server keeps it, and
the `id` of their audit row, which is their order within one transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec

MOST_ENTRIES: Final = 500_000
MOST_STORY_LINES: Final = 60
MOST_LINE_CHARACTERS: Final = 240


class What(StrEnum):
    """Kinds of entries, and what their facts are."""

    RUN = "run"
    """The rig, first of all: seed, servers, and the rules of each operation (`checks_effects.Rules`)."""
    RAISE = "raise"
    """Committed: the fence was raised to `term` (member)."""
    BATCH = "batch"
    """Committed: a page of a stream (sequence)."""
    JOB = "job"
    """Committed: a job's state or attempt changed (was, state, attempt, target)."""
    EFFECT = "effect"
    """Committed: an effect's state changed (was, state, code, reason, arguments)."""
    STAMP = "stamp"
    """Committed: a permission to send (n, basis, member)."""
    EVIDENCE = "evidence"
    """Committed: what became of a send (n, told, code)."""
    SEND = "send"
    """The first byte of a request with a key left a member (n, key, path, body)."""
    LOOK = "look"
    """The same for a request without one (method, path)."""
    ANSWER = "answer"
    """An answer began to reach the member (status, replayed, whole)."""
    SERVED = "served"
    """The provider's own list of arrivals (acted, status, replayed)."""
    PAYMENT = "payment"
    """The provider's book: something took effect (kind, thing, by)."""
    FAULT = "fault"
    """The nemesis begins (number, kind, target)."""
    HEALED = "healed"
    """The nemesis has undone it (number, kind, target)."""
    PAGES = "pages"
    """One snapshot of a stream: its staged pages, and what its cursor says (staged, expected)."""
    REPLICA = "replica"
    """A member's replica, and the database AFTER it was read (member, position, database)."""
    BOOKS = "books"
    """Once syncs have ended: what the provider and Postgres hold (provider, postgres, agree)."""
    DIED = "died"
    """A member's process ended without having been told to (member, code)."""
    AGED = "aged"
    """A test put an effect's ledger back in time, as if so much of it had passed (seconds)."""
    LEAK = "leak"
    """A secret was found (secret, place)."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that happened."""

    at: float
    who: str
    what: What
    id: int = 0
    term: int = 0
    """0: of no term."""
    effect: str = ""
    job: int = 0
    stream: str = ""
    facts: dict[str, Any] = {}

    def fact(self, name: str) -> Any:
        """One of the facts; None when it is not there."""
        return self.facts.get(name)

    @property
    def n(self) -> int:
        """Which send of its effect this belongs to."""
        return int(self.facts.get("n") or 0)


class History:
    """A file of JSON lines, one an entry, that grows while the run goes on; any thread."""

    def __init__(self, path: Path) -> None:
        """Begins a new file."""
        self.path = path
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._file: IO[bytes] | None = path.open("wb")

    def add(self, *entries: Entry) -> None:
        """Write entries down; OverflowError when there are more than anybody would read."""
        with self._lock:
            if len(self._entries) + len(entries) > MOST_ENTRIES:
                raise OverflowError(
                    f"the history in {self.path} has {MOST_ENTRIES} entries, and takes no more"
                )
            self._entries.extend(entries)
            if self._file is not None:
                self._file.write(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))

    def entries(self) -> list[Entry]:
        """Everything so far, in the order in which it happened."""
        with self._lock:
            return ordered(self._entries)

    def close(self) -> None:
        """Let go of the file; what comes later is kept in memory only."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(path: Path) -> list[Entry]:
    """The entries of a file, in the order in which they happened."""
    decoder = msgspec.json.Decoder(Entry)
    return ordered(decoder.decode(line) for line in path.read_bytes().splitlines())


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """By instant; those of the database among themselves as they were committed."""
    return sorted(entries, key=lambda entry: (entry.at, entry.id))


def committed(entries: Iterable[Entry], *kinds: What) -> list[Entry]:
    """Those of the database, in its own order; of these kinds, or of all."""
    found = [entry for entry in entries if entry.id and (not kinds or entry.what in kinds)]
    return ordered(found)


class Violation(AssertionError):
    """An invariant does not hold; the message is one sentence, and the shortest story that shows it."""

    def __init__(self, rule: str, said: str, story: Iterable[Entry] = ()) -> None:
        """The story is put in order here."""
        self.rule = rule
        self.said = said
        self.story = list({id(entry): entry for entry in ordered(story)}.values())
        super().__init__("\n".join([f"{rule}: {said}", *told(self.story)]))


def told(entries: Sequence[Entry]) -> Iterator[str]:
    """One line each; of a long story the middle is left out."""
    half = MOST_STORY_LINES // 2
    for place, entry in enumerate(entries):
        if half <= place < len(entries) - half:
            if place == half:
                yield f"  ... {len(entries) - 2 * half} more ..."
            continue
        of = [
            *([f"term {entry.term}"] if entry.term else []),
            *([f"effect {entry.effect[:8]}"] if entry.effect else []),
            *([f"job {entry.job}"] if entry.job else []),
            *([entry.stream] if entry.stream else []),
        ]
        facts = [
            f"{name}={value}" for name, value in entry.facts.items() if value is not None and value != ""
        ]
        yield f"  {entry.at - entries[0].at:+10.4f} s  {entry.who:<10} {entry.what:<8} " + " ".join(
            [*of, *facts]
        )
