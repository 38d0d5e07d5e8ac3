"""What goes wrong is one line on stderr and the exit code that says who must act."""

from __future__ import annotations

import errno

import click
import pytest
from click.testing import CliRunner

from leaderjobs import cli, logs
from leaderjobs.errors import CoordinatorUnavailable, UsageError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Makes the command `status` raise what is put into the list."""
    raised: list[BaseException] = []

    @click.command("status")
    def command() -> None:
        raise raised[0]

    monkeypatch.setattr(cli.Commands, "get_command", lambda _self, _ctx, _name: command)
    return raised


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("bad\nthing"), 2, "leaderjobs: bad thing"),
        (CoordinatorUnavailable("no answer"), 1, "leaderjobs: no answer"),
        (CoordinatorUnavailable(), 1, "leaderjobs: CoordinatorUnavailable"),
        (click.ClickException("of click"), 1, "leaderjobs: of click"),
        (
            RuntimeError("a\x1b[31m\nb"),
            1,
            "leaderjobs: unexpected RuntimeError: a\\x1b[31m b; run again with -v for the traceback",
        ),
        (
            OSError("postgresql://ann:word@db failed"),
            1,
            "leaderjobs: unexpected OSError: postgresql://ann:***@db failed; run again with -v for the traceback",
        ),
    ],
)
def test_error_is_one_line_and_its_exit_code(
    failing: list[BaseException], error: BaseException, code: int, line: str
) -> None:
    failing.append(error)

    result = CliRunner().invoke(cli.main, ["status"])

    assert result.exit_code == code
    assert result.stderr == f"{line}\n"


def test_interrupt_leaves_as_a_shell_expects(failing: list[BaseException]) -> None:
    failing.append(KeyboardInterrupt())

    result = CliRunner().invoke(cli.main, ["status"])

    assert result.exit_code == 130
    assert result.stderr.strip() == "leaderjobs: interrupted"


def test_output_that_nobody_reads_ends_quietly(failing: list[BaseException]) -> None:
    failing.append(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    result = CliRunner().invoke(cli.main, ["status"])

    assert result.exit_code == 1
    assert result.stderr == ""


def test_traceback_is_shown_when_asked_for_and_without_secrets(failing: list[BaseException]) -> None:
    logs.redact("hunter2")
    failing.append(RuntimeError("not hunter2"))

    result = CliRunner().invoke(cli.main, ["-v", "status"])

    assert "Traceback" in result.stderr
    assert result.stderr.endswith("leaderjobs: unexpected RuntimeError: not ***\n")
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--nonsense"], "No such option '--nonsense'; try leaderjobs --help"),
        (["init", "--nonsense"], "No such option '--nonsense'; try leaderjobs init --help"),
        (["init", "a", "b"], "Got unexpected extra argument (b); try leaderjobs init --help"),
        (["--config"], "Option '--config' requires an argument; try leaderjobs --help"),
        (["dev"], "a command is missing; try leaderjobs dev --help"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cli.main, arguments)

    assert result.exit_code == 2
    assert result.stderr.lower() == f"leaderjobs: {line}\n".lower().replace(
        "option '--nonsense'", "option '--nonsense'"
    )


def test_unknown_command_is_met_with_the_nearest() -> None:
    result = CliRunner().invoke(cli.main, ["stauts"])

    assert result.exit_code == 2
    assert result.stderr.startswith(
        "leaderjobs: no such command 'stauts'; did you mean status? there are init, "
    )
    assert result.stderr.count("\n") == 1
