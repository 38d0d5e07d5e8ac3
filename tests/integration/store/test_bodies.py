"""Page bodies as providers send them: out of shape, not quite JSON, with numbers that must stay exact."""

from __future__ import annotations

from decimal import Decimal

import pytest

from leaderjobs.errors import StoreError
from leaderjobs.model.batch import Landing
from tests.integration.store.rig import Admin, Cluster, label_of, live, raw_page

STAGE, APPLY, REPLACE = Landing.STAGE, Landing.APPLY, Landing.REPLACE


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows": [{"id": "good"}, {"label": "no key"}], "removed": []}',
        b'{"rows": [{"id": null}], "removed": []}',
        b'{"rows": [{"id": ["a"]}], "removed": []}',
        b'{"rows": ["text"], "removed": []}',
        b'{"rows": [], "removed": [{"account": "x"}]}',
        b'{"rows": {"id": "a"}, "removed": []}',
        b'{"rows": null, "removed": []}',
        b'{"removed": []}',
        b'{"rows": [{"id": "good"}]}',
        b"[]",
    ],
)
@pytest.mark.parametrize("landing", [Landing.UPSERT, APPLY, REPLACE])
def test_page_out_of_shape_fails_whole_and_names_the_stream(
    cluster: Cluster, admin: Admin, body: bytes, landing: Landing
) -> None:
    led = cluster.lead()

    with pytest.raises(StoreError, match=r"shop\.things") as failed:
        cluster.commit(led, cluster.start(led), raw_page(body, landing=landing), None)

    assert type(failed.value) is StoreError
    assert live(admin) == set()
    assert cluster.markers.all() == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'rows': []}", b'{"rows": [], "removed": []} x', b'{"rows": ["\0"]}']
)
@pytest.mark.parametrize("landing", [Landing.UPSERT, STAGE])
def test_body_that_is_not_json_fails_when_it_comes(cluster: Cluster, body: bytes, landing: Landing) -> None:
    led = cluster.lead()

    with pytest.raises(StoreError) as failed:
        cluster.commit(led, cluster.start(led), raw_page(body, landing=landing), None)

    assert type(failed.value) is StoreError
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    "number", ["1.10", "0.1", "1e3", "12345678901234567890", "-0.000000000000000000001", "9007199254740993"]
)
def test_numbers_are_exact(cluster: Cluster, admin: Admin, number: str) -> None:
    led = cluster.lead()
    body = b'{"rows": [{"id": "a", "price": {"amount": %s}}], "removed": []}' % number.encode()

    cluster.commit(led, cluster.start(led), raw_page(body), None)

    row = admin.execute(
        "SELECT amount, (doc #> '{price,amount}')::numeric, amount::text FROM shop.things"
    ).fetchone()
    assert row is not None
    assert row[:2] == (Decimal(number), Decimal(number))
    assert row[2] == str(Decimal(number)) or "e" in number or "000000" in number


def test_text_that_jsonb_cannot_hold_is_marked_and_the_rest_is_untouched(
    cluster: Cluster, admin: Admin
) -> None:
    led = cluster.lead()
    label = rb"nul \u0000 half \ud83d whole \ud83d\ude00 low \udc00 escaped \\u0000 \\\u0000 line \n"
    body = b'{"rows": [{"id": "a", "label": "' + label + b'", "price": {"amount": 1.10}}], "removed": []}'

    cluster.commit(led, cluster.start(led), raw_page(body), None)

    assert (
        label_of(admin, "a")
        == "nul \ufffd half \ufffd whole \U0001f600 low \ufffd escaped \\u0000 \\\ufffd line \n"
    )
    assert admin.execute("SELECT amount::text FROM shop.things").fetchone() == ("1.10",)


def test_bytes_that_are_not_utf8_are_marked(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()

    cluster.commit(
        led,
        cluster.start(led),
        raw_page(b'{"rows": [{"id": "a", "label": "\xff\xc3\xa4"}], "removed": []}'),
        None,
    )

    assert label_of(admin, "a") == "\ufffdä"
