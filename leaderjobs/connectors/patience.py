"""A read that nothing answers is asked for again, a few times; whatever answers is the caller's to judge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from leaderjobs.backoff import Backoff
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.outcome import UNANSWERED
from leaderjobs.connectors.pacing import Pace
from leaderjobs.errors import Interrupted, RateLimited, TransientError

MOST_UNANSWERED = 4
"""Requests sent for one page before its silence is an error."""
_RETRY = Backoff(first=timedelta(milliseconds=500), most=timedelta(seconds=8))
T = TypeVar("T")


def until_answered(send: Callable[[], T], pace: Pace, context: ReadContext) -> T:
    """What `send` returns or raises, paced; sent again while its TransientError has an UNANSWERED code.

    Only for requests that change nothing. `context` is asked before every send, and where the work must
    stop, that is what is raised, even where the request was cut off for it.
    """
    sent = 0
    while True:
        pace.take(context)
        context.check()
        sent += 1
        try:
            return send()
        except Interrupted:
            context.check()  # Where the term is over, that is the reason to tell.
            raise
        except RateLimited as error:
            pace.hold(error.retry_after)
            raise
        except TransientError as error:
            if error.code not in UNANSWERED or sent == MOST_UNANSWERED:
                raise
        context.wait(_RETRY.delay(sent))
