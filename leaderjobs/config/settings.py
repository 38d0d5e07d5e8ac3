"""The settings as the rest of the program sees them; annotations carry what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from leaderjobs.errors import UsageError
from leaderjobs.model.notice import HookEvent
from leaderjobs.model.schedule import ScheduleSpec
from leaderjobs.values import Duration, Rate, Secret

NAME_ALLOWED = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit"
# `\Z`, because `$` would let a name end in a newline.
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", description=NAME_ALLOWED)]


@dataclass(frozen=True, slots=True)
class Between:
    """The range of a duration, both ends included; `text` is how a person would write it."""

    low: timedelta
    high: timedelta
    text: str


SessionTimeout = Annotated[
    Duration, Between(timedelta(seconds=1), timedelta(minutes=10), 'a duration from "1s" to "10m"')
]
MaxLag = Annotated[
    Duration, Between(timedelta(milliseconds=100), timedelta(days=1), 'a duration from "100ms" to "1d"')
]
Directory = Annotated[str, msgspec.Meta(pattern=r"\A/[^\0\n]{0,1000}\Z", description="an absolute path")]
TIME_LIMIT = Between(timedelta(seconds=1), timedelta(days=30), 'a duration from "1s" to "30d"')
TimeLimit = Annotated[Duration, TIME_LIMIT]
HOOK_URL_ALLOWED = '"https://HOST[:PORT][/PATH]" without user and password'
HookUrl = Annotated[str, msgspec.Meta(description=HOOK_URL_ALLOWED)]
HookTimeout = Annotated[
    Duration, Between(timedelta(seconds=1), timedelta(minutes=5), 'a duration from "1s" to "5m"')
]
Retention = Annotated[
    Duration, Between(timedelta(minutes=1), timedelta(days=3650), 'a duration from "1m" to "3650d"')
]
Jitter = Annotated[Duration, Between(timedelta(0), timedelta(days=1), 'a duration from "0s" to "1d"')]
CatchUpWindow = Annotated[
    Duration, Between(timedelta(seconds=1), timedelta(days=366), 'a duration from "1s" to "366d"')
]
DrainTimeout = Annotated[Duration, Between(timedelta(0), timedelta(days=1), 'a duration from "0s" to "1d"')]


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The section `[cluster]`."""

    name: Name = "leaderjobs"
    coordinator: Secret | None = None
    """`zookeeper://…`; None means the embedded server. Secret, because the URL may hold a password."""
    database: Secret | None = None
    """`postgresql://…`; None means the embedded server."""
    session_timeout: SessionTimeout = Duration(seconds=15)
    """What is asked of the coordinator; the server may grant another."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    max_lag: MaxLag = Duration(seconds=10)
    """How far a follower may lag before `status --check` says so."""
    drain_timeout: DrainTimeout = Duration(seconds=30)
    """How long running jobs may take to reach a page's end after SIGTERM."""
    state_directory: Directory | None = None
    """Where members keep their replicas; None means the user's state directory."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The section `[connections.NAME]`."""

    name: str
    connector: str
    options: msgspec.Struct
    """The connector's own settings, of the type that its registry entry names."""
    operations: Mapping[str, msgspec.Struct] = field(default_factory=dict)
    """What `[operations.NAME.…]` declares, by the operation's name."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The section `[syncs.NAME]`; `streams` is never empty and each is known to the connector."""

    name: str
    connection: Name
    streams: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ()
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    time_limit: TimeLimit | None = None
    """Longest time that one attempt may take; None: no limit."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """A section `[limits.connections.NAME]` or `[limits.providers.CONNECTOR]`; both hold."""

    jobs: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    """Attempts that run at a time; syncs of one connection are one at a time anyway."""
    requests: Rate | None = None
    """Requests that are sent, over all attempts."""


@dataclass(frozen=True, slots=True)
class LimitsSettings:
    """The section `[limits]`."""

    connections: Mapping[str, LimitSettings] = field(default_factory=dict)
    providers: Mapping[str, LimitSettings] = field(default_factory=dict)
    """By the connector's name: all of its connections together."""


@dataclass(frozen=True, slots=True)
class HookSettings:
    """The section `[hooks.NAME]`: whom to tell when a sync or schedule breaks, and when it works again.

    Either `url` or `command`.
    """

    name: str
    url: HookUrl | None = None
    secret: Secret | None = None
    """Signs what is posted to `url`."""
    command: tuple[str, ...] = ()
    """A program and its arguments; gets the document on its standard input."""
    on: Annotated[tuple[HookEvent, ...], msgspec.Meta(min_length=1)] = (HookEvent.FAILURE, HookEvent.RECOVERY)
    targets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ()
    """Syncs, operations and schedules; empty: all."""
    timeout: HookTimeout = Duration(seconds=10)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """The section `[retention]`: how long ended jobs are kept, by state (River's ages)."""

    completed: Retention = Duration(days=1)
    cancelled: Retention = Duration(days=1)
    discarded: Retention = Duration(days=7)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured, checked against each other."""

    path: Path | None = None
    """The file that was read; None when there was none."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    connections: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    syncs: Mapping[str, SyncSettings] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleSpec] = field(default_factory=dict)
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    hooks: Mapping[str, HookSettings] = field(default_factory=dict)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    warnings: tuple[str, ...] = ()
    """One line each, for the user's eyes; nothing is wrong enough to stop."""

    def connection(self, name: str) -> ConnectionSettings:
        """The connection of that name; UsageError with those there are."""
        found = self.connections.get(name)
        if found is None:
            known = ", ".join(sorted(self.connections)) or "none is configured"
            raise UsageError(f"no connection is called {name!r}; known: {known}")
        return found
