"""Tells hooks what broke and what works again, on threads of its own that nothing else of the term waits for.

A notice was written in the transaction that ended its job, so none is lost. It is told to each hook that
wants it until that hook has taken it: at least once, for a leader may die between the telling and the note
of it; its `id` tells a receiver that it is the same. What a hook does not take is told again after a while
that grows, and given up after MOST_TELLS or GIVE_UP_AFTER. Notices of one target come in order, also where
one has to be told again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.errors import Interrupted, LeaderJobsError, LeadershipLost, StoreError
from leaderjobs.model.event import Emit, Event, EventKind
from leaderjobs.model.notice import HookEvent, Notice
from leaderjobs.model.term import Term
from leaderjobs.store.notices import Notices, Pending
from leaderjobs.store.pool import TermConnections

LOOK_EVERY = timedelta(seconds=1)
MOST_AT_A_TIME = 100
"""Notices that are looked at for each hook; the next ones come when these were told."""
TELLS = Backoff(first=timedelta(seconds=2), most=timedelta(hours=1))
MOST_TELLS = 50
"""Of one notice to one hook, by one leader."""
GIVE_UP_AFTER = timedelta(hours=24)
KEPT = timedelta(days=7)
PRUNE_EVERY = timedelta(hours=1)
MOST_PRUNED = 1_000
MOST_OUTPUT_CHARS = 1_000
"""Of what a command wrote, in the log."""
_TROUBLE = Backoff(first=timedelta(seconds=1), most=timedelta(seconds=30))


class Teller(Protocol):
    """One way to tell a document to somebody outside; used by one thread at a time."""

    def tell(self, document: bytes) -> str:
        """Tell it; what was said in return, for the log. LeaderJobsError when it was not taken."""

    def cut(self) -> None:
        """Let a telling that is under way fail at once; any thread."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Whom to tell, and of what."""

    name: str
    on: frozenset[HookEvent]
    targets: frozenset[str]
    """Syncs, operations and schedules; empty: all."""
    teller: Teller

    def wants(self, notice: Notice) -> bool:
        """Whether it is to hear of this."""
        about = {notice.target, notice.schedule}
        return notice.event in self.on and (not self.targets or bool(self.targets & about))


@dataclass(slots=True)
class _Tries:
    count: int = 0
    not_before: float = 0.0
    told: bool = False
    """It was, and this could not be noted yet."""


class Herald:
    """See the module's docstring; an `engine.leader.Beside`."""

    name = "herald"

    def __init__(
        self,
        *,
        term: Term,
        connections: TermConnections,
        notices: Notices,
        hooks: Callable[[], Sequence[Hook]],
        emit: Emit,
    ) -> None:
        """`hooks` are those of the configuration as it is when asked."""
        self._term = term
        self._connections = connections
        self._notices = notices
        self._hooks = hooks
        self._emit = emit
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._telling: dict[str, Hook] = {}
        self._tries: dict[str, dict[int, _Tries]] = {}

    def run(self) -> None:
        """Until the term is over or `stop` was called."""
        prune_at = clock.elapsed()
        failures = 0
        while not self._is_over():
            wait = LOOK_EVERY
            try:
                if clock.elapsed() >= prune_at:
                    self._notices.prune(self._connections, self._term, KEPT, MOST_PRUNED)
                    prune_at = clock.elapsed() + PRUNE_EVERY.total_seconds()
                self._look()
                failures = 0
            except LeadershipLost:
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, those who rely on hooks need the next try
                failures += 1
                wait = _TROUBLE.delay(failures)
                self._failed(error)
            self._stop.wait(wait.total_seconds())
        self.stop()

    def stop(self) -> None:
        """Cut off what is being told; the next leader tells it."""
        self._stop.set()
        with self._lock:
            telling = list(self._telling.values())
        for hook in telling:
            hook.teller.cut()

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._term.is_over()

    def _look(self) -> None:
        """Begin to tell each hook what it has not been told."""
        hooks = self._hooks() if self._term.may_start() else ()
        for hook in hooks:
            with self._lock:
                if hook.name in self._telling:
                    continue
            due = self._due(hook)
            if not due:
                continue
            with self._lock:
                self._telling[hook.name] = hook
            name = f"hook-{hook.name}"
            threading.Thread(target=self._tell_all, args=(hook, due), name=name, daemon=True).start()

    def _due(self, hook: Hook) -> list[Pending]:
        """What is to be told now; what the hook does not want, or took already, is noted on the way."""
        pending = self._notices.pending([hook.name], MOST_AT_A_TIME)
        before = self._tries.get(hook.name, {})
        tries = self._tries[hook.name] = {
            each.notice.id: before.get(each.notice.id, _Tries()) for each in pending
        }
        done = [
            each.notice.id for each in pending if tries[each.notice.id].told or not hook.wants(each.notice)
        ]
        given_up = [
            each
            for each in pending
            if each.notice.id not in done
            and (each.age > GIVE_UP_AFTER or tries[each.notice.id].count >= MOST_TELLS)
        ]
        for each in given_up:
            done.append(each.notice.id)
            self._said(EventKind.HOOK_GIVEN_UP, hook, each.notice, tries=tries[each.notice.id].count)
        if done:
            self._notices.told(self._connections, self._term, done, hook.name)
        due, waiting = [], set[str]()
        for each in pending:
            if each.notice.id in done or each.notice.target in waiting:
                continue
            if tries[each.notice.id].not_before > clock.elapsed():
                waiting.add(each.notice.target)
            else:
                due.append(each)
        return due

    def _tell_all(self, hook: Hook, due: Sequence[Pending]) -> None:
        """Tell them in order, up to the first that is not taken; the others follow at the next look."""
        try:
            for each in due:
                if self._is_over() or not self._tell(hook, each.notice):
                    return
        except LeadershipLost:
            return
        except StoreError as error:
            self._failed(error)
        finally:
            with self._lock:
                del self._telling[hook.name]

    def _tell(self, hook: Hook, notice: Notice) -> bool:
        tries = self._tries[hook.name][notice.id]
        tries.count += 1
        try:
            output = hook.teller.tell(document(self._term.cluster, notice))
        except Interrupted:
            return False
        except Exception as error:  # noqa: BLE001 - as in `run`
            tries.not_before = clock.elapsed() + TELLS.delay(tries.count).total_seconds()
            said = str(error) if isinstance(error, LeaderJobsError) else type(error).__name__
            self._said(EventKind.HOOK_FAILED, hook, notice, tries=tries.count, error=said)
            return False
        tries.told = True
        kept = {"output": output.strip()[-MOST_OUTPUT_CHARS:]} if output.strip() else {}
        self._said(EventKind.HOOK_TOLD, hook, notice, **kept)
        self._notices.told(self._connections, self._term, [notice.id], hook.name)
        return True

    def _said(self, kind: EventKind, hook: Hook, notice: Notice, **facts: object) -> None:
        about = {"hook": hook.name, "notice": notice.id, "event": notice.event.value, "target": notice.target}
        self._emit(Event(kind, {**about, **facts}))

    def _failed(self, error: Exception) -> None:
        said = str(error) if isinstance(error, LeaderJobsError) else f"{type(error).__name__}: {error}"
        self._emit(Event(EventKind.SERVICE_FAILED, {"service": self.name, "error": said}))


def document(cluster: str, notice: Notice) -> bytes:
    """What a hook is told: JSON, instants in ISO 8601 with their offset."""
    return json.dumps(
        {
            "id": notice.id,
            "event": notice.event.value,
            "cluster": cluster,
            "target": notice.target,
            "schedule": notice.schedule,
            "job": notice.job,
            "attempt": notice.attempt,
            "term": notice.term,
            "member": notice.member,
            "error": notice.error,
            "at": notice.at.isoformat(),
            "since": notice.since.isoformat(),
        }
    ).encode()
