"""`python -m leaderjobs.sandbox [plaid|stripe|orders]`: a sandbox as a process of its own.

Prints one line of JSON once it serves: `url` and the credentials (plaid: `client_id`, `secret`,
`access_token`; stripe: `api_key`; orders: `token`). Ends on SIGTERM, SIGINT, or when its standard input is
closed, so that it never outlives whoever started it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta

from leaderjobs.sandbox.orders import OrdersSandbox
from leaderjobs.sandbox.plaid import MOST_TRANSACTIONS, PlaidSandbox
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.sandbox.stripe import MOST_INVOICES, StripeSandbox
from leaderjobs.values import Duration

_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})
_NAMES = ("plaid", "stripe", "orders")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given and given[0] in _NAMES else ""
    sandbox, credentials = _made(name or "plaid", given[1:] if name else given)
    with sandbox:
        ready = {"url": sandbox.url, **{word: getattr(sandbox, word) for word in credentials}}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        # A daemon, because nothing can wake a read of standard input.
        threading.Thread(target=_watch_stdin, daemon=True).start()
        signal.sigwait(_ENDS)
    return 0


def _made(name: str, arguments: list[str]) -> tuple[Sandbox, tuple[str, ...]]:
    """The sandbox that is wanted, and the attributes that are its credentials."""
    parser = argparse.ArgumentParser(
        prog="python -m leaderjobs.sandbox",
        usage=f"%(prog)s [{'|'.join(_NAMES)}] [options]",
        description=f"{name.title()} on loopback",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=_duration, default=timedelta(0), help="such as 20ms")
    match name:
        case "stripe":
            parser.add_argument("--invoices", type=_up_to(MOST_INVOICES), default=0, help="open ones")
        case "orders":
            parser.add_argument("--retention", type=_duration, default=timedelta(hours=24), help="of keys")
        case _:
            parser.add_argument("--transactions", type=_up_to(MOST_TRANSACTIONS), default=1000)
            parser.add_argument("--accounts", type=_up_to(MOST_TRANSACTIONS), default=3)
            parser.add_argument("--row-bytes", type=_up_to(MOST_TRANSACTIONS), default=1400)
    wanted = vars(parser.parse_args(arguments))
    # Blocked before any thread exists and then waited for: no handler that could run in the middle of a lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    match name:
        case "stripe":
            return StripeSandbox(**wanted), ("api_key",)
        case "orders":
            return OrdersSandbox(**wanted), ("token",)
        case _:
            return PlaidSandbox(**wanted), ("client_id", "secret", "access_token")


def _watch_stdin() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _up_to(most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        number = int(text)
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f"allowed: 0 to {most}")
        return number

    return count


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
