"""One sync with kills in the middle of it, watched from outside, and the report computed from the books."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import TypeVar

from leaderjobs import clock
from leaderjobs.demo.judge import judge
from leaderjobs.demo.rig import SYNC, Rig
from leaderjobs.errors import CoordinatorUnavailable, LeaderJobsError
from leaderjobs.model.job import JobState
from leaderjobs.model.marker import Marker
from leaderjobs.model.member import LeaderInfo, Member

LOOK_EVERY = 0.02
SHOW_EVERY = 0.1
PATIENCE = 300.0
"""Seconds that one step of a story may last."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; `ok` only if provider and Postgres agree and every kill was survived."""

    ok: bool
    provider_rows: int
    postgres_rows: int
    pages_committed: int
    pages_pulled_twice: int
    kills: int
    failover_seconds: tuple[float, ...]
    terms: int


@dataclass(slots=True)
class Scene:
    """What a watcher sees at one moment."""

    pages: int = 0
    pages_expected: int = 0
    rows: int = 0
    leader: LeaderInfo | None = None
    members: list[Member] = field(default_factory=list)
    position: int = 0
    events: list[str] = field(default_factory=list)


class Story:
    """Runs on the caller's thread; `show` is called about ten times a second with the scene."""

    def __init__(self, rig: Rig, workers: int, kills: int, show: Callable[[Scene], None]) -> None:
        """The rig is entered already; nothing happens before `run`."""
        self._rig = rig
        self._kills = kills
        self._show = show
        self._names = [chr(ord("a") + number) for number in range(workers)]
        self._scene = Scene(pages_expected=ceil(rig.plan.transactions / rig.plan.page_size) + 1)
        self._began = clock.elapsed()
        self._shown_at = 0.0
        self._failovers: list[float] = []
        self._pause = threading.Event()

    def run(self) -> Report:
        """Start the workers, sync, kill the leader on the way, and count."""
        rig = self._rig
        for name in self._names:
            rig.start_worker(name)
        self._tell(f"{len(self._names)} workers started: {', '.join(self._names)}")
        leader = self._until(rig.leader, "a leader")
        self._tell(f"{leader} leads")
        job = rig.enqueue()
        self._tell(f"job {job.id} enqueued: {rig.plan.transactions:,} transactions at the provider")
        for kill in range(self._kills):
            goal = self._scene.pages_expected * (kill + 1) // (self._kills + 1)
            self._until(partial(self._has_come, goal), "the sync to come half way")
            self._kill_leader()
        self._until(lambda: rig.stores.jobs.get(job.id).state.final, "the job to end")
        state = rig.stores.jobs.get(job.id).state
        self._tell(f"job {job.id} {state.value}")
        return self._count(state)

    # -- steps ---------------------------------------------------------------------------------------------

    def _kill_leader(self) -> None:
        rig = self._rig
        victim = self._until(rig.leader, "a leader")
        term = self._term()
        rig.send(victim, signal.SIGKILL)
        killed_at = clock.elapsed()
        rig.reap(victim)
        self._tell(f"SIGKILL of {victim}, which led term {term}, after {self._pages()} pages")
        self._until(lambda: self._newest_term() > term, "a page of the next term")
        took = clock.elapsed() - killed_at
        self._failovers.append(round(took, 3))
        self._tell(f"next committed page after {took:.2f} s, by {rig.leader()}, term {self._term()}")
        rig.start_worker(victim)
        self._tell(f"{victim} started again; it stands at the end of the line")

    def _count(self, state: JobState) -> Report:
        rig = self._rig
        judgement = judge(rig)
        return Report(
            ok=judgement.agree and state is JobState.COMPLETED and len(self._failovers) == self._kills,
            provider_rows=judgement.provider_rows,
            postgres_rows=judgement.postgres_rows,
            pages_committed=sum(marker.sequence for marker in rig.stores.markers.all()),
            pages_pulled_twice=rig.provider.state()["pages_asked_twice"],
            kills=self._kills,
            failover_seconds=tuple(self._failovers),
            terms=self._term(),
        )

    # -- watching ------------------------------------------------------------------------------------------

    def _until(self, look: Callable[[], T | None], what: str) -> T:
        """The first true answer of `look`, asked often; the watcher is kept up to date meanwhile."""
        end = clock.elapsed() + PATIENCE
        while clock.elapsed() < end:
            answer = look()
            if answer:
                return answer
            self._watch()
            self._pause.wait(LOOK_EVERY)
        raise LeaderJobsError(f"waited {PATIENCE:g} s in vain for {what}; the workers' logs tell why")

    def _tell(self, line: str) -> None:
        self._scene.events.append(f"{clock.elapsed() - self._began:6.2f} s  {line}")
        self._watch(force=True)

    def _watch(self, *, force: bool = False) -> None:
        instant = clock.elapsed()
        if not force and instant - self._shown_at < SHOW_EVERY:
            return
        self._shown_at = instant
        scene = self._scene
        markers = self._rig.stores.markers.all()
        scene.pages = sum(marker.sequence for marker in markers)
        scene.rows = sum(marker.rows for marker in markers)
        scene.position = scene.pages
        try:
            scene.leader = self._rig.session.leader(0)
            scene.members = self._rig.session.members()
        except CoordinatorUnavailable:
            scene.leader = None
        self._show(scene)

    def _has_come(self, pages: int) -> bool:
        return self._pages() >= pages

    def _transactions(self) -> Marker | None:
        return self._rig.stores.markers.load(SYNC, "transactions")

    def _pages(self) -> int:
        marker = self._transactions()
        return marker.sequence if marker else 0

    def _newest_term(self) -> int:
        marker = self._transactions()
        return marker.term if marker else 0

    def _term(self) -> int:
        stored = self._rig.stores.terms.current(0)
        return stored.number if stored else 0
