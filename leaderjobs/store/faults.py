"""What psycopg raises, told as our own errors: one line, and nothing that a URL may have held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from leaderjobs.errors import (
    FencedOut,
    Interrupted,
    LeaderJobsError,
    Refused,
    SchemaMismatch,
    StoreError,
    StoreUnavailable,
)

MOST_MESSAGE_CHARS = 300

# Raised by the functions of the schema; the server's message is the whole story.
_OURS: dict[str, type[LeaderJobsError]] = {
    "LJ001": FencedOut,
    "LJ002": StoreError,
    "LJ003": Refused,
    "LJ004": Interrupted,
}
# Undefined table, function, schema, column: the schema is not there, or not this program's.
_NOT_MIGRATED = frozenset({"42P01", "42883", "3F000", "42703"})
# Idle too long in a transaction, and read-only (a standby): no OperationalErrors to psycopg, but passing.
_PASSING = frozenset({"25P03", "25P02", "25006"})

# libpq's own words are never shown: it quotes what it takes for a host or a port, and with a mistyped URL
# that is a piece of the password. These are the reasons worth telling apart.
_REASONS = (
    ("Connection refused", "nothing listens there"),
    ("timeout expired", "no answer in time"),
    ("password authentication failed", "the user name or the password is wrong"),
    ("no password supplied", "the server asks for a password"),
    ("no pg_hba.conf entry", "the server does not admit this user from here"),
    ("could not translate host name", "the host name is unknown"),
    ("Name or service not known", "the host name is unknown"),
    ("starting up", "the server is starting up"),
    ("shutting down", "the server is shutting down"),
    ("too many", "the server has no connection left"),
    ("SSL", "the encrypted connection could not be made"),
    ("certificate", "the encrypted connection could not be made"),
    ("role", "the user does not exist"),
    ("does not exist", "the database does not exist"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into ours; every call of psycopg happens inside one of these."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from None


def translate(error: psycopg.Error) -> LeaderJobsError:
    """The error of our tree that says what the caller should do about `error`."""
    code, primary = error.sqlstate, _one_line(error.diag.message_primary or "")
    if code in _OURS:
        return _OURS[code](primary)
    if code in _NOT_MIGRATED:
        return SchemaMismatch(f"{primary}; run: leaderjobs migrate")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or code in _PASSING:
        if primary:
            return StoreUnavailable(f"Postgres gave up: {primary}")
        return StoreUnavailable(
            "the connection to Postgres broke; what was under way may or may not be stored"
        )
    # Errors of the client side have no diagnosis, and their text may quote a value.
    return StoreError(f"Postgres refused: {primary or type(error).__name__} ({code or 'before it was sent'})")


def unreachable(error: psycopg.Error, place: str) -> StoreUnavailable:
    """Why no connection to `place` could be made."""
    text = str(error)
    reason = next((ours for theirs, ours in _REASONS if theirs in text), "the connection failed")
    return StoreUnavailable(f"Postgres at {place} cannot be reached: {reason}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MOST_MESSAGE_CHARS]
