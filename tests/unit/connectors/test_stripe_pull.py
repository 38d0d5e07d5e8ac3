"""Stripe's pages and markers, without a server: what is read of them, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from leaderjobs import clock
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.stripe.pull_place import SETTLING, Place, Tail
from leaderjobs.connectors.stripe.pull_source import Source
from leaderjobs.connectors.stripe.rows import Page, Row, changes, page_of, server_time
from leaderjobs.connectors.stripe.streams import SOURCES
from leaderjobs.errors import FatalError, TransientError

NOW = 1_800_000_000


def source(name: str) -> Source:
    return next(found for found in SOURCES if found.stream.name == name)


def event(kind: str, about: str, created: int = NOW) -> str:
    return f'{{"id":"evt_1","created":{created},"type":"{kind}","data":{{"object":{about}}}}}'


def events(*found: str) -> Page:
    return Page([], more=False, body=f'{{"data":[{",".join(found)}],"has_more":false}}'.encode(), now=NOW)


def said(name: str, *found: str) -> tuple[dict[str, Any], int]:
    body, rows = changes(source(name), events(*found))
    return json.loads(body), rows


def test_an_event_counts_only_for_the_kind_of_object_that_it_shows() -> None:
    charge, refund = '{"id":"ch_1","object":"charge"}', '{"id":"re_1","object":"refund"}'
    both = event("charge.refunded", charge), event("charge.refund.updated", refund)
    assert said("charges", *both) == (
        {"changed": [json.loads(charge)], "changed_orders": [NOW], "gone": [], "gone_orders": []},
        1,
    )
    assert said("refunds", *both)[0]["changed"] == [json.loads(refund)]
    assert said("disputes", *both)[1] == 0


def test_an_invoice_that_does_not_exist_is_left_out() -> None:
    upcoming = event("invoice.upcoming", '{"id":"upcoming_in_1","object":"invoice"}')
    nameless = event("invoice.updated", '{"object":"invoice"}')
    assert said("invoices", upcoming, nameless)[1] == 0


def test_the_first_event_on_a_page_is_the_newest_and_counts() -> None:
    new, old = (f'{{"id":"cus_1","object":"customer","name":"{name}"}}' for name in ("new", "old"))
    body, rows = said(
        "customers", event("customer.updated", new, NOW), event("customer.updated", old, NOW - 9)
    )
    assert (rows, [row["name"] for row in body["changed"]], body["changed_orders"]) == (1, ["new"], [NOW])
    body, rows = said("customers", event("customer.deleted", new), event("customer.updated", old, NOW - 9))
    assert body == {"changed": [], "changed_orders": [], "gone": [{"id": "cus_1"}], "gone_orders": [NOW]}
    assert rows == 1


def test_what_is_called_deleted_of_a_subscription_is_no_deletion() -> None:
    ended = '{"id":"sub_1","object":"subscription","status":"canceled"}'
    assert said("subscriptions", event("customer.subscription.deleted", ended))[0]["gone"] == []


def test_rows_of_events_are_those_of_stripe_to_the_byte() -> None:
    exact = '{"id":"cus_1","object":"customer","balance":12345678901234567890,"rate":0.12345678901234567890, "x":1e2}'
    body, _ = changes(source("customers"), events(event("customer.updated", exact)))
    assert exact.encode() in body


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{}", FatalError, ""),
        (b'{"data":[{"id":"cus_1"}],"has_more":false}', FatalError, ""),
        (b'{"data":[{"id":7,"created":1}],"has_more":false}', FatalError, ""),
        (b'{"data":{},"has_more":false}', FatalError, ""),
        (b"<html>", TransientError, NO_ANSWER),
        (b'{"data":[],"has_more":false,"x":"\xff"}', TransientError, NO_ANSWER),
        (b'{"data":[],"has_more":true}', TransientError, NO_ANSWER),
    ],
)
def test_what_is_no_page_of_a_list_is_refused(body: bytes, kind: type[Exception], code: str) -> None:
    with pytest.raises(kind) as caught:
        page_of("/v1/customers", Answer(200, body))
    assert type(caught.value) is kind
    assert getattr(caught.value, "code", None) == code


def test_events_without_what_they_are_about_are_refused() -> None:
    with pytest.raises(FatalError, match="out of contract"):
        said("customers", '{"id":"evt_1","created":1,"type":"customer.updated","data":{}}')


def test_the_time_is_the_servers_and_ours_where_it_tells_none() -> None:
    told = Answer(200, b"", headers={"date": "Fri, 15 Jan 2027 08:00:00 GMT"})
    assert server_time(told) == NOW
    for headers in ({}, {"date": "yesterday"}):
        assert abs(server_time(Answer(200, b"", headers=headers)) - clock.now().timestamp()) < 60


@pytest.mark.parametrize(
    "cursor",
    [
        {"phase": "sideways"},
        {"after": "cus_1"},
        {"phase": "backfill", "after": 7},
        {"phase": "tail", "objects": {"id": None}},
        {"phase": "tail", "made_up": 1},
        {"phase": "window", "after": "cus_1"},
        {"phase": "tail", "gap": [1]},
    ],
)
def test_a_marker_that_was_not_written_here_is_refused(cursor: dict[str, object]) -> None:
    with pytest.raises(
        FatalError, match="not a place in Stripe's lists; run the leaderjobs version"
    ) as caught:
        Place.parse(cursor)
    assert "\n" not in str(caught.value)


def test_a_marker_is_the_same_after_the_database_and_small() -> None:
    long = Tail(NOW, "x" * 60, NOW, "y" * 60, NOW, NOW)
    place = Place("backfill", NOW, 1, "z" * 60, NOW, 999_999, long, long, (NOW, NOW))
    stored = json.dumps(place.cursor())
    assert Place.parse(json.loads(stored)) == place
    assert len(stored) < 800
    assert Place.parse({}) == Place.parse(None) == Place("backfill")


def test_the_anchor_is_the_newest_object_that_had_settled() -> None:
    def page(*ages: int) -> Page:
        return Page([Row(f"a{age}", NOW - age) for age in ages], more=False, body=b"", now=NOW)

    tail = Tail(since=NOW - 9000, id="first", at=NOW - 9000)
    old = Tail(NOW - SETTLING, f"a{SETTLING}", NOW - SETTLING)
    assert tail.past(page(SETTLING, 700)) == old
    young = tail.past(page(5, 300, SETTLING, 700))
    assert young == replace(old, up="a5", up_at=NOW - 5, turn=NOW)
    # Past what is young the walk goes on, and the anchor stays, however old the next ones are.
    beyond = replace(young, turn=NOW - 60).past(page(650))
    assert beyond == replace(old, up="a650", up_at=NOW - 650, turn=NOW - 60)
    assert beyond.past(page()) == beyond
    assert beyond.due(NOW - 60 + SETTLING - 1) == beyond
    assert beyond.due(NOW - 60 + SETTLING) == old


def test_what_is_asked_of_the_events_is_what_stripe_takes() -> None:
    for found in SOURCES:
        names = [name for name, _ in found.events]
        assert names in ([], ["type"], ["types[]"] * len(names))
        assert len(names) <= 20
        assert all("*" not in value for name, value in found.events if name == "types[]")
        assert (
            found.deletions | found.skips <= {value for _, value in found.events} or "*" in found.events[0][1]
        )


def test_settling_is_longer_than_a_list_may_lag_behind() -> None:
    assert timedelta(seconds=SETTLING) >= timedelta(minutes=10)
