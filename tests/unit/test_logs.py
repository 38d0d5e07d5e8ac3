"""Log lines: one each, in UTC, without secrets, and never in the way of the work."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TextIO

import pytest

from leaderjobs import logs
from leaderjobs.model.event import Event, EventKind
from tests.support import eventually


class Capture:
    """Starts logging into a buffer and gives the lines once it has stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.stream = io.StringIO()
        self.running: logs.Logging | None = None

    def start(self, log_format: logs.LogFormat, level: int = logging.INFO) -> None:
        # Without pytest's own handlers, which render every record too, and fail on a bad one.
        self.monkeypatch.setattr(logging.getLogger(), "handlers", [])
        self.running = logs.start(level, log_format, self.stream)

    def lines(self) -> list[str]:
        assert self.running is not None
        self.running.stop()
        return self.stream.getvalue().splitlines()


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    found = Capture(monkeypatch)
    yield found
    if found.running is not None:
        found.running.stop()


def test_event_is_one_line_of_words(capture: Capture) -> None:
    capture.start(logs.LogFormat.TEXT)

    logs.emit(
        Event(
            EventKind.TERM_BEGAN, {"number": 7, "reason": "a b\nc", "for": timedelta(seconds=2), "at": None}
        )
    )

    [line] = capture.lines()
    time, rest = line.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo == UTC
    assert rest == 'INFO    leaderjobs.events kind=term_began number=7 reason="a b\\nc" for=2.0 at=null'


def test_event_is_one_json_object(capture: Capture) -> None:
    capture.start(logs.LogFormat.JSON)

    logs.emit(Event(EventKind.SESSION_LOST, {"since": datetime(2026, 1, 2, tzinfo=UTC), "tags": ("a", "b")}))

    [line] = capture.lines()
    found = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).tzinfo == UTC
    assert found == {
        "level": "warning",
        "logger": "leaderjobs.events",
        "kind": "session_lost",
        "since": "2026-01-02T00:00:00+00:00",
        "tags": ["a", "b"],
    }


@pytest.mark.parametrize("log_format", logs.LogFormat)
def test_no_line_holds_a_secret(capture: Capture, log_format: logs.LogFormat) -> None:
    """Also not one with characters that JSON or a URL writes differently, nor in a traceback."""
    secret = 'pä"ss\\w/rd'
    logs.redact(secret)
    capture.start(log_format)

    logging.getLogger("test").warning("with %s", secret)
    logs.emit(Event(EventKind.JOB_ENDED, {"error": f"x{secret}y", "deep": [{"key": secret}], secret: 1}))
    logging.getLogger("test").error("postgresql://ann:word@db/x and %s", "p%C3%A4%22ss%5Cw%2Frd")
    logging.getLogger("test").error("failed", exc_info=RuntimeError(secret))

    text = "\n".join(capture.lines())
    assert text.count("\n") == 3
    assert "RuntimeError: ***" in text
    assert "ann:***@db" in text
    for form in (secret, json.dumps(secret)[1:-1], "ss\\\\w", "%5Cw", "word"):
        assert form not in text


def test_secret_that_begins_with_another_leaves_no_tail() -> None:
    logs.redact("short-one")
    logs.redact("short-one-and-longer")

    assert logs.redacted("a short-one-and-longer b") == "a *** b"


def test_very_short_secret_does_not_blot_out_every_line() -> None:
    logs.redact("a")

    assert logs.redacted("a banana") == "a banana"


def test_line_break_in_a_message_does_not_forge_a_line(capture: Capture) -> None:
    capture.start(logs.LogFormat.TEXT)

    logging.getLogger("test").warning("one\n2026-01-01 ERROR forged\x1b[31m\u2028x")

    [line] = capture.lines()
    assert line.endswith("test one\\n2026-01-01 ERROR forged\\x1b[31m\\u2028x")


def test_libraries_are_heard_from_warnings_on(capture: Capture) -> None:
    capture.start(logs.LogFormat.TEXT)

    logging.getLogger("kazoo.client").info("chatter")
    logging.getLogger("urllib3.connectionpool").debug("chatter")
    logging.getLogger("kazoo.client").warning("trouble")

    [line] = capture.lines()
    assert line.endswith("kazoo.client trouble")


def test_commands_that_are_no_service_hear_only_what_is_ours(capture: Capture) -> None:
    capture.start(logs.LogFormat.TEXT, logging.WARNING)

    logging.getLogger("kazoo.client").warning("connection dropped")
    logs.emit(Event(EventKind.TERM_BEGAN))
    logs.emit(Event(EventKind.STORE_UNAVAILABLE))

    [line] = capture.lines()
    assert line.endswith("kind=store_unavailable")


def test_record_that_cannot_be_rendered_is_said_and_survived(capture: Capture) -> None:
    capture.start(logs.LogFormat.TEXT)

    logging.getLogger("test").warning("%d", "no number")

    assert capture.lines() == ["a log record of test could not be rendered: TypeError"]


def test_stderr_that_nobody_reads_holds_up_nobody() -> None:
    """A full pipe stalls the writing thread; logging goes on, bounded, and what was dropped is counted."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1) as stream:
        running = logs.start(logging.INFO, logs.LogFormat.TEXT, stream)
        done, drained = threading.Event(), list[bytes]()
        threading.Thread(target=_flood, args=(done,), daemon=True).start()
        went_on = done.wait(30)
        # Read before anything is judged: a writer that is stuck would keep the test from ending.
        reader = threading.Thread(target=_drain, args=(reading, drained), daemon=True)
        reader.start()
        running.stop()
    reader.join(30)
    assert went_on, "logging waited for a pipe that nobody reads"
    assert b"log lines were dropped, stderr was not read" in b"".join(drained)


def test_closed_stderr_is_survived() -> None:
    stream: TextIO = io.StringIO()
    running = logs.start(logging.INFO, logs.LogFormat.TEXT, stream)
    stream.close()

    logs.emit(Event(EventKind.TERM_BEGAN))

    running.stop()


def test_stop_puts_the_standard_logging_back() -> None:
    before = (logging.getLogger().level, list(logging.getLogger().handlers))
    running = logs.start(logging.DEBUG)

    running.stop()
    running.stop()

    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before


def _flood(done: threading.Event) -> None:
    for number in range(logs.MOST_WAITING_LINES + 5_000):
        logs.emit(Event(EventKind.JOB_LOGGED, {"number": number, "filler": "x" * 200}))
    done.set()


def _drain(descriptor: int, into: list[bytes]) -> None:
    with os.fdopen(descriptor, "rb") as pipe:
        while block := pipe.read1(1 << 16):
            into.append(block)


def test_of_many_equal_events_a_second_the_rest_is_counted(capture: Capture) -> None:
    capture.start(logs.LogFormat.JSON)
    more = 50
    with_error = {"job": 1, "error": "refused"}

    for number in range(logs.MOST_LINES_A_SECOND + more):
        logs.emit(Event(EventKind.JOB_ENDED, {"job": number}))
    logs.emit(Event(EventKind.JOB_ENDED, with_error))
    eventually(lambda: "folded" in capture.stream.getvalue(), 10, "the count of what was left out")

    documents = [json.loads(line) for line in capture.lines()]
    folded = [line["folded"] for line in documents if line["kind"] == "job_ended" and "folded" in line]
    written = [document for document in documents if "job" in document]
    assert len(written) + sum(folded) == logs.MOST_LINES_A_SECOND + more + 1
    assert [document for document in written if document.get("error")] != []
    assert len(written) <= 2 * logs.MOST_LINES_A_SECOND + 1
