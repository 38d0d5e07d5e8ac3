"""What goes wrong, as one line on stderr and an exit code; no traceback unless asked for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from leaderjobs.errors import LeaderJobsError

INTERRUPTED = 130
"""As a shell reports a process that SIGINT ended."""
_state = {"verbose": False}


def verbose(*, on: bool) -> None:
    """Whether an unexpected error shows its traceback."""
    _state["verbose"] = on


def say(message: str) -> None:
    """One line on stderr, whatever `message` holds; a stderr that is gone is no error."""
    with suppress(OSError):
        click.echo(f"leaderjobs: {one_line(message)}", err=True)


def one_line(text: str) -> str:
    """`text` with line breaks as spaces and other control characters escaped."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in flat)


def unknown_command(name: str, known: Collection[str], ctx: click.Context) -> click.UsageError:
    """The error for a command that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return click.UsageError(f"no such command {name!r}; {hint}there are {', '.join(known)}", ctx=ctx)


def leave(code: int) -> NoReturn:
    """End the process by SystemExit, so that everything open is closed."""
    raise SystemExit(code)


@contextmanager
def reported() -> Iterator[None]:
    """Turn every exception into its line and exit code.

    A stdout that nobody reads any more (`leaderjobs status | head -1`) is click's to end quietly, with 1.
    """
    _state["verbose"] = False
    try:
        yield
    except click.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.UsageError as error:
        say(_usage(error))
        leave(error.exit_code)
    except click.ClickException as error:
        say(error.format_message())
        leave(error.exit_code)
    except LeaderJobsError as error:
        _traceback()
        say(str(error) or type(error).__name__)
        leave(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last boundary: a user gets a line, not a stack
        _traceback()
        hint = "" if _state["verbose"] else "; run again with -v for the traceback"
        say(_redacted(f"unexpected {type(error).__name__}: {str(error) or 'no message'}{hint}"))
        leave(1)


def _interrupted() -> NoReturn:
    say("interrupted")
    leave(INTERRUPTED)


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "leaderjobs"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # Its message is a whole page of help.
        return f"a command is missing; try {path} --help"
    return f"{error.format_message().rstrip('.')}; try {path} --help"


def _traceback() -> None:
    if _state["verbose"]:
        import traceback

        with suppress(OSError):
            click.echo(_redacted(traceback.format_exc().rstrip()), err=True)


def _redacted(text: str) -> str:
    from leaderjobs import logs

    return logs.redacted(text)
