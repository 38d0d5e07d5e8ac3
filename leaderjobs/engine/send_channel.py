"""The one way out for a send of an operation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.outcome import Answer
from leaderjobs.engine.attempt import Attempt
from leaderjobs.errors import FatalError, Interrupted, LeadershipLost
from leaderjobs.model.effect import Request


class SendChannel:
    """The one way out for one send (`connectors.base.Channel`): the last look before the first byte.

    The look asks Postgres too. By the clock of this machine alone a guest that was frozen with it would find
    its term alive hours later; the fence and the stamp's age by the database's clock tell.
    """

    def __init__(
        self, attempt: Attempt, connector: Connector, timeout: timedelta, may_leave: Callable[[], bool]
    ) -> None:
        """The send has been stamped; `may_leave` is the ledger's word on it."""
        self._attempt = attempt
        self._connector = connector
        self._timeout = timeout
        self._may_leave = may_leave
        self.asked = False
        self.passed = False
        """The last look said yes, so something may have left."""

    @property
    def refused(self) -> bool:
        """The last look said no, so nothing has left."""
        return self.asked and not self.passed

    @property
    def timeout(self) -> timedelta:
        """How long this send may take."""
        return self._timeout

    def exchange(self, request: Request) -> Answer:
        """By HTTP, with the connection's credentials."""
        return self._connector.exchange(request, timeout=self._timeout, guard=self.guard)

    def guard(self) -> None:
        """Raise when the term is over or in doubt, the attempt was stopped, or a request has left already."""
        if self.asked:
            raise FatalError("one stamp is one request; a second one was not let out")
        self.asked = True
        if not self._may_leave():
            raise LeadershipLost(
                "the ledger lets this send out no more: a newer term leads, or it is too old"
            )
        self._attempt.check()
        if not self._attempt.term.may_start():
            raise Interrupted("the term is in doubt; nothing is sent before that is cleared up")
        self.passed = True
