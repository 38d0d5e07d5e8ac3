"""Children that end when we do, however we end."""

from __future__ import annotations

import shutil


def tied(command: list[str]) -> list[str]:
    """The command, run so that the kernel kills it when the thread that starts it is gone.

    `setpriv` is util-linux; where it is missing, an orderly end still stops every child.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command
