"""A Provider of leaderjobs.testing over a sandbox: what is the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.testing import Can, Provider, Trouble
from tests.contract.official import Description

FAULTS: dict[Trouble, Fault] = {
    Trouble.RATE_LIMITED: Fault(kind=FaultKind.RATE_LIMITED, retry_after="5"),
    Trouble.SERVER_ERROR: Fault(kind=FaultKind.SERVER_ERROR),
    Trouble.HTML: Fault(kind=FaultKind.HTML),
    Trouble.UNAVAILABLE: Fault(kind=FaultKind.HTML, status=503),
    Trouble.RESET: Fault(kind=FaultKind.RESET),
    Trouble.TRUNCATED: Fault(kind=FaultKind.TRUNCATED),
    Trouble.REDIRECT: Fault(kind=FaultKind.REDIRECT),
    Trouble.SHAPELESS: Fault(kind=FaultKind.SHAPELESS),
    Trouble.HANG: Fault(kind=FaultKind.HANG),
    Trouble.TOO_LARGE: Fault(kind=FaultKind.HUGE),
    Trouble.DUPLICATE_ID: Fault(kind=FaultKind.DUPLICATE_ID),
    Trouble.EQUAL_TOKENS: Fault(kind=FaultKind.EQUAL_CURSORS),
    Trouble.EMPTY_PAGE: Fault(kind=FaultKind.EMPTY_PAGE),
}
EVERYTHING = frozenset(Can) - {Can.QUOTA, Can.WINDOW}


class StandIn(Provider):
    """A sandbox as the suite wants it; when it stops, every request that it got must be an official one."""

    can: frozenset[str] = EVERYTHING
    descriptions: ClassVar[tuple[str, ...]] = ()
    """The provider's official ones, in tests/contract/specs; none: there are none."""
    troubled: ClassVar[str] = ""
    """Path (it may hold `*`) of the requests that are spoilt."""
    tokens: ClassVar[frozenset[str]] = frozenset()
    """Paths where access tokens are fetched."""
    sandbox: Sandbox

    def start(self) -> None:
        """Also listen in on the sandbox's own answers."""
        self._answers: list[tuple[Request, bytes]] = []
        self._spoilt = False
        answer = self.sandbox.answer

        def heard(request: Request, faults: tuple[Fault, ...]) -> Reply:
            reply = answer(request, faults)
            if reply.status == 200 and not faults and not self._spoilt:
                self._answers.append((request, reply.body))
            return reply

        self.sandbox.answer = heard  # type: ignore[method-assign] # the sandbox is ours alone
        self.sandbox.start()

    def stop(self) -> None:
        self.sandbox.stop()
        for request in self.sandbox.recorded():
            # Addresses end up in the logs of everything in between.
            asked = f"{request.path}?{request.query}"
            assert not any(secret in asked for secret in self.secrets), request.path
        if not self.descriptions:
            return
        official = Description.of(*self.descriptions)
        requests = [request for request in self.sandbox.recorded() if request.path not in self.tokens]
        wrong = {complaint for request in requests for complaint in official.complaints(request)}
        for request, body in self._answers:
            wrong |= set(official.faults_of_answer(request.method, request.path, body))
        assert wrong == set(), "\n".join(sorted(wrong))

    def requests(self) -> Mapping[str, int]:
        return {path: count for path, count in self.sandbox.requests().items() if path not in self.tokens}

    def trouble(self, kind: Trouble, *, skip: int = 0, count: int | None = None) -> None:
        self._spoilt = True
        self.sandbox.faults.replace(self.fault(kind, skip=skip, count=count))

    def fault(self, kind: Trouble, **when: Any) -> Fault:
        return msgspec.structs.replace(FAULTS[kind], path=self.troubled, **when)

    def drift(self) -> None:
        self._spoilt = True
        self.change_shapes()

    def change_shapes(self) -> None:
        """What `drift` is, where it can be."""
        raise NotImplementedError

    def calm(self) -> None:
        self.sandbox.faults.replace()
