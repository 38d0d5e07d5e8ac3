"""A small provider of no particular make: orders are placed, looked up, and kept in the book."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec

from leaderjobs.sandbox import book
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.keyed import KeyedSandbox, Outcome, number
from leaderjobs.sandbox.keys import Claim, Use
from leaderjobs.sandbox.shelf import Row, Shelf, Wanted

MOST_PAGE = 100
MOST_REFERENCE = 200
MOST_CENTS = 10**12


class Order(Row, frozen=True, kw_only=True):
    """What was ordered, and whatever else came with it."""

    reference: str
    cents: int
    status: str = "accepted"
    more: Mapping[str, Any] = {}


class OrdersSandbox(KeyedSandbox):
    """`POST /orders`, `GET /orders?reference=` and `GET /orders/{id}`, as JSON, with a bearer token.

    A reference is no key: the same one twice is two orders, and only an `Idempotency-Key` makes one of them.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        port: int = 0,
        latency: timedelta = timedelta(0),
        retention: timedelta = timedelta(hours=24),
    ) -> None:
        """Keys are forgotten `retention` after their first use."""
        super().__init__(seed=seed, port=port, latency=latency, retention=retention)
        self._random = random.Random(f"{seed}/orders")
        self.token = f"orders_{self._random.getrandbits(128):032x}"
        self._orders: Shelf[Order] = Shelf("/orders", "order")

    def changes(self) -> dict[str, Callable[[Any], Any]]:
        """How long keys are remembered can be switched too."""
        return {**super().changes(), "retention_seconds": self._set_retention}

    def state(self) -> dict[str, Any]:
        """Counts."""
        with self._state:
            return {
                "requests": self.requests(),
                "faults_struck": self.faults.struck(),
                "replays": self._replays,
                "keys": len(self._kept),
                "sends": len(self.sends),
                "orders": len(self.book.orders()),
                "ordered_twice": sum(n > 1 for n in self.book.orders_per_reference().values()),
            }

    def rows_json(self) -> bytes:
        """Every order, newest first."""
        with self._state:
            return msgspec.json.encode({"orders": [_shape(order) for order in self._orders.rows()]})

    def counted_as(self, method: str, path: str) -> str:
        """The endpoint, without the id."""
        if path == "/orders":
            return f"{method} /orders"
        return f"{method} /orders/{{id}}" if path.startswith("/orders/") else "other"

    def unauthorized(self, request: Request) -> Reply | None:
        """The token, or nothing."""
        if request.headers.get("Authorization", "") == f"Bearer {self.token}":
            return None
        return _error(401, "unauthorized", "a bearer token is needed")

    def parameters(self, request: Request) -> str:
        """Byte for byte."""
        return request.body.decode(errors="replace")

    def limited(self, fault: Fault) -> Reply:
        """429."""
        return _error(429, "too_many_requests", "slow down", fault.retry_after)

    def failure(self, fault: Fault) -> Reply:
        """What the fault says."""
        if fault.kind is FaultKind.ERROR:
            return _error(fault.status or 400, fault.error_code, "as asked for", fault.retry_after)
        return _error(fault.status or 500, "internal", "something went wrong", fault.retry_after)

    def key_refused(self, claim: Claim | None, _key: str, _request: Request, _first: Use | None) -> Reply:
        """As the IETF's draft has it: 409 while the first is at work, 422 for another request."""
        if claim is Claim.IN_USE:
            return _error(409, "key_in_use", "a request with this key is at work")
        if claim is None:
            return _error(400, "key_too_long", "this key is too long")
        return _error(422, "key_reused", "this key was used for another request")

    def dressed(self, request: Request, reply: Reply, *, worked: bool) -> Reply:  # noqa: ARG002 - all the same here
        """Its id."""
        headers = {"X-Request-Id": self.request_id(request), **reply.headers}
        return Reply(reply.status, reply.body, headers, reply.content_type)

    def execute(self, request: Request, _faults: tuple[Fault, ...]) -> Outcome:
        """Place an order, or show some."""
        match request.method, request.path.partition("/orders/"):
            case "POST", ("/orders", "", ""):
                return self._place(request)
            case "GET", ("/orders", "", ""):
                return self._list(request)
            case "GET", ("", "/orders/", row_id):
                with self._state:
                    order = self._orders.get(row_id, self.as_of())
                return Outcome(_NOTHING if order is None else _json(200, _shape(order)))
            case _:
                return Outcome(_NOTHING)

    def _place(self, request: Request) -> Outcome:
        try:
            asked = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return Outcome(_error(400, "invalid", "the body is no JSON object"), began=False)
        reference, cents = asked.pop("reference", None), asked.pop("cents", None)
        if not isinstance(reference, str) or not 0 < len(reference) <= MOST_REFERENCE:
            return Outcome(_error(400, "invalid", "reference: a text is needed"), began=False)
        if isinstance(cents, bool) or not isinstance(cents, int) or not 0 <= cents <= MOST_CENTS:
            return Outcome(_error(400, "invalid", "cents: an integer is needed"), began=False)
        actor = self.actor(request)
        with self._state:
            order = Order(
                id=f"ord_{self._random.getrandbits(80):020x}",
                created=int(self.clock.now()),
                reference=reference,
                cents=cents,
                more=asked,
            )
            self.book.enter(
                book.Order(
                    order=order.id,
                    reference=reference,
                    cents=cents,
                    idempotency_key=actor.idempotency_key,
                    user_agent=actor.user_agent,
                    by=actor.by,
                )
            )
            self._orders.put(order)
        return Outcome(_json(201, _shape(order)), acted=True)

    def _list(self, request: Request) -> Outcome:
        references = parse_qs(request.query).get("reference")
        with self._state:
            found, more = self._orders.page(
                Wanted(MOST_PAGE), lambda row: not references or row.reference in references, self.as_of()
            )
        return Outcome(_json(200, {"data": [_shape(order) for order in found], "has_more": more}))

    def _set_retention(self, value: object) -> None:
        self._kept.retention = timedelta(seconds=number(value))


def _shape(order: Order) -> dict[str, Any]:
    return {
        **order.more,
        "id": order.id,
        "reference": order.reference,
        "cents": order.cents,
        "status": order.status,
        "created": order.created,
    }


def _json(status: int, document: dict[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, msgspec.json.encode(document), headers or {})


def _error(status: int, code: str, message: str, retry_after: str | None = None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return _json(status, {"error": {"code": code, "message": message}}, headers)


_NOTHING = _error(404, "not_found", "there is nothing here")
