"""Whether connections work, by one cheap call each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from leaderjobs import clock
from leaderjobs.connectors.outcome import UNANSWERED
from leaderjobs.engine.runner import MakeConnector
from leaderjobs.errors import (
    ConfigError,
    Forbidden,
    LeaderJobsError,
    NeedsUser,
    QuotaExhausted,
    RateLimited,
    TransientError,
    Unauthenticated,
)

MOST_AT_ONCE = 8


class CheckVerdict(StrEnum):
    """What a check has shown, by who has to act."""

    OK = "ok"
    AUTH = "auth"
    """The credentials are missing, wrong or expired, or the account's owner must act."""
    PERMISSION = "permission"
    """The credentials may not do this."""
    QUOTA = "quota"
    """The provider accepts no more requests for now."""
    NETWORK = "network"
    """Nobody answered."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Checked:
    """How one connection is."""

    connection: str
    connector: str
    verdict: CheckVerdict
    message: str
    seconds: float


def check_all(connections: Sequence[tuple[str, str]], make_connector: MakeConnector) -> list[Checked]:
    """Each (connection, connector), in their order; a few at a time, each bounded by its own timeout."""
    found: dict[str, Checked] = {}
    places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def run(connection: str, connector: str) -> None:
        with places:
            found[connection] = _check(connection, connector, make_connector)

    threads = [
        threading.Thread(target=run, args=each, name=f"check-{each[0]}", daemon=True) for each in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[connection] for connection, _ in connections]


def _check(connection: str, connector: str, make_connector: MakeConnector) -> Checked:
    began = clock.elapsed()
    verdict, message = CheckVerdict.OK, ""
    try:
        made = make_connector(connection)
        try:
            made.check()
        finally:
            made.close()
    except LeaderJobsError as error:
        verdict, message = _verdict(error), str(error)
    except Exception as error:  # noqa: BLE001 - a connector of the user's own may raise anything
        verdict, message = CheckVerdict.OTHER, f"{type(error).__name__}: {error}"
    return Checked(connection, connector, verdict, message, round(clock.elapsed() - began, 3))


def _verdict(error: LeaderJobsError) -> CheckVerdict:
    match error:
        case Unauthenticated() | NeedsUser() | ConfigError():
            return CheckVerdict.AUTH
        case Forbidden():
            return CheckVerdict.PERMISSION
        case QuotaExhausted() | RateLimited():
            return CheckVerdict.QUOTA
        case TransientError(code=code) if code in UNANSWERED:
            return CheckVerdict.NETWORK
        case _:
            return CheckVerdict.OTHER
