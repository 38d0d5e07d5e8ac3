"""The Stripe stand-in's objects in any number, and what happens to them when nobody asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from tests.integration.stripe_client import Stripe

KINDS: dict[str, Any] = {
    "products": 9,
    "prices": 9,
    "subscriptions": 9,
    "payouts": 4,
    "disputes": 4,
    "balance_transactions": 4,
}


@pytest.fixture
def sandbox() -> Iterator[StripeSandbox]:
    with StripeSandbox(customers=7, **KINDS) as running:
        yield running


@pytest.fixture
def stripe(sandbox: StripeSandbox) -> Stripe:
    return Stripe(sandbox.url, sandbox.api_key)


def listed(stripe: Stripe, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    return list(stripe.get(f"/v1/{kind}", limit=100, **wanted).json["data"])


def test_seeded_objects_are_old_several_to_a_second_and_listed_newest_first(
    stripe: Stripe, sandbox: StripeSandbox
) -> None:
    for kind, count in {"customers": 7, **KINDS}.items():
        rows = listed(stripe, kind, **({"status": "all"} if kind == "subscriptions" else {}))
        made = [row["created"] for row in rows]
        assert len(rows) == count == len(sandbox.rows(kind))
        assert made == sorted(made, reverse=True)
        assert 1 < len(set(made)) < count
    assert listed(stripe, "events") == []


def test_the_same_seed_makes_the_same_objects() -> None:
    made = [StripeSandbox(seed=seed, customers=3, prices=3) for seed in (1, 1, 2)]
    ids = [[*sandbox.rows("customers"), *sandbox.rows("prices")] for sandbox in made]
    for sandbox in made:
        sandbox.stop()
    assert ids[0] == ids[1] != ids[2]


def test_lists_of_the_new_kinds_are_filtered(stripe: Stripe) -> None:
    for kind in ("products", "prices"):
        active, archived = (listed(stripe, kind, active=value) for value in (True, False))
        assert {row["active"] for row in active} == {True}
        assert len(active) + len(archived) == len(listed(stripe, kind)) == 9
    everything = listed(stripe, "subscriptions", status="all")
    canceled = listed(stripe, "subscriptions", status="canceled")
    assert 0 < len(canceled) < len(everything)
    assert len(listed(stripe, "subscriptions")) == len(everything) - len(canceled)
    dispute = listed(stripe, "disputes")[0]
    assert listed(stripe, "disputes", charge=dispute["charge"]) == [dispute]
    assert stripe.get("/v1/payouts", colour="red").error["code"] == "parameter_unknown"
    assert stripe.get(f"/v1/products/{listed(stripe, 'products')[0]['id']}").status == 200


def test_what_happens_is_told_by_events(stripe: Stripe, sandbox: StripeSandbox) -> None:
    for kind in ("products", "prices"):
        (made,) = sandbox.add(kind, 1)
        noun = kind.removesuffix("s")
        sandbox.modify(kind, 100)
        gone = sandbox.remove(kind, 2)
        types = [event["type"] for event in listed(stripe, "events", type=f"{noun}.*")]
        assert types == [f"{noun}.deleted"] * 2 + [f"{noun}.updated"] * 10 + [f"{noun}.created"]
        assert made in sandbox.rows(kind) or made in gone
        assert len(listed(stripe, kind)) == 8
        assert stripe.get(f"/v1/{kind}/{gone[0]}").status == 404
    (subscription,) = sandbox.cancel_subscriptions(1)
    (event,) = listed(stripe, "events", type="customer.subscription.*")
    assert event["type"] == "customer.subscription.deleted"
    assert event["data"]["object"] == sandbox.rows("subscriptions")[subscription]
    with pytest.raises(ValueError, match="remove: allowed: customers"):
        sandbox.remove("charges", 1)
    with pytest.raises(ValueError, match="'spoons': no such kind"):
        sandbox.add("spoons", 1)


def test_a_hidden_object_shows_late_and_at_its_place(stripe: Stripe, sandbox: StripeSandbox) -> None:
    (before,) = sandbox.add("payouts", 1)
    hidden = sandbox.hide("payouts")
    (after,) = sandbox.add("payouts", 1)
    assert [row["id"] for row in listed(stripe, "payouts")][:2] == [after, before]
    sandbox.reveal(hidden)
    assert [row["id"] for row in listed(stripe, "payouts")][:3] == [after, hidden, before]


def test_the_date_of_an_answer_is_by_its_own_clock(stripe: Stripe, sandbox: StripeSandbox) -> None:
    sandbox.advance(timedelta(days=40))
    (made,) = sandbox.add("customers", 1)
    told = stripe.get("/v1/customers", limit=1)
    instant = parsedate_to_datetime(told.headers["Date"]).timestamp()
    assert told.json["data"][0]["id"] == made
    assert 0 <= instant - told.json["data"][0]["created"] <= 5


def test_it_can_be_steered_from_another_process(stripe: Stripe, sandbox: StripeSandbox) -> None:
    wanted = {"add": {"payouts": 2}, "modify": {"payouts": 3}, "remove": {"products": 1}}
    assert sandbox.change(wanted) == wanted
    assert len(listed(stripe, "payouts")) == 6
    for wrong in ({"add": 3}, {"add": {"payouts": "x"}}, {"modify": {"balance_transactions": 1}}):
        with pytest.raises(ValueError, match="allowed"):
            sandbox.change(wrong)


def test_a_page_asked_for_again_is_counted_unless_something_has_changed(
    stripe: Stripe, sandbox: StripeSandbox
) -> None:
    for _ in range(3):
        listed(stripe, "payouts")
    listed(stripe, "payouts", status="failed")
    listed(stripe, "payouts", status="failed")
    assert sandbox.state()["pages_asked_twice"] == 2
    sandbox.add("payouts", 1)
    listed(stripe, "payouts")
    assert sandbox.state()["pages_asked_twice"] == 2
