"""The configuration while a member runs: read again when the file changes, and kept when it is wrong.

The file is looked at by `stat`, several times a second, because every editor, `scp` and configuration
management does something else that no notification covers alike. A change is read once it has lasted from one
look to the next: half of a file that is being written may well be a configuration, of half of the schedules.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from leaderjobs.config.load import load
from leaderjobs.config.settings import Settings
from leaderjobs.errors import ConfigError
from leaderjobs.model.event import Emit, Event, EventKind

LOOK_EVERY = 0.25
"""Seconds between two looks; a change is in effect after at most two, and the time that reading takes."""
MOST_PROBLEM_CHARS = 500
"""What every other member sees of a problem; the event has all of it."""
Told: TypeAlias = Callable[[Settings], None]
_Seen: TypeAlias = tuple[int, int, int] | None
"""Modification time, size and inode; None where there is no file."""


class Reloading:
    """The settings as the file last had them in good order. Any thread; `run` blocks until `stop`.

    The section `[cluster]` stays what it was at the start: servers, names and places cannot change under a
    running member.
    """

    def __init__(self, settings: Settings, emit: Emit, environ: Mapping[str, str] | None = None) -> None:
        """Begin with `settings`; without a file there is nothing to look at. `environ`: the process's own."""
        self._settings = settings
        self._emit = emit
        self._environ = os.environ if environ is None else environ
        self._changing = threading.Lock()
        self._numbers = itertools.count()
        self._subscribers: dict[tuple[bool, int], Told] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._refused = ""
        self._restart = ""
        self._read = _look(settings.path)
        self._seen = self._read

    def current(self) -> Settings:
        """The settings in effect now; whoever works on something goes on with those it began with."""
        return self._settings

    def subscribe(self, told: Told, *, last: bool = False) -> Callable[[], None]:
        """Call `told` with the new settings after every change, on the thread of `run`, in order.

        `last`: after everybody else, because it takes long. What comes back ends that.
        """
        with self._changing:
            key = (last, next(self._numbers))
            self._subscribers[key] = told
        return lambda: self._forget(key)

    def problems(self) -> tuple[str, ...]:
        """What people should know about the configuration now: that it is refused, or needs a restart."""
        return tuple(problem[:MOST_PROBLEM_CHARS] for problem in (self._refused, self._restart) if problem)

    def read_now(self) -> None:
        """Read the file at once, changed or not; any thread, also a signal handler."""
        self._hurry.set()
        self._wake.set()

    def run(self) -> None:
        """Look and read until `stop`; raises nothing."""
        if self._settings.path is None:
            return
        while not self._stopping.is_set():
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()
            if self._stopping.is_set():
                return
            self.look()

    def stop(self) -> None:
        """Come back from `run`; any thread, more than once."""
        self._stopping.set()
        self._wake.set()

    def look(self) -> None:
        """Read the file again where it has changed since it was read, and is no longer being written."""
        seen, before = _look(self._settings.path), self._seen
        self._seen = seen
        hurry = self._hurry.is_set()
        if hurry or (seen != self._read and seen == before):
            self._hurry.clear()
            self._read = seen
            self._reload()

    def _reload(self) -> None:
        path, old = self._settings.path, self._settings
        try:
            new = load(path, self._environ)
        except ConfigError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._emit(Event(EventKind.CONFIG_REFUSED, {"error": str(error)}))
            return
        mended, self._refused, self._restart = bool(self._refused), "", _restart(old, new)
        new = dataclasses.replace(new, cluster=old.cluster)
        if new == old and not self._restart and not mended:
            return
        self._settings = new
        facts: dict[str, object] = {"file": str(path)}
        if self._restart:
            facts["restart"] = self._restart
        self._emit(Event(EventKind.CONFIG_RELOADED, facts))
        with self._changing:
            subscribers = [told for _, told in sorted(self._subscribers.items(), key=operator.itemgetter(0))]
        for told in subscribers:
            self._tell(told, new)

    def _forget(self, key: tuple[bool, int]) -> None:
        with self._changing:
            self._subscribers.pop(key, None)

    def _tell(self, told: Told, new: Settings) -> None:
        try:
            told(new)
        except Exception as error:  # noqa: BLE001 - what one part makes of it must not keep the others from it
            facts = {"service": "configuration", "error": f"{type(error).__name__}: {error}"}
            self._emit(Event(EventKind.SERVICE_FAILED, facts))


def _look(path: Path | None) -> _Seen:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _restart(old: Settings, new: Settings) -> str:
    """What of a changed `[cluster]` does not take effect by itself."""
    changed = [
        field.name
        for field in dataclasses.fields(new.cluster)
        if getattr(old.cluster, field.name) != getattr(new.cluster, field.name)
    ]
    if not changed:
        return ""
    names = ", ".join(f"cluster.{name}" for name in changed)
    return f"{new.path}: {names} changed; restart this member for that to take effect"
