"""The queue as its leader works through it: what comes next, and what ended and begins, a batch at a time.

The hot path of a busy cluster. So rows are tuples, many ids travel as one literal (psycopg's own array dumper
takes a microsecond for each), and a `Job` is made of a claimed row by whoever runs it, not while others wait.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from psycopg import Cursor
from psycopg.rows import tuple_row

from leaderjobs.model.job import (
    Cancelled,
    Completed,
    Discard,
    GiveBack,
    Hold,
    Job,
    JobState,
    Outcome,
    Postpone,
    Progress,
    Retry,
    Uncertain,
    Window,
)
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Connection, Database, TermConnections, fenced
from leaderjobs.store.text import storable

MOST_WAIT = timedelta(days=3650)
"""Longer delays are taken as this: Postgres has no instants without end."""
_SQL = queries.load("queue")
_NO_PROGRESS = Progress()

Place: TypeAlias = tuple[datetime, int]
"""Where a job stands in its strand: when it is due, and its id."""
ClaimedRow: TypeAlias = tuple[Any, ...]
"""A job that has just been claimed, for `job_of`; begins with id, attempt, connection, effect, time_limit."""
_CONNECTION, _EFFECT, _OF_END = 2, 3, 4


class Found(NamedTuple):
    """The first job of a strand; `wait`: seconds until it is due, None when it is."""

    connection: str
    priority: int
    operations: bool
    scheduled_at: datetime
    id: int
    wait: float | None


class Reading(NamedTuple):
    """A strand, and the place after which it is read."""

    connection: str
    priority: int
    operations: bool
    after: Place


Read: TypeAlias = tuple[int, int, datetime, float | None]
"""A job that comes next: which of the readings it belongs to, counted from 1; its id; when it is due, and how
many seconds that is from now, None when it is due."""


@dataclass(slots=True, eq=False)
class Finished:
    """An attempt that is over, and how it went."""

    row: ClaimedRow
    """What was claimed."""
    outcome: Outcome | None


class Ended(NamedTuple):
    """How a job is after its attempt; `due`: when it may run again, where it may."""

    state: JobState
    due: datetime | None = None


class Turned(NamedTuple):
    """What a turn did."""

    ended: Mapping[int, Ended]
    """By job; a job that is gone is not there."""
    claimed: Sequence[ClaimedRow]
    read: Sequence[Read]


class Queue:
    """The jobs of one cluster that are not final. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster

    def turn(
        self,
        connections: TermConnections,
        term: Term,
        finished: Sequence[Finished] = (),
        wanted: Collection[int] = (),
        readings: Sequence[Reading] = (),
        *,
        each: int = 1,
        mended: Collection[str] = (),
    ) -> Turned:
        """Record what ended, then claim what is wanted, then read on: one transaction, one round trip.

        An attempt that does not run under this term any more (a turn whose acknowledgement was lost and that
        is sent again) changes nothing and shows the state that its job has. Of the wanted only those are
        claimed that may still start; wanted must be no job whose attempt of this term is still under way.
        `mended`: connections whose hold ends, because a job of theirs was completed. Errors as `pool.fenced`.
        """
        completed = sorted(each.row[:_OF_END] for each in finished if isinstance(each.outcome, Completed))
        others = [each for each in finished if not isinstance(each.outcome, Completed)]
        with fenced(connections, term) as connection:
            ends = self._end(connection, term, completed, others, mended) if finished else (None, None)
            claimed = self._claim(connection, term, wanted) if wanted else None
            read = self._read(connection, readings, each) if readings else None
        ended = self._ended(completed, others, *ends)
        return Turned(ended, claimed.fetchall() if claimed else (), read.fetchall() if read else ())

    def read(self, readings: Sequence[Reading], each: int) -> list[Read]:
        """At most `each` jobs that come next in every strand; in order within a strand."""
        with self._database.transaction() as connection:
            cursor = self._read(connection, readings, each)
        return cursor.fetchall()

    def strands(self, most: int) -> list[Found]:
        """Every strand that has a waiting job, with the first of it; at most `most`."""
        rows = self._database.rows(_SQL["strands"], {"cluster": self._cluster, "most": most})
        return [Found(**row) for row in rows]

    def holds(self) -> dict[str, float]:
        """The connections that are held, and for how many seconds yet; those whose probe is due are there."""
        rows = self._database.rows(_SQL["holds"], {"cluster": self._cluster})
        return {row["connection"]: row["wait"] for row in rows}

    def cancelled(self, ids: Collection[int]) -> list[int]:
        """Those of the jobs that a person has asked to cancel."""
        rows = self._database.rows(_SQL["cancelled"], {"cluster": self._cluster, "ids": list(ids)})
        return [row["id"] for row in rows]

    # -- parts of a turn -----------------------------------------------------------------------------------

    def _end(
        self,
        connection: Connection,
        term: Term,
        completed: Sequence[ClaimedRow],
        others: Sequence[Finished],
        mended: Collection[str],
    ) -> tuple[Cursor[Any] | None, Cursor[Any] | None]:
        who = {"cluster": self._cluster, "number": term.number}
        effects = [row[_EFFECT] for row in completed if row[_EFFECT] is not None]
        effects += [each.row[_EFFECT] for each in others if each.row[_EFFECT] is not None]
        if effects:
            connection.execute(_SQL["hold_effects"], {"effects": effects})
        if mended:
            enders = [row for row in completed if row[_CONNECTION] in mended]
            connection.execute(_SQL["clear"], {**who, **_tries(enders)})
        counted = tabled = None
        if completed:
            counted = _tuples(connection).execute(_SQL["complete"], {**who, **_tries(completed)})
        if others:
            endings = json.dumps([_ending(each) for each in others])
            tabled = _tuples(connection).execute(_SQL["finish"], {**who, "endings": endings})
        return counted, tabled

    def _claim(self, connection: Connection, term: Term, wanted: Collection[int]) -> Cursor[Any]:
        who = {"cluster": self._cluster, "number": term.number, "member": term.member}
        return _tuples(connection).execute(_SQL["claim"], {**who, "ids": _literal(sorted(wanted))})

    def _read(self, connection: Connection, readings: Sequence[Reading], each: int) -> Cursor[Any]:
        parameters = {
            "cluster": self._cluster,
            "connections": _texts(reading.connection for reading in readings),
            "priorities": _literal(reading.priority for reading in readings),
            "operations": _literal(reading.operations for reading in readings),
            "ats": _texts(reading.after[0].isoformat() for reading in readings),
            "ids": _literal(reading.after[1] for reading in readings),
            "each": each,
        }
        return _tuples(connection).execute(_SQL["read"], parameters)

    def _ended(
        self,
        completed: Sequence[ClaimedRow],
        others: Sequence[Finished],
        counted: Cursor[Any] | None,
        tabled: Cursor[Any] | None,
    ) -> dict[int, Ended]:
        ended: dict[int, Ended] = {}
        missing: list[int] = []
        if counted:
            if counted.fetchall()[0][0] == len(completed):
                done = Ended(JobState.COMPLETED)
                ended = dict.fromkeys((row[0] for row in completed), done)
            else:
                missing = [row[0] for row in completed]
        if tabled:
            for job, state, due in tabled:
                found = JobState(state)
                ended[job] = Ended(found, None if found.final else due)
            missing += [each.row[0] for each in others if each.row[0] not in ended]
        if missing:
            rows = self._database.rows(_SQL["states"], {"cluster": self._cluster, "ids": missing})
            for row in rows:
                found = JobState(row["state"])
                moves = not found.final and found is not JobState.RUNNING
                ended[row["id"]] = Ended(found, row["scheduled_at"] if moves else None)
        return ended


def job_of(row: ClaimedRow) -> Job:
    """The job of a row that was just claimed."""
    (
        job, attempt, connection, effect, time_limit, target, streams, key, priority, max_attempts,
        scheduled_at, created_at, started_at, error, stream, pages, rows, stream_rows, total, full, since,
        until, begun, started_rows, schedule, fire_time, term, member,
    ) = row  # fmt: skip
    return Job(
        id=job,
        target=target,
        connection=connection,
        streams=tuple(streams),
        state=JobState.RUNNING,
        key=key,
        priority=priority,
        attempt=attempt,
        max_attempts=max_attempts,
        scheduled_at=scheduled_at.astimezone(UTC),
        created_at=created_at.astimezone(UTC),
        started_at=started_at.astimezone(UTC),
        finished_at=None,
        term=term,
        member=member,
        error=error,
        progress=Progress(stream, pages, rows, stream_rows, total) if stream or total else _NO_PROGRESS,
        effect=effect,
        full=full,
        window=Window(_utc(since), _utc(until)) if since or until else None,
        begun=tuple(begun),
        started_rows=started_rows,
        time_limit=time_limit,
        schedule=schedule,
        fire_time=_utc(fire_time),
    )


def _utc(instant: datetime | None) -> datetime | None:
    return instant and instant.astimezone(UTC)


def _tuples(connection: Connection) -> Cursor[Any]:
    return connection.cursor(row_factory=tuple_row)


def _tries(rows: Sequence[ClaimedRow]) -> dict[str, str]:
    return {"ids": _literal(row[0] for row in rows), "attempts": _literal(row[1] for row in rows)}


def _texts(values: Iterable[str]) -> str:
    return f"{{{','.join(_quoted(value) for value in values)}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _literal(values: Iterable[int | bool]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _ending(finished: Finished) -> dict[str, object]:
    """As `leaderjobs.finish` reads it: `spends` may exhaust the attempts, `back` attempts are given back."""
    ending: dict[str, object]
    match finished.outcome:
        case Completed() | None:
            raise AssertionError("completed attempts have a way of their own, others an outcome")
        case Retry(delay, error):
            ending = _end("retried", JobState.RETRYABLE, delay=delay, error=error, spends=True)
        case Hold(delay, code, error, person):
            ending = _end("held", JobState.RETRYABLE, delay=delay, error=error, back=1)
            ending |= {"code": storable(code), "person": person}
        case Discard(error):
            ending = _end("discarded", JobState.DISCARDED, error=error)
        case GiveBack():
            ending = _end("given_back", JobState.AVAILABLE, back=1)
        case Postpone(delay, error, seen):
            ending = {**_end("postponed", JobState.RETRYABLE, delay=delay, error=error, back=1), "seen": seen}
        case Uncertain(delay, error, seen):
            ending = {**_end("uncertain", JobState.UNCERTAIN, delay=delay, error=error, back=1), "seen": seen}
        case Cancelled():
            ending = _end("cancelled", JobState.CANCELLED)
    return {"id": finished.row[0], "attempt": finished.row[1], **ending}


def _end(
    outcome: str,
    state: JobState,
    *,
    spends: bool = False,
    back: int = 0,
    delay: timedelta | None = None,
    error: str | None = None,
) -> dict[str, object]:
    return {
        "outcome": outcome,
        "state": state.value,
        "spends": spends,
        "back": back,
        "delay": None if delay is None else min(delay, MOST_WAIT).total_seconds(),
        "error": None if error is None else storable(error),
    }
