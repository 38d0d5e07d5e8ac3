"""The command line: a command parses, calls one function, prints one report.

Every command is one module with a `command`; the table below is all that `--help` reads, so that it
costs what `import click` costs and a command pays only for what it uses. Add a command by adding its
module and its row. Results go to stdout, everything else to stderr; `errors` decides what an error
looks like and the exit code: 0 fine, 1 failed, 2 the request or the configuration is wrong, 3 `status
--check` found something (or no leader), 130 interrupted.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from leaderjobs import __version__
from leaderjobs.cli import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leaderjobs.config import Settings
    from leaderjobs.logs import Logging

COMMANDS = {
    "init": "Write a commented configuration file.",
    "migrate": "Create or upgrade the database schema.",
    "run": "Run one member of the cluster; start it on every machine.",
    "enqueue": "Put a sync or an operation into the queue.",
    "jobs": "List, explain, retry, cancel and delete jobs.",
    "schedules": "Show, check, pause, trigger, backfill and add schedules.",
    "reset": "Forget how far a stream has come, so that it is pulled again.",
    "effects": "List, show, settle and reconcile what was done at third parties.",
    "status": "Show leader, members, queue, markers and problems.",
    "leader": "Show the leader, or ask it to resign.",
    "connectors": "Show the connectors there are, their streams and settings.",
    "connections": "Check the accounts at third parties; release one that is on hold.",
    "db": "Adopt a coordinator whose data was replaced.",
    "doctor": "Check everything that is assumed, each with its remedy.",
    "dev": "Start, stop or show the embedded servers.",
    "demo": "Show a failover on this machine, with nothing prepared.",
}
"""Name and summary, in the order of the help; the module is `leaderjobs.cli.NAME`."""


class Context(NamedTuple):
    """The options that stand before the command; commands get it with `@click.pass_obj`.

    No dataclass: importing those would add a tenth to the time of `--help`.
    """

    config: Path | None
    verbose: int
    log_format: str

    def settings(self) -> Settings:
        """Load the configuration and print its warnings; ConfigError when it is wrong."""
        import os

        from leaderjobs import config

        settings = config.load(self.config, os.environ)
        for warning in settings.warnings:
            errors.say(f"warning: {warning}")
        return settings

    def start_logging(self, *, service: bool = False) -> Logging:
        """Log to stderr until the command ends: warnings, or from INFO on for a `service` or with -v."""
        import logging

        from leaderjobs import logs

        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        level = levels[min(self.verbose + service, 2)]
        running = logs.start(level, logs.LogFormat(self.log_format))
        click.get_current_context().call_on_close(running.stop)
        return running


class Commands(click.Group):
    """A group that imports a command's module when the command is used, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of COMMANDS."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name`; None when there is no such command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"leaderjobs.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of the help, from the summaries alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is met with the names there are."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise errors.unknown_command(args[0], COMMANDS, ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]  # click types this as two overloads; ours never returns
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,  # noqa: ANN401 - handed on to click as it came
    ) -> None:
        """Run and exit; whatever goes wrong becomes one line on stderr and an exit code."""
        extra["standalone_mode"] = False
        with errors.reported():
            code = super().main(args, prog_name or "leaderjobs", **extra)
            errors.leave(code if isinstance(code, int) else 0)


@click.group(
    "leaderjobs",
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="leaderjobs %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The configuration file.  [default: $LEADERJOBS_CONFIG, else ./leaderjobs.toml, else the user's]",
)
@click.option("-v", "--verbose", count=True, help="Log more (-vv: debug) and show tracebacks.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="LEADERJOBS_LOG_FORMAT",
    show_default=True,
    help="How log lines on stderr are written.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None, verbose: int, log_format: str) -> None:
    """One elected leader pulls third parties into Postgres; the others take over where it stopped."""
    errors.verbose(on=verbose > 0)
    ctx.obj = Context(config, verbose, log_format)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
