"""`python -m leaderjobs.sandbox [plaid|stripe|youtube|…]`: a sandbox as a process of its own.

Prints one line of JSON once it serves: `url` and the credentials, by their names in the connector's settings;
access tokens of Google's and of the catalog are to be had at `/token`. Ends on SIGTERM, SIGINT, or when its
standard input is closed, so that it never outlives whoever started it.
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
from typing import NamedTuple

from leaderjobs.sandbox.catalog.sandbox import MOST_ITEMS, CatalogSandbox
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.sandbox.orders import OrdersSandbox
from leaderjobs.sandbox.plaid.sandbox import MOST_TRANSACTIONS, PlaidSandbox
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.sandbox.stripe.sandbox import MOST_INVOICES, StripeSandbox
from leaderjobs.sandbox.youtube.sandbox import MOST_VIDEOS, YouTubeSandbox
from leaderjobs.values import Duration

MOST_CHANNELS = 50
MOST_DAYS = 1_000
MOST_ROWS = 10_000
MOST_CUSTOMERS = 100_000
_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})


class _Count(NamedTuple):
    """An option that is a whole number."""

    option: str
    most: int
    default: int


class _Kind(NamedTuple):
    make: Callable[..., Sandbox]
    credentials: tuple[str, ...]
    counts: tuple[_Count, ...]


_KINDS = {
    "plaid": _Kind(
        PlaidSandbox,
        ("client_id", "secret", "access_token"),
        (
            _Count("--transactions", MOST_TRANSACTIONS, 1000),
            _Count("--accounts", MOST_TRANSACTIONS, 3),
            _Count("--row-bytes", MOST_TRANSACTIONS, 1400),
        ),
    ),
    "stripe": _Kind(
        StripeSandbox,
        ("api_key",),
        (_Count("--invoices", MOST_INVOICES, 0), _Count("--customers", MOST_CUSTOMERS, 0)),
    ),
    "youtube": _Kind(
        YouTubeSandbox,
        ("api_key", "client_id", "client_secret", "refresh_token"),
        (
            _Count("--channels", MOST_CHANNELS, 1),
            _Count("--videos", MOST_VIDEOS, 60),
            _Count("--threads", MOST_VIDEOS, 60),
        ),
    ),
    "google_analytics": _Kind(
        GoogleAnalyticsSandbox,
        ("property_id", "client_id", "client_secret", "refresh_token"),
        (_Count("--days", MOST_DAYS, 7), _Count("--rows-per-day", MOST_ROWS, 20)),
    ),
    "catalog": _Kind(
        CatalogSandbox,
        ("base_url", "token", "api_key", "username", "password", "client_id", "client_secret"),
        (_Count("--items", MOST_ITEMS, 55),),
    ),
    "orders": _Kind(OrdersSandbox, ("token",), ()),
}


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    named = bool(given) and given[0] in _KINDS
    name = given[0] if named else "plaid"
    with _made(name, given[1:] if named else given) as sandbox:
        ready = {"url": sandbox.url, **{word: getattr(sandbox, word) for word in _KINDS[name].credentials}}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        # A daemon, because nothing can wake a read of standard input.
        threading.Thread(target=_watch_stdin, daemon=True).start()
        signal.sigwait(_ENDS)
    return 0


def _made(name: str, arguments: list[str]) -> Sandbox:
    """The sandbox that is wanted."""
    kind = _KINDS[name]
    parser = argparse.ArgumentParser(
        prog="python -m leaderjobs.sandbox",
        usage=f"%(prog)s [{'|'.join(_KINDS)}] [options]",
        description=f"{name.replace('_', ' ').title()} on loopback",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=_duration, default=timedelta(0), help="such as 20ms")
    for count in kind.counts:
        parser.add_argument(count.option, type=_up_to(count.most), default=count.default)
    if name == "orders":
        parser.add_argument("--retention", type=_duration, default=timedelta(hours=24), help="of keys")
    wanted = vars(parser.parse_args(arguments))
    # Blocked before any thread exists and then waited for: no handler that could run in the middle of a lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    return kind.make(**wanted)


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
