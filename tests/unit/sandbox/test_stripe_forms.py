"""Stripe's forms: what is nested, what is read, and that nothing is taken that nobody asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderjobs.sandbox.stripe.errors import StripeError
from leaderjobs.sandbox.stripe.expand import checked
from leaderjobs.sandbox.stripe.forms import Params, canonical, fields, nested
from tests.integration.stripe_client import flat

NAMES = st.text("abc_", min_size=1, max_size=4)
TREES = st.recursive(
    st.text(max_size=5), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8
)


def depth(tree: Any) -> int:
    return 1 + max(map(depth, tree.values()), default=0) if isinstance(tree, dict) else 0


@given(st.dictionaries(NAMES, TREES, max_size=3).filter(lambda tree: depth(tree) <= 5))
def test_what_is_flattened_is_nested_again(tree: dict[str, Any]) -> None:
    assert nested(flat(tree)) == tree


def test_lists_are_given_with_and_without_numbers() -> None:
    for text in (b"a[]=x&a[]=y", b"a[0]=x&a[1]=y", b"a%5B%5D=x&a%5B%5D=y"):
        assert Params(nested(fields("", text))).texts("a") == ("x", "y")


@pytest.mark.parametrize("name", ["[a]", "a[b", "a]b[", "a[b]c", "a[b][c][d][e][f]"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(StripeError) as refused:
        nested([(name, "1")])
    assert (refused.value.began, refused.value.code) == (False, "parameter_unknown")


def test_a_name_is_a_value_or_a_table() -> None:
    with pytest.raises(StripeError):
        nested([("a", "1"), ("a[b]", "2")])


def test_a_body_that_is_no_text_is_refused() -> None:
    with pytest.raises(StripeError):
        fields("", b"a=\xff")
    with pytest.raises(StripeError):
        fields("", b"&".join(b"a=1" for _ in range(1001)))


def test_what_was_not_read_is_unknown_also_inside_a_table() -> None:
    params = Params(nested([("a", "1"), ("t[b]", "2"), ("t[c]", "3")]))
    assert params.integer("a") == 1
    assert params.group("t").text("b") == "2"
    with pytest.raises(StripeError, match=r"Received unknown parameter: t\[c\]"):
        params.done()


@pytest.mark.parametrize("value", ["1.0", "1e3", "٣", " 1", "+1", "", "0x1", "9" * 16])
def test_money_is_an_integer_or_nothing(value: str) -> None:
    with pytest.raises(StripeError):
        Params({"amount": value}).integer("amount")


def test_metadata_loses_what_is_empty() -> None:
    params = Params(nested([("metadata[a]", "1"), ("metadata[b]", ""), ("metadata[0]", "z")]))
    assert params.metadata() == {"a": "1", "0": "z"}
    assert Params({"metadata": ""}).metadata() == {}
    for wrong in ({str(place): "v" for place in range(51)}, {"n" * 41: "v"}, {"n": {"m": "v"}}, "text"):
        with pytest.raises(StripeError):
            Params({"metadata": wrong}).metadata()


def test_parameters_are_compared_without_their_order_and_not_without_their_values() -> None:
    assert canonical("", b"a=1&b=2") == canonical("", b"b=2&a=1") == canonical("b=2", b"a=1")
    assert canonical("", b"a=1") != canonical("", b"a=2")
    assert canonical("", b"a=1") != canonical("", b"a=1&b=")


@pytest.mark.parametrize(
    ("path", "noun", "inside_list", "allowed"),
    [
        ("payments", "invoice", False, True),
        ("payments.data.payment.payment_intent", "invoice", False, True),
        ("data.payments", "invoice", True, True),
        ("payments", "invoice", True, False),
        ("payment_intent", "invoice", False, False),
        ("charge", "invoice", False, False),
        ("latest_charge", "payment_intent", False, True),
        ("invoice", "payment_intent", False, False),
        ("latest_charge.payment_intent.latest_charge.payment_intent.latest_charge.customer", "payment_intent", False, False),
        ("", "invoice", False, False),
    ],
)  # fmt: skip
def test_only_what_is_an_object_inside_can_be_expanded(
    path: str, noun: str, *, inside_list: bool, allowed: bool
) -> None:
    if allowed:
        assert checked((path,), noun, inside_list=inside_list) == [path.split(".")]
    else:
        with pytest.raises(StripeError, match="cannot be expanded"):
            checked((path,), noun, inside_list=inside_list)
