"""What happened, told once; the log, the status and the tests are listeners of the same events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class EventKind(StrEnum):
    """The stories a member tells; the value is the word that is logged."""

    MEMBER_JOINED = "member_joined"
    SESSION_SUSPENDED = "session_suspended"
    SESSION_RESUMED = "session_resumed"
    SESSION_LOST = "session_lost"
    TERM_BEGAN = "term_began"
    TERM_DRAINING = "term_draining"
    TERM_ENDED = "term_ended"
    TERM_REFUSED = "term_refused"
    JOBS_RESCUED = "jobs_rescued"
    JOB_STARTED = "job_started"
    JOB_ENDED = "job_ended"
    JOB_PROGRESSED = "job_progressed"
    JOB_LOGGED = "job_logged"
    PAGE_COMMITTED = "page_committed"
    EFFECT_SENT = "effect_sent"
    EFFECT_ANSWERED = "effect_answered"
    EFFECT_SETTLED = "effect_settled"
    EFFECT_UNCERTAIN = "effect_uncertain"
    SCHEDULE_FIRED = "schedule_fired"
    SCHEDULE_SKIPPED = "schedule_skipped"
    SCHEDULE_PAUSED = "schedule_paused"
    TABLES_FINISHED = "tables_finished"
    REPLICA_AHEAD = "replica_ahead"
    STORE_UNAVAILABLE = "store_unavailable"
    COORDINATOR_UNAVAILABLE = "coordinator_unavailable"
    SERVICE_FAILED = "service_failed"
    HOOK_TOLD = "hook_told"
    HOOK_FAILED = "hook_failed"
    HOOK_GIVEN_UP = "hook_given_up"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_REFUSED = "config_refused"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `facts` are small JSON values without secrets."""

    kind: EventKind
    facts: Mapping[str, object] = field(default_factory=dict)


Emit: TypeAlias = Callable[[Event], None]
"""Called on whichever thread saw it; must not block and must not raise."""
