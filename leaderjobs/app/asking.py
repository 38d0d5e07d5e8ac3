"""From a request to enqueue something to the job or the operation that it means, whoever asks.

The command, `leaderjobs.Client` and the leader that publishes syncs for SQL share this; `leaderjobs.enqueue`
keeps to the same rules in the database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from leaderjobs.config.settings import TIME_LIMIT
from leaderjobs.errors import UsageError
from leaderjobs.model.job import DEFAULT_PRIORITY, PRIORITIES, NewJob, OnConflict, Window
from leaderjobs.model.sync import Sync

if TYPE_CHECKING:
    from leaderjobs.config import Settings, SyncSettings

MOST_KEY_CHARACTERS = 200
KEY_ALLOWED = f"1 to {MOST_KEY_CHARACTERS} printable characters"
TIME_LIMIT_ALLOWED = "1 second to 30 days"


@dataclass(frozen=True, slots=True)
class Request:
    """A wish to run a sync, or to bring about an operation's effect; instants are aware."""

    target: str
    """A sync by its name, or CONNECTION.OPERATION."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    key: str | None = None
    at: datetime | None = None
    delay: timedelta | None = None
    priority: int = DEFAULT_PRIORITY
    streams: Sequence[str] | None = None
    """None: those of the sync."""
    full: bool = False
    since: datetime | None = None
    until: datetime | None = None
    on_conflict: OnConflict = OnConflict.SKIP
    time_limit: timedelta | None = None
    """None: that of the sync."""
    dashes: str = ""
    """What stands before the name of an option where a message names one."""


class OperationName(NamedTuple):
    """An operation of a connection; whether that has it is known once its connector is made."""

    connection: str
    operation: str


def syncs(settings: Settings) -> list[Sync]:
    """Every sync of the configuration, with what may be asked of it."""
    return [_sync(settings, found) for found in settings.syncs.values()]


def wanted(settings: Settings, request: Request) -> NewJob | OperationName:
    """What the request means; UsageError for one that cannot be met."""
    _check(request)
    found = settings.syncs.get(request.target)
    if found is not None:
        if request.arguments:
            first = next(iter(request.arguments))
            raise UsageError(f"{request.target} is a sync; only operations take arguments, such as {first}=…")
        return _new_job(_sync(settings, found), request)
    connection, _, operation = request.target.rpartition(".")
    if connection not in settings.connections:
        known = ", ".join(sorted(settings.syncs)) or "none is configured"
        raise UsageError(
            f"no sync is called {request.target!r}; known: {known}; an operation is written "
            "CONNECTION.OPERATION"
        )
    own = (request.key, request.streams, request.since, request.until, request.time_limit)
    if any(each is not None for each in own) or request.full or request.on_conflict is not OnConflict.SKIP:
        names = ("key", "streams", "full", "since", "until", "time-limit", "on-conflict")
        *most, last = (_named(request, name) for name in names)
        raise UsageError(
            f"{', '.join(most)} and {last} are for syncs; an operation's arguments say what it must do once"
        )
    return OperationName(connection, operation)


def _sync(settings: Settings, found: SyncSettings) -> Sync:
    from leaderjobs.connectors import registry

    connection = settings.connections[found.connection]
    streams = registry.streams(connection.connector, connection.name, connection.options)
    return Sync(
        name=found.name,
        connection=found.connection,
        streams=tuple(found.streams),
        known=tuple(stream.name for stream in streams),
        windowed=tuple(stream.name for stream in streams if stream.windowed),
        max_attempts=found.max_attempts,
        time_limit=found.time_limit,
    )


def _new_job(sync: Sync, request: Request) -> NewJob:
    streams = tuple(sync.streams if request.streams is None else request.streams)
    if not streams or len(set(streams)) < len(streams):
        raise UsageError(f"{_named(request, 'streams')}: allowed: names of streams, each once")
    for stream in streams:
        if stream not in sync.known:
            known = ", ".join(sync.known)
            raise UsageError(f"{sync.connection} has no stream {stream!r}; it has: {known}")
    return NewJob(
        target=sync.name,
        connection=sync.connection,
        streams=streams,
        key=request.key,
        at=request.at,
        delay=request.delay,
        priority=request.priority,
        max_attempts=sync.max_attempts,
        full=request.full,
        window=_window(sync, streams, request),
        time_limit=sync.time_limit if request.time_limit is None else request.time_limit,
    )


def _window(sync: Sync, streams: Collection[str], request: Request) -> Window | None:
    full, since, until = (_named(request, name) for name in ("full", "since", "until"))
    if request.since is None and request.until is None:
        return None
    if request.full:
        raise UsageError(f"{full} pulls everything; leave out {since} and {until}, or {full}")
    if request.since and request.until and request.since >= request.until:
        raise UsageError(f"{since} must be before {until}")
    without = next((stream for stream in streams if stream not in sync.windowed), None)
    if without is not None:
        having = ", ".join(sync.windowed) or "no stream of it"
        raise UsageError(
            f"{sync.connection}.{without} cannot be pulled for a span of time; this can: {having}"
        )
    return Window(request.since, request.until)


def _check(request: Request) -> None:
    """What holds for every target."""
    key, limit = request.key, request.time_limit
    if key is not None and not (0 < len(key) <= MOST_KEY_CHARACTERS and key.isprintable()):
        raise UsageError(f"{_named(request, 'key')}: allowed: {KEY_ALLOWED}")
    if request.at is not None and request.delay is not None:
        delay = _named(request, "in" if request.dashes else "delay")
        raise UsageError(f"{_named(request, 'at')} and {delay} exclude each other; give one of them")
    if request.delay is not None and request.delay < timedelta(0):
        raise UsageError(f"delay = {request.delay}: allowed: a span of time that is not negative")
    if request.priority not in PRIORITIES:
        raise UsageError(
            f"priority = {request.priority}: allowed: a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}"
        )
    if limit is not None and not TIME_LIMIT.low <= limit <= TIME_LIMIT.high:
        raise UsageError(f"{_named(request, 'time-limit')} = {limit}: allowed: {TIME_LIMIT_ALLOWED}")
    for name, instant in (("at", request.at), ("since", request.since), ("until", request.until)):
        if instant is not None and instant.tzinfo is None:
            raise UsageError(f"{name} = {instant.isoformat()}: allowed: an instant with its zone")


def _named(request: Request, option: str) -> str:
    """An option as whoever asked wrote it: `--time-limit` or `time_limit`."""
    return f"{request.dashes}{option}" if request.dashes else option.replace("-", "_")
