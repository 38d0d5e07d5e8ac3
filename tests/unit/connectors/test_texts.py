"""Filling in, writing and reading: the small parts that operations are made of."""

from __future__ import annotations

import doctest
import json
from decimal import Decimal
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderjobs.connectors import arguments, documents, forms, templates
from leaderjobs.connectors.documents import NOT_JSON, at, parsed, scalar, text, whole
from leaderjobs.connectors.templates import Template, filled, names_in


@pytest.mark.parametrize("module", [forms, templates])
def test_the_examples_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_braces_are_names_or_written_twice() -> None:
    assert Template("{{{a}}} {{").text({"a": "x"}) == "{x} {"
    assert Template("").text({}) == ""
    assert names_in({"a": ["{b}", {"c": "{d}-{e}"}], "f": 1, "g": None}) == {"b", "d", "e"}
    for broken in ("{", "}", "{A}", "{a b}", "a}b", "{1a}"):
        with pytest.raises(ValueError, match="a brace that belongs to no name"):
            Template(broken)


def test_one_name_alone_keeps_its_type() -> None:
    values: dict[str, templates.Value] = {"n": 7, "d": Decimal("1.50"), "b": True, "t": "x"}
    assert filled({"a": "{n}", "b": ["{d}", "{b}"], "c": "{t}{n}", "e": 5}, values) == {
        "a": 7, "b": [Decimal("1.50"), True], "c": "x7", "e": 5
    }  # fmt: skip


@given(st.text(min_size=1))
def test_what_is_filled_into_a_path_has_no_meaning_there(value: str) -> None:
    try:
        quoted = Template("/a/{b}/c").quoted({"b": value})
    except UnicodeEncodeError:
        return  # A lone surrogate: JSON may hold one, UTF-8 may not.
    assert quoted.isascii()
    assert quoted.count("/") == 3
    assert not set(quoted) & set("?#&= \n")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6))
def test_decimals_are_kept_to_the_digit_and_equal_ones_are_equal(value: Decimal) -> None:
    kept = arguments.decimal(format(value, "f"))
    assert isinstance(kept, str)
    assert Decimal(kept) == value
    assert arguments.decimal(f"{value:f}0") == kept
    assert arguments.decimal(kept) == kept


def test_numbers_of_an_answer_are_never_floats() -> None:
    found = parsed(b'{"a":0.1,"b":12345678901234567890,"c":1e2}')
    assert found == {"a": Decimal("0.1"), "b": 12345678901234567890, "c": Decimal("1E+2")}
    assert (whole(at(found, "a")), whole(at(found, "b")), whole(True)) == (None, 12345678901234567890, None)


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_not_json_is_told_from_null(body: bytes) -> None:
    assert parsed(body) is NOT_JSON
    assert parsed(b"null") is None


def test_a_path_leads_to_something_or_nowhere() -> None:
    document = {"a": [{"b": 1}, {"b": None}], "": 2}
    assert at(document, "") is document
    assert at(document, "a.0.b") == 1
    for nowhere in ("a.1.b", "a.2", "a.-1", "a.b", "x.y", "a.0.b.c", "a.99999999"):
        assert at(document, nowhere) is None


@given(st.text())
def test_texts_for_people_are_one_short_line(value: str) -> None:
    shown = text(value)
    assert shown.isprintable()
    assert len(shown) <= documents.MOST_TEXT_CHARS
    assert text(shown) == shown.strip() or len(value) > documents.MOST_TEXT_CHARS


def test_only_plain_values_have_a_text() -> None:
    assert [scalar(each) for each in (True, False, 7, Decimal("1.50"), "a\nb")] == [
        "true",
        "false",
        "7",
        "1.50",
        "a b",
    ]
    nothing: list[object] = [None, [], {}, [1]]
    assert [scalar(each) for each in nothing] == ["", "", "", ""]


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
    )
)
def test_a_form_is_the_same_for_the_same_fields(fields: dict[str, object]) -> None:
    try:
        once = forms.encoded(fields)
    except UnicodeEncodeError:
        return
    assert once == forms.encoded(json.loads(json.dumps(fields)))
    assert once.isascii()
