"""`leaderjobs run`: one member, until it is told to stop."""

from __future__ import annotations

import re
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leaderjobs.cli import Context

LOOK_EVERY = 0.1
"""Seconds until the main thread looks for a signal by itself.

The system may hand one to any other thread; that does not wake this one, and only this one runs the handler.
"""
_MEMBER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _check_id(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _MEMBER_ID.fullmatch(value):
        raise click.BadParameter(
            f"{value!r}: allowed: letters, digits, . _ -, at most 64, not beginning with . _ -"
        )
    return value


@click.command()
@click.option("--id", "member_id", metavar="NAME", callback=_check_id, help="This member's name [host-pid].")
@click.pass_obj
def command(context: Context, member_id: str | None) -> None:
    """Run one member; run it on every machine.

    SIGTERM or Ctrl-C drains: syncs stop between two pages, attempts are given back, then it resigns.
    A second signal stops at once. The configuration file is read again when it changes, and on SIGHUP; what
    is wrong with it is told, and the old one kept.
    """
    from leaderjobs import app, logs
    from leaderjobs.config.watch import Reloading

    settings = context.settings()
    context.start_logging(service=True)
    reloading = Reloading(settings, logs.emit)
    with app.worker(reloading, member_id, logs.emit) as worker:
        failure: list[BaseException] = []

        def work() -> None:
            try:
                worker.run()
            except BaseException as error:  # noqa: BLE001 - carried over to the main thread, whatever it is
                failure.append(error)

        # Beside the main thread, so that a signal handler never interrupts code that holds a lock.
        thread = threading.Thread(target=work, name="elector", daemon=True)
        signals = 0

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            nonlocal signals
            signals += 1
            worker.stop(now=signals > 1)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        signal.signal(signal.SIGHUP, lambda _number, _frame: reloading.read_now())
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_EVERY)
        if failure:
            raise failure[0]
