"""Objects of every kind in any number, and what becomes of them when nobody asks for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from leaderjobs.sandbox.keyed import OTHER
from leaderjobs.sandbox.shelf import Row, Shelf
from leaderjobs.sandbox.stripe.account import Account
from leaderjobs.sandbox.stripe.objects import Charge, Customer, Intent, Invoice, Line, Refund, Thing
from leaderjobs.sandbox.stripe.things import MEMBERS

MOST_SEEDS = 1_000_000
AGE = 40 * 24 * 3600
"""Seconds that the youngest object is old which was there from the beginning: Stripe has no event of it."""
TOGETHER = 3
"""So many objects were made in one second, and the next ones a minute later."""
_MADE = {
    "charges": "charge.succeeded",
    "customers": "customer.created",
    "disputes": "charge.dispute.created",
    "invoices": "invoice.created",
    "payment_intents": "payment_intent.created",
    "payouts": "payout.created",
    "prices": "price.created",
    "products": "product.created",
    "refunds": "refund.created",
    "subscriptions": "customer.subscription.created",
}
_CHANGED = {
    "charges": "charge.updated",
    "customers": "customer.updated",
    "disputes": "charge.dispute.updated",
    "invoices": "invoice.updated",
    "payment_intents": "payment_intent.succeeded",
    "payouts": "payout.updated",
    "prices": "price.updated",
    "products": "product.updated",
    "refunds": "refund.updated",
    "subscriptions": "customer.subscription.updated",
}
_DELETED = {
    "customers": "customer.deleted",
    "invoices": "invoice.deleted",
    "prices": "price.deleted",
    "products": "product.deleted",
}
DRIFT: Mapping[str, Any] = {
    "made_up": {"id": 12345678901234567890, "rate": Decimal("0.12345678901234567890")},
    "delinquent": "no",
}


class Seeds:
    """Makes, changes and removes; whoever calls holds the sandbox's lock."""

    def __init__(self, seed: int, account: Account) -> None:
        """The seed decides every content."""
        self._account = account
        self._random = random.Random(f"{seed}/seeds")
        self._made = 0
        self._hidden: dict[str, Row] = {}

    def grow(self, kind: str, count: int) -> None:
        """Objects that have been there for long."""
        youngest = self._account.now() - AGE
        for place in reversed(range(_counted(kind, count))):
            self._account.put(self._make(kind, youngest - 60 * (place // TOGETHER)))

    def add(self, kind: str, count: int) -> list[str]:
        """New objects, with their events; the ids."""
        made = [self._make(kind, self._account.now()) for _ in range(_counted(kind, count))]
        for row in made:
            self._account.put(row)
            if kind in _MADE:
                self._account.emit(_MADE[kind], row, OTHER)
        return [row.id for row in made]

    def hide(self, kind: str) -> str:
        """A new object, without an event, that no list shows before `reveal`."""
        row = self._make(kind, self._account.now())
        self._account.put(row)
        self._account.remove(row)
        self._hidden[row.id] = row
        return row.id

    def reveal(self, row_id: str) -> None:
        """Let a hidden object take its place."""
        self._account.put(self._hidden.pop(row_id))

    def modify(self, kind: str, count: int) -> list[str]:
        """Change up to so many objects; their ids."""
        if kind not in _CHANGED:
            raise ValueError(f"modify: allowed: {', '.join(_CHANGED)}")
        return [self._turn(kind, row) for row in self._some(kind, count)]

    def cancel(self, count: int) -> list[str]:
        """Cancel up to so many subscriptions, which Stripe calls deleted and goes on to list; their ids."""
        some = self._some("subscriptions", count)
        for row in some:
            ended = {"status": "canceled", "ended_at": self._account.now()}
            self._put(row, {"members": {**row.members, **ended}}, "customer.subscription.deleted")
        return [row.id for row in some]

    def remove(self, kind: str, count: int) -> list[str]:
        """Delete up to so many objects; their ids."""
        if kind not in _DELETED:
            raise ValueError(f"remove: allowed: {', '.join(_DELETED)}")
        some = self._some(kind, count)
        for row in some:
            self._account.emit(_DELETED[kind], row, OTHER)
            self._account.remove(row)
        return [row.id for row in some]

    def drift(self, count: int) -> list[str]:
        """Up to so many customers get members that nobody knew, and another type for one; their ids."""
        some = self._some("customers", count)
        for row in some:
            self._put(row, {"others": DRIFT}, "customer.updated")
        return [row.id for row in some]

    def _turn(self, kind: str, row: Any) -> str:  # noqa: ANN401 - any of the kinds
        self._made += 1
        metadata = {"turn": str(self._made)}
        match row:
            case Thing():
                changes: dict[str, Any] = {"members": {**row.members, "metadata": metadata}}
            case Intent():
                changes = {
                    "status": "succeeded",
                    "amount_received": row.amount,
                    "description": f"{self._made}",
                }
            case _:
                changes = {"metadata": metadata}
        self._put(row, changes, _CHANGED[kind])
        return str(row.id)

    def _put(self, row: Row, changes: Mapping[str, Any], event: str) -> None:
        changed = replace(row, **changes)
        self._account.put(changed)
        self._account.emit(event, changed, OTHER, {"metadata": {}})

    def _some(self, kind: str, count: int) -> list[Any]:
        rows = list(_shelf(self._account, kind).rows())
        return self._random.sample(rows, min(_counted(kind, count), len(rows)))

    def _make(self, kind: str, created: int) -> Row:
        self._made += 1
        number, ids = self._made, self._account.new_id
        common: dict[str, Any] = {"created": created, "metadata": {"number": str(number)}}
        amount = self._random.randint(500, 50_000)
        match kind:
            case "customers":
                mail, name = f"customer{number}@example.com", f"Customer {number}"
                return Customer(id=ids("cus"), email=mail, name=name, **common)
            case "invoices":
                line = Line(id=ids("il"), amount=amount, currency="usd", item=ids("ii"))
                return Invoice(
                    id=ids("in"),
                    customer=ids("cus"),
                    currency="usd",
                    lines=(line,),
                    subscription=ids("sub"),
                    **common,
                )
            case "charges":
                return Charge(
                    id=ids("ch"),
                    amount=amount,
                    currency="usd",
                    status="succeeded",
                    payment_intent=ids("pi"),
                    payment_method="pm_card_visa",
                    captured=True,
                    amount_captured=amount,
                    **common,
                )
            case "payment_intents":
                return Intent(
                    id=ids("pi"),
                    amount=amount,
                    currency="usd",
                    status="requires_payment_method",
                    client_secret=ids("s"),
                    **common,
                )
            case "refunds":
                return Refund(
                    id=ids("re"),
                    amount=amount,
                    currency="usd",
                    charge=ids("ch"),
                    payment_intent=ids("pi"),
                    **common,
                )
            case _:
                prefix, noun, members = _thing(self._account, kind)
                shown = members(ids, self._random, created)
                return Thing(id=ids(prefix), created=created, noun=noun, members=shown)


def _thing(account: Account, kind: str) -> tuple[str, str, Callable[..., dict[str, Any]]]:
    for prefix, shelf in account.things.items():
        if shelf.path == f"/v1/{kind}":
            return prefix, shelf.noun, MEMBERS[shelf.noun]
    raise ValueError(f"{kind!r}: no such kind of objects")


def _shelf(account: Account, kind: str) -> Shelf[Any]:
    return next(shelf for shelf in account.shelves.values() if shelf.path == f"/v1/{kind}")


def _counted(kind: str, count: int) -> int:
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_SEEDS:
        return count
    raise ValueError(f"{kind}: allowed: 0 to {MOST_SEEDS}")
