"""Who is asked before something is done to many things, and who is said to have done it."""

from __future__ import annotations

import getpass
import socket
import sys

import click

from leaderjobs.errors import LeaderJobsError, UsageError

YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


def agreed(question: str, *, yes: bool) -> None:
    """Ask at a terminal, on stderr; a UsageError where nobody can be asked and -y is missing."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask; look with --dry-run, then give -y to do it without asking")
    click.confirm(question, abort=True, err=True)


def person() -> str:
    """`user@host`, kept beside what a person decides."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        raise LeaderJobsError("your user name is not known here; set LOGNAME") from None
    return f"{name}@{socket.gethostname()}"
