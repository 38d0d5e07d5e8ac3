"""What the end of an attempt means for its job: from what was raised to an Outcome, without any I/O.

| what was raised | becomes | spends an attempt | until it is tried again |
|---|---|---|---|
| LeadershipLost, StoreUnavailable, Refused | GiveBack | no | at once |
| Interrupted, by draining | GiveBack | no | at once, by the next leader |
| Interrupted, because a person cancelled | Cancelled | | never |
| Interrupted, by the job's time limit | Retry | yes | RETRIES |
| NeedsUser | Hold of the connection, a person must act | no | PROBE_HOLD_EVERY |
| QuotaExhausted | Hold of the connection | no | the quota is renewed |
| RateLimited | Hold of the connection | no | the provider's Retry-After, else REFUSALS |
| TransientError | Retry | yes | the provider's Retry-After, else RETRIES |
| FatalError, ConfigError, StoreError | Discard | | never by itself |
| anything else: a bug | Retry | yes | RETRIES |

RETRIES and REFUSALS double and draw with full jitter; nobody's word is taken for longer than
LONGEST_RETRY_AFTER. A request that was cut off because the attempt was stopped may look like any passing
trouble, so the stop counts. For an operation the table is another (`operator_outcome`): its effect is never
given up, so nothing spends one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.backoff import Backoff
from leaderjobs.connectors.pacing import RATE_LIMITED
from leaderjobs.engine.attempt import Attempt, Stop
from leaderjobs.errors import (
    ConfigError,
    ConnectorError,
    FatalError,
    Interrupted,
    LeadershipLost,
    NeedsUser,
    QuotaExhausted,
    RateLimited,
    Refused,
    StoreError,
    StoreUnavailable,
    TransientError,
)
from leaderjobs.model.job import Cancelled, Discard, GiveBack, Hold, Job, Outcome, Postpone, Retry

RETRIES = Backoff(first=timedelta(seconds=1), most=timedelta(minutes=10))
REFUSALS = Backoff(first=timedelta(seconds=2), most=timedelta(minutes=15))
"""Between two tries of a connection whose provider limits its rate and does not say for how long."""
TROUBLE = Backoff(first=timedelta(seconds=15), most=timedelta(seconds=15))
"""Until what is no matter of the effect (a connection not configured here, a bug) is tried again."""
PROBE_HOLD_EVERY = timedelta(minutes=15)
"""How often a connection that waits for its user is tried again without being asked."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
"""A provider's Retry-After beyond this is taken as this."""
LEAST_HOLD = timedelta(seconds=1)
MOST_COUNTED = 10_000
"""Connections whose refusals in a row are remembered."""


class Refusals:
    """How often in a row each connection was refused for its rate. Any thread; forgotten with the term."""

    def __init__(self) -> None:
        """None was."""
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def again(self, connection: str) -> int:
        """Count one more; how many in a row there are now."""
        with self._lock:
            count = self._counts.pop(connection, 0) + 1
            self._counts[connection] = count
            if len(self._counts) > MOST_COUNTED:
                self._counts.popitem(last=False)
            return count

    def over(self, connection: str) -> None:
        """Work got through."""
        with self._lock:
            self._counts.pop(connection, None)


def outcome(error: Exception, attempt: Attempt, refusals: Refusals) -> Outcome:
    """Of an attempt at a sync that raised `error`: the module's table."""
    job = attempt.job
    match error:
        case LeadershipLost() | StoreUnavailable() | Refused():
            # Refused: the marker moved by a commit of ours whose acknowledgement was lost; read it again.
            return GiveBack()
        case Interrupted():
            return _stopped(attempt)
        case NeedsUser() | QuotaExhausted() | RateLimited():
            return _held(error, job, refusals)
        case ConnectorError() | ConfigError() | StoreError() if not isinstance(error, TransientError):
            return Discard(str(error))
        case _:
            pass
    if attempt.stopped is not None:
        return _stopped(attempt)
    if isinstance(error, TransientError):
        asked = error.retry_after
        delay = RETRIES.delay(job.attempt) if asked is None else min(asked, LONGEST_RETRY_AFTER)
        return Retry(delay, str(error))
    return Retry(RETRIES.delay(job.attempt), f"{type(error).__name__}: {error}")


def operator_outcome(error: Exception, attempt: Attempt, refusals: Refusals) -> Outcome:
    """Of an attempt at an operation that raised `error` where no send was out.

    A stop gives it back, also a person's: what becomes of the effect is decided by its ledger. What only a
    person can mend holds the connection; all else waits a little.
    """
    match error:
        case Interrupted() if attempt.stopped is Stop.TIME_LIMIT:
            return Postpone(TROUBLE.delay(1), _took_too_long(attempt.job))
        case LeadershipLost() | Interrupted() | StoreUnavailable() | Refused():
            return GiveBack()
        case QuotaExhausted() | RateLimited():
            return _held(error, attempt.job, refusals)
        case NeedsUser() | FatalError() | ConfigError():
            return Hold(PROBE_HOLD_EVERY, getattr(error, "code", "") or "configuration", str(error))
        case ConnectorError() | StoreError():
            return Postpone(TROUBLE.delay(1), str(error))
        case _:
            return Postpone(TROUBLE.delay(1), f"{type(error).__name__}: {error}")


def _held(error: NeedsUser | QuotaExhausted | RateLimited, job: Job, refusals: Refusals) -> Hold:
    match error:
        case NeedsUser():
            return Hold(PROBE_HOLD_EVERY, error.code, str(error))
        case QuotaExhausted():
            delay, code = max(error.until - clock.now(), LEAST_HOLD), error.code
        case _:
            count = refusals.again(job.connection)
            delay, code = error.retry_after or REFUSALS.delay(count), RATE_LIMITED
    return Hold(min(delay, LONGEST_RETRY_AFTER), code, str(error), person=False)


def _stopped(attempt: Attempt) -> Outcome:
    match attempt.stopped:
        case Stop.CANCEL:
            return Cancelled()
        case Stop.TIME_LIMIT:
            return Retry(RETRIES.delay(attempt.job.attempt), _took_too_long(attempt.job))
        case _:
            return GiveBack()


def _took_too_long(job: Job) -> str:
    return f"took longer than its limit of {_written(job.time_limit or timedelta(0))}"


def _written(span: timedelta) -> str:
    """As in the configuration: 2h, 1h30m, 250ms.

    >>> _written(timedelta(hours=1, minutes=30))
    '1h30m'
    """
    parts, left = [], span
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)
