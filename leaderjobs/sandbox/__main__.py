"""`python -m leaderjobs.sandbox`: a Plaid sandbox as a process of its own.

Prints one line of JSON (`url`, `client_id`, `secret`, `access_token`) once it serves, and ends on
SIGTERM, SIGINT, or when its standard input is closed, so that it never outlives whoever started it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from datetime import timedelta

from leaderjobs.sandbox.plaid import MOST_TRANSACTIONS, PlaidSandbox
from leaderjobs.values import Duration

_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    wanted = _parser().parse_args(arguments)
    # Blocked before any thread exists and then waited for: no handler that could run in the middle of a lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    sandbox = PlaidSandbox(
        seed=wanted.seed,
        transactions=wanted.transactions,
        accounts=wanted.accounts,
        row_bytes=wanted.row_bytes,
        port=wanted.port,
        latency=wanted.latency,
    )
    with sandbox:
        ready = {
            "url": sandbox.url,
            "client_id": sandbox.client_id,
            "secret": sandbox.secret,
            "access_token": sandbox.access_token,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        # A daemon, because nothing can wake a read of standard input.
        threading.Thread(target=_watch_stdin, daemon=True).start()
        signal.sigwait(_ENDS)
    return 0


def _watch_stdin() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m leaderjobs.sandbox", description="Plaid on loopback")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--transactions", type=_count, default=1000)
    parser.add_argument("--accounts", type=_count, default=3)
    parser.add_argument("--row-bytes", type=_count, default=1400)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=_duration, default=timedelta(0), help="such as 20ms")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= MOST_TRANSACTIONS:
        raise argparse.ArgumentTypeError(f"allowed: 0 to {MOST_TRANSACTIONS}")
    return count


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
