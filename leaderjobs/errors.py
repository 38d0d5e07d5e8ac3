"""Every error that leaderjobs raises on purpose, sorted by what the caller should do.

LeaderJobsError
├── UsageError                 mend the command line or the file; exit 2
│   └── ConfigError            ... the configuration, with its file and line
├── CoordinatorUnavailable     the outcome is unknown: wait and look again, never assume
├── LeadershipLost             stop; the job has not failed, its attempt is given back
│   └── FencedOut              ... said by Postgres: a newer term leads, or none of ours does
├── StoreError
│   ├── StoreUnavailable       Postgres cannot be reached or broke off: try again
│   ├── SchemaMismatch         migrate, or run a newer leaderjobs
│   ├── UnknownOrigin          the coordinator's data is not the one the fence knows: adopt it by hand
│   └── Refused                the request contradicts what is stored
├── ConnectorError
│   ├── TransientError         try again after a while; `retry_after` where the provider said when
│   │   ├── RateLimited        ... and nothing else of this connection may be sent before then
│   │   └── QuotaExhausted     ... before `until`: a period's allowance is used up, however slowly we ask
│   ├── NeedsUser              a person must act at the provider; holds this connection only
│   └── FatalError             trying again cannot help: arguments, an answer out of contract
│       ├── Unauthenticated    ... the provider does not accept the credentials
│       └── Forbidden          ... it accepts them, but not for this
├── EmbeddedError              a server for `dev` or `demo` could not be had; says what to install
└── Interrupted                asked to stop between two pages; nothing is wrong

Messages are one line: what happened, the value that was bad, what to do next. No message holds a secret.
"""

from __future__ import annotations

from datetime import datetime, timedelta


class LeaderJobsError(Exception):
    """Base of the tree; the CLI prints it on one line and leaves with `exit_code`."""

    exit_code = 1


class UsageError(LeaderJobsError):
    """The request itself is wrong: mend it and ask again."""

    exit_code = 2


class ConfigError(UsageError):
    """A value of the configuration is missing, unknown or out of range."""


class CoordinatorUnavailable(LeaderJobsError):
    """ZooKeeper or etcd gave no answer: whether the request took effect is unknown."""


class LeadershipLost(LeaderJobsError):
    """This term is over; whatever it was doing goes back to the queue unspent."""


class FencedOut(LeadershipLost):
    """Postgres refused a write because its term is no longer the one that leads."""


class StoreError(LeaderJobsError):
    """Something about the database."""


class StoreUnavailable(StoreError):
    """Postgres cannot be reached, or the connection broke: whether a commit landed is unknown."""


class SchemaMismatch(StoreError):
    """The database's schema is older than this program needs, or newer in a way it cannot serve."""


class UnknownOrigin(StoreError):
    """The coordinator holds other data than the one whose tokens the fence has seen."""


class Refused(StoreError):
    """The request contradicts what is stored, for instance a name that does not exist."""


class ConnectorError(LeaderJobsError):
    """A third party answered in a way that ends this page."""

    def __init__(self, message: str, *, code: str = "") -> None:
        """Keep the provider's own `code` (`ITEM_LOGIN_REQUIRED`) beside the sentence."""
        super().__init__(message)
        self.code = code


class TransientError(ConnectorError):
    """Expected to pass by itself."""

    def __init__(self, message: str, *, code: str = "", retry_after: timedelta | None = None) -> None:
        """`retry_after` is the provider's own word; None leaves the delay to our backoff."""
        super().__init__(message, code=code)
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The provider refuses more requests of this connection for now."""


class QuotaExhausted(TransientError):
    """The allowance of a period is used up: nothing of this connection can succeed before it is renewed."""

    def __init__(self, message: str, *, until: datetime, code: str = "quota_exhausted") -> None:
        """`until`: when the provider renews it."""
        super().__init__(message, code=code)
        self.until = until


class NeedsUser(ConnectorError):
    """Only the owner of the account can mend it, at the provider."""


class FatalError(ConnectorError):
    """The same request will fail the same way."""


class Unauthenticated(FatalError):
    """The credentials are wrong, expired or revoked."""


class Forbidden(FatalError):
    """The credentials are known, but may not do this."""


class EmbeddedError(LeaderJobsError):
    """An embedded server could not be found, started or reached."""


class Interrupted(LeaderJobsError):
    """The work was asked to stop at a safe point."""
