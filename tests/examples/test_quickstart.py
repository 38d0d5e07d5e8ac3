"""The quickstart as a user runs it, in a home of its own; nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from tests.examples.commands import ROOT
from tests.support import eventually

SCRIPT = ROOT / "examples" / "quickstart" / "run.sh"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where everything of the user's is, and the temporary files with it."""
    (tmp_path / "tmp").mkdir()
    return tmp_path


def _start(home: Path) -> tuple[subprocess.Popen[bytes], Path]:
    output = home / "output"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        # Only what was downloaded, and is downloaded once for every test of the machine.
        "XDG_CACHE_HOME": str(platformdirs.user_cache_path()),
    }
    with output.open("wb") as file:
        process = subprocess.Popen(
            [SCRIPT],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return process, output


def _left_over(home: Path) -> list[str]:
    """Files, and processes that were started in this home."""
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.name not in {"output", "tmp"}]
    processes = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The servers get a clean environment, but one names its directory, and one works in it.
            command = (entry / "cmdline").read_bytes()
            known_by = command + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            if os.fsencode(home) in known_by:
                processes.append(command.replace(b"\0", b" ").decode())
    return files + processes


def test_a_sync_runs_to_its_end_and_nothing_is_left(home: Path) -> None:
    process, output = _start(home)
    assert process.wait(200) == 0, output.read_text()

    text = output.read_text()
    assert "applied 0001_initial" in text
    assert "job 1 (household) completed: 5003 rows" in text
    assert re.search(r"^(one|two) leads since .* term 1,", text, re.MULTILINE)
    assert re.search(r"^jobs +1 completed$", text, re.MULTILINE)
    assert re.search(r"household +transactions +10 +5000 ", text)
    eventually(lambda: not _left_over(home), 60, "everything to be gone")


def test_interrupted_it_takes_everything_with_it(home: Path) -> None:
    process, output = _start(home)
    eventually(lambda: "$ leaderjobs enqueue" in output.read_text(), 120, "the sync to be enqueued")
    process.terminate()

    assert process.wait(60) == 143, output.read_text()
    eventually(lambda: not _left_over(home), 60, "everything to be gone")
