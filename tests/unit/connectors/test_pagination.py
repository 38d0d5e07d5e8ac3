"""How a listing goes on: what is read as the next page, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from leaderjobs.connectors.http import HttpClient
from leaderjobs.connectors.rest.pagination import MOST_TOKEN_CHARS, Page, Pagination, Spot, next_link
from leaderjobs.connectors.rest.stream_settings import RestPagination
from leaderjobs.errors import FatalError
from tests.unit.connectors.wires import answering, serving

HERE = "https://api.example.com/v1/items"


def page(
    document: object = None, rows: int = 0, *, headers: Mapping[str, str] | None = None, at: str = HERE
) -> Page:
    raw = Raw(msgspec.json.encode(document if document is not None else {}))
    return Page(raw, [Raw(b'{"id":%d,"n":{"at":"x%d"}}' % (n, n)) for n in range(rows)], headers or {}, at)


def pagination(*secrets: str, **declared: Any) -> Pagination:
    return Pagination(RestPagination(**declared), "items", lambda: secrets)


def following(spot: Spot, found: Page, *secrets: str, **declared: Any) -> Any:
    after = pagination(*secrets, **declared).following(spot, found, "print")
    return None if after is None else after.page


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a/x?page=2>; rel="next", <https://a/x?page=9>; rel="last"', "https://a/x?page=2"),
        ('<https://a/x?page=1>; rel="prev",<https://a/x?page=3>;rel="next"', "https://a/x?page=3"),
        ("</x?p=2>; rel=next", "/x?p=2"),
        ('</x?a=1,2;3>; title="a, b; rel=\\"prev\\""; REL="last NEXT"', "/x?a=1,2;3"),
        ('</x>; rel="last"; title="next"', ""),
        ('</x>; title="; rel=next"; rel="first"', ""),
        ('</x>; rel="nextish"', ""),
        ("", ""),
        ("<<<>>>;;;,,,rel=next", ""),
    ],
)
def test_the_next_link_of_a_header(header: str, target: str) -> None:
    assert next_link(header) == target


def test_a_long_link_header_is_kept() -> None:
    """Left out, as other long headers are, it would read as the end of the listing."""
    link = f'<https://a/x?{"y" * 3000}>; rel="first", </x?page=2>; rel="next"'
    answer = f"HTTP/1.1 200 OK\r\nLink: {link}\r\nX-Long: {link}\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer.encode())) as server:
        client = HttpClient(server.url, timeout=timedelta(seconds=5))
        headers = client.fetch("GET", "/x", b"", {}).headers
        client.close()
    assert next_link(headers["link"]) == "/x?page=2"
    assert "x-long" not in headers


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("https://api.example.com/v1/items?page=2", "/v1/items?page=2"),
        ("https://API.example.com:443/v1/items?page=2#part", "/v1/items?page=2"),
        ("//api.example.com/v2/other", "/v2/other"),
        ("/other?x=%2F", "/other?x=%2F"),
        ("?page=2", "/v1/items?page=2"),
        ("more/../items?page=2", "/v1/items?page=2"),
    ],
)
def test_a_url_of_the_same_origin_is_followed(target: str, address: str) -> None:
    assert following(Spot(), page({"next": target}), kind="next_url", next="next") == address
    link = page(headers={"link": f'<{target}>; rel="next"'})
    assert following(Spot(), link, kind="link_header") == address


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("http://api.example.com/v1/items?page=2", "leaves the origin of base_url"),
        ("https://api.example.com:444/v1/items", "leaves the origin"),
        ("https://evil.example.com/v1/items", "leaves the origin"),
        ("https://api.example.com.evil.example/v1", "leaves the origin"),
        ("//evil.example.com/v1", "leaves the origin"),
        ("https://ann:pw@api.example.com/v1/items", "leaves the origin"),
        ("https://api.example.com@evil.example.com/", "leaves the origin"),
        ("javascript:alert(1)", "leaves the origin"),
        ("https://api.example.com:x/", "cannot be read"),
        ("https://[/", "cannot be read"),
        ("https://api.example.com//evil.example.com/x", "cannot be written"),
        ("https://api.example.com/ä", "cannot be written"),
        ("https://api.example.com/?" + "x" * MOST_TOKEN_CHARS, "has more than 2000 characters"),
        (7, "next is no URL"),
    ],
)
def test_any_other_url_is_refused_without_being_shown(target: object, sentence: str) -> None:
    with pytest.raises(FatalError, match=sentence) as caught:
        following(Spot(), page({"next": target}), kind="next_url", next="next")
    assert "evil" not in str(caught.value)
    assert str(caught.value).startswith("stream items: ")


def test_a_url_loses_the_parameters_that_carry_a_credential() -> None:
    """Some APIs echo them, and the marker would hold them."""
    target = "/v1/items?access_token=hunter22&page=2&q=a%20b&sig=x-hunter22"
    found = page({"next": target})
    assert following(Spot(), found, "hunter22", kind="next_url", next="next") == "/v1/items?page=2&q=a+b"
    assert following(Spot(), found, "other-word", kind="next_url", next="next") == target
    for path in ("/v1/hunter22/items", "/v1/%68unter22/items"):
        with pytest.raises(FatalError, match="holds a credential, which a marker must not"):
            following(Spot(), page({"next": path}), "hunter22", kind="next_url", next="next")
    with pytest.raises(FatalError, match="the cursor holds a credential"):
        following(Spot(), page({"next": "xhunter22"}), "hunter22", kind="cursor", parameter="c", next="next")


@pytest.mark.parametrize(
    ("document", "token"),
    [
        ({"next": "abc"}, "abc"),
        ({"next": 12345678901234567890}, 12345678901234567890),
        ({"next": None}, None),
        ({"next": ""}, None),
        ({"next": False}, None),
        ({}, None),
    ],
)
def test_a_cursor_in_the_body(document: object, token: object) -> None:
    assert following(Spot(), page(document), kind="cursor", parameter="c", next="next") == token


@pytest.mark.parametrize("found", [True, 1.5, {}, [], "x" * (MOST_TOKEN_CHARS + 1)])
def test_what_is_no_cursor(found: object) -> None:
    with pytest.raises(FatalError, match="the cursor is no text or whole number of up to 2000 characters"):
        following(Spot(), page({"next": found}), kind="cursor", parameter="c", next="next")


def test_a_cursor_from_elsewhere() -> None:
    header = {"x-next": "abc"}
    assert following(Spot(), page(headers=header), kind="cursor", parameter="c", header="X-Next") == "abc"
    assert following(Spot(), page(), kind="cursor", parameter="c", header="X-Next") is None
    assert following(Spot(), page(rows=3), kind="cursor", parameter="c", last="n.at") == "x2"
    assert following(Spot(), page(), kind="cursor", parameter="c", last="n.at") is None
    with pytest.raises(FatalError, match=r"the last record has no n\.no"):
        following(Spot(), page(rows=3), kind="cursor", parameter="c", last="n.no")


@pytest.mark.parametrize(
    ("declared", "document", "rows", "spot", "token"),
    [
        ({"kind": "page_number"}, {}, 3, Spot(), 2),
        ({"kind": "page_number", "first": 0}, {}, 3, Spot(), 1),
        ({"kind": "page_number"}, {}, 0, Spot(7), None),
        ({"kind": "page_number", "has_more": "more"}, {"more": True}, 0, Spot(7), 8),
        ({"kind": "page_number", "has_more": "more"}, {"more": False}, 3, Spot(7), None),
        ({"kind": "page_number", "total_pages": "pages"}, {"pages": "3"}, 3, Spot(2, 1), 3),
        ({"kind": "page_number", "total_pages": "pages"}, {"pages": 3}, 3, Spot(3, 2), None),
        ({"kind": "page_number", "total": "t"}, {"t": 10}, 3, Spot(3, 2, 6), 4),
        ({"kind": "page_number", "total": "t"}, {"t": 9}, 3, Spot(3, 2, 6), None),
        ({"kind": "offset"}, {}, 3, Spot(), 3),
        ({"kind": "offset"}, {}, 3, Spot(9), 12),
        ({"kind": "offset", "page_size": 5, "short_page_ends": True}, {}, 3, Spot(9), None),
        ({"kind": "offset", "page_size": 5}, {}, 3, Spot(9), 12),
        ({"kind": "offset", "page_size": 5, "has_more": "more"}, {"more": True}, 0, Spot(9), 14),
        ({"kind": "none"}, {"next": "x"}, 3, Spot(), None),
    ],
)
def test_counted_pages(
    declared: dict[str, Any], document: object, rows: int, spot: Spot, token: object
) -> None:
    assert following(spot, page(document, rows), **declared) == token


@pytest.mark.parametrize(
    ("declared", "document", "spot", "sentence"),
    [
        (
            {"kind": "cursor", "parameter": "c", "next": "next"},
            {"next": "a"},
            Spot("a"),
            "the one that was asked",
        ),
        ({"kind": "next_url", "next": "next"}, {"next": "/a"}, Spot("/a"), "the one that was asked for"),
        ({"kind": "offset", "has_more": "more"}, {"more": True}, Spot(9), "the one that was asked for"),
        ({"kind": "offset", "has_more": "more"}, {"more": 1}, Spot(9), "more is neither true nor false"),
        ({"kind": "offset", "has_more": "more"}, {}, Spot(9), "more is neither true nor false"),
        (
            {"kind": "cursor", "parameter": "c", "next": "next", "has_more": "more"},
            {"more": True},
            Spot("a"),
            "there is more, but no cursor",
        ),
    ],
)
def test_a_listing_that_cannot_go_on(
    declared: dict[str, Any], document: object, spot: Spot, sentence: str
) -> None:
    with pytest.raises(FatalError, match=sentence):
        following(spot, page(document), **declared)


@pytest.mark.parametrize("declared", [{"total_pages": "t"}, {"total": "t"}])
@pytest.mark.parametrize("found", [None, "many", 1.5, True])
def test_a_number_of_pages_or_rows_that_is_none(declared: dict[str, Any], found: object) -> None:
    with pytest.raises(FatalError, match="t is no number of"):
        following(Spot(), page({"t": found}, 3), kind="page_number", **declared)


def test_equal_pages_are_told_by_their_rows_and_empty_ones_are_not() -> None:
    made = pagination(kind="page_number", has_more="more")
    first = made.following(Spot(), page({"more": True}, 3), "print")
    assert first == Spot(2, 1, 3, "print")
    with pytest.raises(FatalError, match="two pages in a row are the same"):
        made.following(first, page({"more": True}, 3), "print")
    assert made.following(first, page({"more": True}, 0), "print") == Spot(3, 2, 3, "")


def test_what_is_asked_for() -> None:
    sized = {"page_size": 50, "size_parameter": "limit"}
    assert pagination(kind="page_number", **sized).fields(Spot()) == {"limit": 50, "page": 1}
    assert pagination(kind="page_number", first=0, parameter="p").fields(Spot()) == {"p": 0}
    assert pagination(kind="offset", **sized).fields(Spot(100)) == {"limit": 50, "offset": 100}
    cursor = pagination(kind="cursor", parameter="c", next="n", **sized)
    assert (cursor.fields(Spot()), cursor.fields(Spot("x"))) == ({"limit": 50}, {"limit": 50, "c": "x"})
    assert cursor.address(Spot("/x")) is None
    chained = pagination(kind="next_url", next="n", **sized)
    assert (chained.fields(Spot()), chained.address(Spot())) == ({"limit": 50}, None)
    assert chained.address(Spot("/v1/x?page=2")) == "/v1/x?page=2"
