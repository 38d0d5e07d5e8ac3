"""What tests of effects do to a field, and ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from kazoo.client import KazooClient

from leaderjobs import app
from leaderjobs.errors import CoordinatorUnavailable
from leaderjobs.model.effect import EffectState
from tests.cluster.field import Field
from tests.cluster.field_config import BILLING, SHOP
from tests.support import eventually

DONE = frozenset({EffectState.SUCCEEDED, EffectState.FAILED, EffectState.UNCERTAIN})


def ask(field: Field, invoice: Mapping[str, Any]) -> UUID:
    """Have an invoice paid; the effect's id."""
    wanted = {
        "invoice": invoice["id"],
        "amount": str(invoice["amount_due"]),
        "currency": invoice["currency"],
    }
    return plan(field, BILLING, "pay_invoice", wanted)


def order(field: Field, operation: str, reference: str) -> UUID:
    """Have an order placed; the effect's id."""
    return plan(field, SHOP, operation, {"reference": reference, "cents": "1200"})


def plan(field: Field, connection: str, operation: str, arguments: Mapping[str, object]) -> UUID:
    """Enqueue an operation."""
    with app.planner(field.settings, field.stores) as planner:
        return planner.plan(connection, operation, arguments).effect.id


def state(field: Field, effect: UUID) -> EffectState | None:
    """The state of an effect that has come to an end, or is uncertain; None before."""
    found = field.stores.effects.get(effect).state
    return found if found in DONE else None


def payments(field: Field, invoice: Mapping[str, Any]) -> int:
    """How often an invoice was paid, by the provider's book."""
    return sum(line["invoice"] == invoice["id"] for line in field.stripe.book()["payments"])


def orders(field: Field, reference: str) -> int:
    """How many orders of that reference there are, by the provider's book."""
    return sum(line["reference"] == reference for line in field.orders.book()["orders"])


def refunds(field: Field, payment_intent: str) -> int:
    """How often a payment was given back, by the provider's book."""
    return sum(line["payment_intent"] == payment_intent for line in field.stripe.book()["refunds"])


def within(seconds: float, predicate: Callable[[], object]) -> bool:
    """Whether it comes true in time; for what a member without one of its guards may never reach."""
    try:
        return bool(eventually(predicate, seconds))
    except AssertionError:
        return False


def leading(field: Field, name: str, mutations: tuple[str, ...] = ()) -> None:
    """Start a member, and wait until it leads."""
    started = field.start_member(name, mutations)
    eventually(lambda: newest_member(field) == name or started.poll() is not None, 30, f"{name} to lead")
    assert started.poll() is None, field.logs(name)[-1000:]


def newest_member(field: Field) -> str:
    """Who raised the fence last."""
    found = field.stores.terms.current(0)
    return found.member if found else ""


def depose(field: Field) -> None:
    """Delete the leader's node, and its place in line, as somebody with a ZooKeeper shell might."""
    client = KazooClient(hosts=field.ensemble.servers[0].address)
    client.start(timeout=10)
    try:
        base = f"/leaderjobs/{field.cluster}/partitions/0"
        line = sorted(client.get_children(f"{base}/candidates"), key=lambda name: name.rpartition("_n_")[2])
        client.delete(f"{base}/candidates/{line[0]}")
        client.delete(f"{base}/leader")
    finally:
        client.stop()
        client.close()


def restart_the_dead(field: Field) -> None:
    """Start every member again that has ended, and wait until all of them take part and one leads."""
    for name, worker in list(field.workers.items()):
        if worker.poll() is not None:
            field.workers.pop(name)
            field.start_member(name)
    eventually(lambda: _all_there(field), 30, "all members, and a leader")


def _all_there(field: Field) -> bool:
    try:
        present = {member.id for member in field.session.members()}
        found = field.session.leader(0)
    except CoordinatorUnavailable:
        return False
    return present == set(field.workers) and found is not None and found.number > 0
