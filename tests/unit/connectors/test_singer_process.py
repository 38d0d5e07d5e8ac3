"""A Singer tap as a child process: it ends, with all that it has started and all its files, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs import clock
from leaderjobs.connectors.singer import process as singer_process
from leaderjobs.embedded.process import started_at
from leaderjobs.errors import Interrupted, LeaderJobsError, LeadershipLost, TransientError
from leaderjobs.testing import Context, Table
from leaderjobs.values import Duration
from tests.support import eventually
from tests.unit.connectors import singer_rig
from tests.unit.connectors.singer_rig import Source, connector


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where taps get their temporary folders."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def source(tmp_path: Path, folder: Path) -> Iterator[Source]:
    yield Source(tmp_path, rows=55)
    eventually(lambda: not list(folder.iterdir()), what="the tap's files are gone")


def test_a_silent_tap_is_given_up(source: Source) -> None:
    config = {"trouble": "hang", "at": 25}
    options = singer_rig.settings(source, timeout=Duration(seconds=0.5), config=config)
    said = pytest.raises(TransientError, match=r"said nothing for 0\.5 s")
    with closing(singer_rig.made(options)) as made, said as caught:
        list(made.read("orders", None, Context()))
    assert caught.value.code == "tap_silent"
    assert started_at(source.runs()[-1]["pid"]) is None


def test_what_a_tap_leaves_behind_ends_with_it_and_is_not_waited_for(source: Source) -> None:
    began = clock.elapsed()
    table = Table(connector(source).streams[0])
    with closing(connector(source, trouble="orphan", at=25)) as made:
        table.sync(made, "orders")
    assert table.rows == source.rows()
    assert clock.elapsed() - began < 5
    eventually(lambda: started_at(source.child) is None)


@pytest.mark.parametrize("trouble", ["hang", "stubborn"])
def test_close_from_another_thread_ends_a_silent_read_at_once_and_the_whole_group_soon(
    source: Source, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(singer_process, "GRACE", timedelta(seconds=2))
    context, table = Context(), Table(connector(source).streams[0])
    ended: list[LeaderJobsError] = []
    with closing(connector(source, trouble=trouble, at=25)) as made:

        def read() -> None:
            try:
                table.sync(made, "orders", context)
            except LeaderJobsError as error:
                ended.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        eventually(lambda: table.cursor and table.cursor.get("state") and len(table.rows) == 24)
        began = clock.elapsed()
        context.stop_with = LeadershipLost("over")
        made.close()
        reading.join(10)
        assert clock.elapsed() - began < 1.5
    assert [type(error) for error in ended] == [LeadershipLost]
    pids = [source.runs()[-1]["pid"], *([source.child] if trouble == "stubborn" else [])]
    eventually(lambda: not any(map(started_at, pids)))


def test_a_context_that_stops_is_heeded_during_silence_without_a_close(source: Source) -> None:
    context = Context()
    with closing(connector(source, trouble="hang", at=11)) as made:
        batches = made.read("orders", None, context)
        next(batches)
        threading.Timer(0.1, lambda: setattr(context, "stop_with", LeadershipLost("over"))).start()
        with pytest.raises(LeadershipLost):
            list(batches)
    assert started_at(source.runs()[-1]["pid"]) is None


def test_a_read_that_nobody_goes_on_with_ends_when_the_connector_is_closed(source: Source) -> None:
    made = connector(source, trouble="family", at=11)
    batches = made.read("orders", None, Context())
    next(batches)
    made.close()
    made.close()
    pid = source.runs()[-1]["pid"]
    eventually(lambda: started_at(pid) is None)
    with pytest.raises(Interrupted):
        list(batches)
    with pytest.raises(Interrupted):
        list(made.read("orders", None, Context()))


MEMBER = """
import sys, tempfile
from pathlib import Path
from leaderjobs.testing import Context
from tests.unit.connectors.singer_rig import Source, connector
source = Source.__new__(Source)
source.path = Path(sys.argv[1])
for batch in connector(source, trouble="stubborn", at=11).read("orders", None, Context()):
    print("committed", flush=True)
"""


def test_a_member_that_is_killed_takes_the_tap_its_children_and_its_files_along(
    source: Source, folder: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MEMBER, str(source.path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as member:
        assert member.stdout is not None
        member.stdout.readline()
        eventually(source.path.with_suffix(".child").exists)
        pids = [source.runs()[-1]["pid"], source.child]
        assert all(map(started_at, pids))
        assert [len(list(made.iterdir())) for made in folder.iterdir()] == [2]
        member.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(started_at, pids)))


def test_a_slow_consumer_holds_the_tap_back_and_is_not_its_silence(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.add(3000)
    slept = [0.0]
    monkeypatch.setattr(singer_process, "elapsed", lambda: clock.elapsed() + slept[0])
    with closing(connector(source)) as made:
        batches = made.read("orders", None, Context())
        rows = next(batches).rows
        for batch in batches:
            slept[0] += 3600
            rows += batch.rows
        assert rows == 3055
