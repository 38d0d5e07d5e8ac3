"""Providers that honour keys, that ignore them, and whose look-ups lag: it happens once, or nobody knows; never twice.

Left out is what breaks the provider's own word: an operation that relies on its key, where keys are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from leaderjobs.demo.rig import Plan
from leaderjobs.model.effect import EffectState
from tests.cluster.checks import ALWAYS, judge
from tests.cluster.checks_effects import check_jobs_of_effects, check_settled
from tests.cluster.feeding import collect, open_invoices, settled
from tests.cluster.field import Field, Terrain
from tests.cluster.field_config import BILLING
from tests.cluster.working import ask, leading, order, orders, payments, plan, refunds, state
from tests.support import eventually

KINDS: dict[str, dict[str, object]] = {
    "honours keys": {"keys": "honoured"},
    "ignores keys": {"keys": "ignored"},
    "shows late": {"read_lag_ms": 1500},
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    plan = Plan(session_timeout=timedelta(seconds=2), transactions=100)
    with Field(tmp_path_factory.mktemp("field"), Terrain(plan, invoices=40, shop=True)) as field:
        yield field


@pytest.fixture(scope="module")
def paid(field: Field) -> list[str]:
    """Payments of others that can be given back: made long enough ago for every look-up to show them."""
    invoices = open_invoices(field)[: 2 * len(KINDS)]
    return [field.stripe.change(pay_by_other=invoice["id"])["pay_by_other"] for invoice in invoices]


@pytest.mark.parametrize("acts", [True, False], ids=["acts and is not heard", "is not reached"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_first_send_without_an_answer_makes_it_happen_once_or_leaves_doubt(
    field: Field, paid: list[str], kind: str, *, acts: bool
) -> None:
    payment, invoice = paid.pop(), open_invoices(field)[0]
    field.begin(f"{kind}-{acts}".replace(" ", "-"))
    leading(field, "a")
    once = kind != "ignores keys"
    for provider, sends in ((field.stripe, 2), (field.orders, 3 if once else 2)):
        provider.change(**KINDS[kind])
        provider.faults({"kind": "drop", "method": "POST", "after": acts, "count": sends})
    wanted: dict[str, UUID] = {
        "pay": ask(field, invoice),
        "refund": plan(field, BILLING, "create_refund", {"payment_intent": payment}),
        "seen": order(field, "order_seen", f"seen {field.cluster}"),
        "blind": order(field, "order_blind", f"blind {field.cluster}"),
    }
    if once:
        wanted["once"] = order(field, "order_once", f"once {field.cluster}")

    for name, effect in wanted.items():
        eventually(lambda effect=effect: state(field, effect), 60, f"{name} to be settled")  # type: ignore[misc]
    eventually(lambda: settled(field), 60, "all jobs to rest")

    blind = wanted.pop("blind")
    assert state(field, blind) is EffectState.UNCERTAIN
    assert orders(field, f"blind {field.cluster}") == (1 if acts else 0)
    assert {name: state(field, effect) for name, effect in wanted.items()} == dict.fromkeys(
        wanted, EffectState.SUCCEEDED
    )
    happened = {
        "pay": payments(field, invoice),
        "refund": refunds(field, payment),
        **{name: orders(field, f"{name} {field.cluster}") for name in wanted if name in {"seen", "once"}},
    }
    assert happened == dict.fromkeys(wanted, 1)
    collect(field)
    judge(field.history.entries(), (*ALWAYS, check_settled, check_jobs_of_effects))
