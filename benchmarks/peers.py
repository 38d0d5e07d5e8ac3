"""What others need: a virtual environment each, made on first use and kept for the next time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures

CACHE = Path(__file__).parents[1] / ".venv-peers"
"""In the checkout, so that it goes when the checkout goes; git ignores it."""
_MADE = "requirement"


@dataclass(frozen=True, slots=True)
class Package:
    """Somebody else's program, pinned."""

    name: str
    version: str
    extras: str = ""

    @property
    def requirement(self) -> str:
        """What pip takes."""
        return f"{self.name}{self.extras}=={self.version}"

    def environment(self) -> Path:
        """The directory of its environment's programs; made now where it is not there in this version."""
        directory = CACHE / self.name
        made = directory / _MADE
        if not made.is_file() or made.read_text() != self.requirement:
            figures.progress(f"installing {self.requirement} into {directory}")
            # Our own pip fills it: Debian's Python may come without the wheel that a new pip is made of.
            _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(directory))
            pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python")]
            _run(*pip, "install", "-qq", "--no-input", "--disable-pip-version-check", self.requirement)
            made.write_text(self.requirement)
        return directory / "bin"


DLT = Package("dlt", "1.31.0", "[postgres]")
SINGER = Package("meltanolabs-target-postgres", "0.8.1")
PGQUEUER = Package("pgqueuer", "1.6.0", "[asyncpg]")
PROCRASTINATE = Package("procrastinate", "3.10.0")


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{' '.join(command)}: {why}; leave it out with --peers")
