"""Log lines on stderr, as text or JSON, one line each, in UTC, and without secrets.

Records are handed to one thread that writes them: a terminal that was paused (Ctrl-S) or a full pipe must
not hold up the elector, because a leader that cannot heartbeat loses its term. The hand-over is bounded;
when the reader of stderr stalls, the newest lines are dropped and counted, and the work goes on.

What may not be shown is registered with `redact` where secrets are revealed, and removed from every
line as it is rendered, tracebacks included; passwords inside URLs are removed without being registered.

A busy queue ends tens of thousands of jobs a second, and a line costs more than such a job: of what goes well
and repeats, so many lines a second are written, and the rest is counted (`folded`).
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TextIO

from leaderjobs import clock
from leaderjobs.model.event import Event, EventKind
from leaderjobs.values import hide_passwords

MOST_WAITING_LINES = 10_000
MOST_SECRETS = 1_000
MOST_LINES_A_SECOND = 100
"""Of each kind of event that is folded."""
SHORTEST_SECRET = 4
"""Shorter values are not redacted: removing every "a" would leave nothing to read."""
STOP_TIMEOUT = timedelta(seconds=2)

_EVENTS = logging.getLogger("leaderjobs.events")
_CHATTY = ("kazoo", "urllib3", "asyncio")
_LEVELS = {
    EventKind.SESSION_SUSPENDED: logging.WARNING,
    EventKind.SESSION_LOST: logging.WARNING,
    EventKind.TERM_REFUSED: logging.WARNING,
    EventKind.STORE_UNAVAILABLE: logging.WARNING,
    EventKind.SCHEDULE_SKIPPED: logging.WARNING,
    EventKind.SCHEDULE_PAUSED: logging.WARNING,
    EventKind.CONFIG_REFUSED: logging.WARNING,
    EventKind.COORDINATOR_UNAVAILABLE: logging.WARNING,
    EventKind.HOOK_FAILED: logging.WARNING,
    EventKind.HOOK_GIVEN_UP: logging.ERROR,
    EventKind.REPLICA_AHEAD: logging.ERROR,
    EventKind.EFFECT_UNCERTAIN: logging.ERROR,
    EventKind.SERVICE_FAILED: logging.ERROR,
}
_FOLDED = frozenset({EventKind.JOB_STARTED, EventKind.JOB_ENDED, EventKind.PAGE_COMMITTED})
_FOLD_SECONDS = 1.0


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class _Folding:
    """Counts what is not written, second by second; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = 0.0
        self._seen: dict[EventKind, int] = {}

    def passes(self, kind: EventKind) -> bool:
        """Whether one more of this kind is written."""
        with self._lock:
            seen = self._seen[kind] = self._seen.get(kind, 0) + 1
            return seen <= MOST_LINES_A_SECOND

    def take(self) -> dict[EventKind, int]:
        """How many were left out, once their second is over."""
        now = clock.elapsed()
        if now < self._ends:
            return {}
        with self._lock:
            seen, self._seen = self._seen, {}
            self._ends = now + _FOLD_SECONDS
        return {
            kind: count - MOST_LINES_A_SECOND for kind, count in seen.items() if count > MOST_LINES_A_SECOND
        }


class _Secrets:
    """Values that no line may hold; the newest MOST_SECRETS of them, replaced as one tuple."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        forms = {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
        with self._lock:
            known = [old for old in self._values if old not in forms]
            kept = [*known, *(form for form in forms if len(form) >= SHORTEST_SECRET)]
            self._values = tuple(kept[-MOST_SECRETS:])

    def hide(self, text: str) -> str:
        # The longest first, so that a secret which begins with another one leaves no tail.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, "***")
        return hide_passwords(text)


_SECRETS = _Secrets()
_FOLDING = _Folding()


def redact(value: str) -> None:
    """Keep `value` (and its URL-encoded forms) out of every line from now on; any thread."""
    _SECRETS.add(value)


def redacted(text: str) -> str:
    """`text` as it may be shown."""
    return _SECRETS.hide(text)


def emit(event: Event) -> None:
    """Log one event; an `Emit`, so it neither blocks nor raises."""
    if event.kind in _FOLDED and not event.facts.get("error") and not _FOLDING.passes(event.kind):
        return
    level = _LEVELS.get(event.kind, logging.INFO)
    _EVENTS.log(level, event.kind.value, extra={"facts": {"kind": event.kind.value, **event.facts}})


class Logging:
    """A running set-up; `stop` writes what is waiting and puts the standard logging back."""

    def __init__(self, level: int, log_format: LogFormat, stream: TextIO) -> None:
        """Install the handler on the root logger and start the writing thread."""
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING_LINES)
        self._handler = _Handler(self._lines, log_format)
        self._thread = threading.Thread(target=self._write, name="logs", daemon=True)
        root = logging.getLogger()
        self._before = root.level
        root.addHandler(self._handler)
        self._thread.start()
        self.raise_to(level)

    def raise_to(self, level: int) -> None:
        """Show records from `level` on; libraries' own chatter only from WARNING on."""
        logging.getLogger().setLevel(level)
        # Where we show warnings only, a library's warning is about something we report ourselves.
        libraries = logging.WARNING if level < logging.WARNING else logging.ERROR
        for name in _CHATTY:
            logging.getLogger(name).setLevel(libraries)

    def stop(self) -> None:
        """Write out what waits, for at most STOP_TIMEOUT, and detach; safe to call twice."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        root.setLevel(self._before)
        with suppress(queue.Full):
            self._lines.put(None, timeout=STOP_TIMEOUT.total_seconds())
        self._thread.join(STOP_TIMEOUT.total_seconds())

    def _write(self) -> None:
        while True:
            for kind, count in _FOLDING.take().items():
                _EVENTS.info(kind.value, extra={"facts": {"kind": kind.value, "folded": count}})
            try:
                line = self._lines.get(timeout=_FOLD_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                return
            dropped = self._handler.take_dropped()
            note = f"{dropped} log lines were dropped, stderr was not read\n" if dropped else ""
            # A closed or full stderr is no reason to stop working.
            with suppress(OSError, ValueError):
                self._stream.write(f"{line}\n{note}")
                self._stream.flush()


def start(level: int, log_format: LogFormat = LogFormat.TEXT, stream: TextIO | None = None) -> Logging:
    """Begin logging to `stream` (stderr); the caller stops it."""
    return Logging(level, log_format, stream or sys.stderr)


class _Handler(logging.Handler):
    """Renders on the thread that logs, where the values still are what they were, and never waits."""

    def __init__(self, lines: queue.Queue[str | None], log_format: LogFormat) -> None:
        super().__init__()
        self._lines = lines
        self._render = _as_json if log_format is LogFormat.JSON else _as_text
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._render(_fields(record))
        except Exception as error:  # noqa: BLE001 - logging must never break what it reports on
            line = f"a log record of {record.name} could not be rendered: {type(error).__name__}"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def take_dropped(self) -> int:
        with self.lock or threading.RLock():
            dropped, self._dropped = self._dropped, 0
        return dropped


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    facts = getattr(record, "facts", None)
    if isinstance(facts, Mapping):
        fields.update(facts)
    else:
        fields["message"] = record.getMessage()
    if record.exc_info and record.exc_info[0]:
        fields["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return {redacted(key): _clean(value) for key, value in fields.items()}


def _clean(value: object) -> object:
    """Redacted before it is quoted: a secret with a quote in it would look different afterwards."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {redacted(str(key)): _clean(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case _:
            return redacted(str(value))


def _as_json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields)


def _as_text(fields: Mapping[str, object]) -> str:
    """`TIME LEVEL LOGGER message key=value …`; values that would blur the line are quoted as JSON."""
    rest = dict(fields)
    head = f"{rest.pop('time')} {str(rest.pop('level')).upper():7} {rest.pop('logger')}"
    message = rest.pop("message", None)
    parts = [head] if message is None else [head, _one_line(str(message))]
    return " ".join([*parts, *(f"{key}={_value(value)}" for key, value in rest.items())])


def _value(value: object) -> str:
    if isinstance(value, str):
        plain = value and value.isprintable() and not set(value) & set(' "=\\')
        return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())
    return json.dumps(value)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
