"""The ways in which a catalog gives its pages, one for each kind that APIs have."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from leaderjobs.sandbox.catalog.items import Item
from leaderjobs.sandbox.faults import FaultKind

DEFAULT_PAGE = 10
MOST_PAGE = 1000
FOREIGN = "http://127.0.0.2:9"
"""Another origin, where nobody listens."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One page's request, as far as paging goes."""

    url: str
    """Of the listing, without the query."""
    query: Mapping[str, str]
    seed: str
    """What cursors are sealed with."""
    faults: Collection[FaultKind]

    def number(self, name: str, default: int, most: int = 10**9) -> int:
        """A parameter that is a whole number; Unusable for another."""
        text = str(self.query.get(name, default))
        if not (text.isascii() and text.isdigit() and int(text) <= most):
            raise Unusable(f"{name} is not a number up to {most}")
        return int(text)


class Unusable(Exception):
    """What was asked for makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A page: the document, and a Link header where there is one."""

    document: object
    rows: int
    headers: dict[str, str] = field(default_factory=dict)


def plain(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """Everything at once, as an array."""
    rows = _shown(wanted, items)
    return Answered(rows, len(rows))


def numbered(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """`page` and `per_page`."""
    size, page = _size(wanted, "per_page"), wanted.number("page", 1)
    pages = -(-len(items) // size)
    rows = _shown(wanted, items[(max(page, 1) - 1) * size :][:size])
    info = {"page": page, "pages": pages, "total": len(items), "has_more": page < pages}
    return Answered({"items": rows, "info": info}, len(rows))


def offset(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """`offset` and `limit`."""
    size, begin = _size(wanted, "limit"), wanted.number("offset", 0)
    rows = _shown(wanted, items[begin:][:size])
    return Answered({"items": rows, "total": len(items)}, len(rows))


def by_cursor(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """`cursor` and `limit`; the next cursor in the body."""
    size, given = _size(wanted, "limit"), str(wanted.query.get("cursor") or "")
    rows, following = _after(wanted, items, given, size)
    meta = {"next": following, "has_more": following is not None, "total": len(items)}
    return Answered({"data": {"items": rows}, "meta": meta}, len(rows))


def by_last(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """`after`, the id of the last row that the client has."""
    size, after = _size(wanted, "limit"), str(wanted.query.get("after") or "")
    rest = [item for item in items if item.id > after]
    return Answered({"data": _shown(wanted, rest[:size]), "has_more": len(rest) > size}, min(size, len(rest)))


def linked(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """An array, and a Link header with absolute URLs."""
    rows, following = _url(wanted, items)
    links = [f'<{wanted.url}>; rel="first"']
    if following is not None:
        links.append(f'<{following}>; rel="next"; title="the, next one"')
    return Answered(rows, len(rows), {"Link": ", ".join(links)})


def chained(wanted: Wanted, items: Sequence[Item]) -> Answered:
    """The next page's URL in the body; relative where `relative` is asked for."""
    rows, following = _url(wanted, items)
    if following is not None and wanted.query.get("relative"):
        following = "?" + following.partition("?")[2]
    return Answered({"results": rows, "next": following}, len(rows))


KINDS: Mapping[str, Callable[[Wanted, Sequence[Item]], Answered]] = {
    "plain": plain,
    "numbered": numbered,
    "offset": offset,
    "cursor": by_cursor,
    "last": by_last,
    "linked": linked,
    "chained": chained,
}


def _url(wanted: Wanted, items: Sequence[Item]) -> tuple[list[dict[str, Any]], str | None]:
    size = _size(wanted, "limit")
    rows, following = _after(wanted, items, str(wanted.query.get("at") or ""), size)
    if following is None:
        return rows, None
    base = wanted.url
    if FaultKind.FOREIGN_ORIGIN in wanted.faults:
        base = FOREIGN + "/" + base.split("/", 3)[3]
    return rows, f"{base}?{urlencode({**wanted.query, 'at': following})}"


def _after(
    wanted: Wanted, items: Sequence[Item], given: str, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows after a cursor, and the next one; it names a row, so that nothing shifts under it."""
    last = "" if not given else _unsealed(wanted, given)
    rest = [item for item in items if _place(item, wanted) > last]
    if FaultKind.EMPTY_PAGE in wanted.faults:
        return [], _sealed(wanted, last + " ")
    chosen = rest[:size]
    rows = _shown(wanted, chosen)
    if FaultKind.EQUAL_CURSORS in wanted.faults and given:
        return rows, given
    return rows, _sealed(wanted, _place(chosen[-1], wanted)) if len(rest) > size else None


def _place(item: Item, wanted: Wanted) -> str:
    """What the listing is sorted by."""
    return f"{item.updated.isoformat()} {item.id}" if wanted.query.get("sort") == "updated" else item.id


def _shown(wanted: Wanted, items: Sequence[Item]) -> list[dict[str, Any]]:
    rows = [item.row() for item in items]
    if FaultKind.DUPLICATE_ID in wanted.faults and rows:
        rows.insert(0, {**rows[0], "name": "outdated"})
    return rows


def _size(wanted: Wanted, name: str) -> int:
    return max(wanted.number(name, DEFAULT_PAGE, MOST_PAGE), 1)


def _sealed(wanted: Wanted, place: str) -> str:
    return base64.urlsafe_b64encode(f"{_tag(wanted, place)}{place}".encode()).decode()


def _unsealed(wanted: Wanted, cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except ValueError:
        raise Unusable("invalid cursor") from None
    if text[:8] != _tag(wanted, text[8:]):
        raise Unusable("invalid cursor")
    return text[8:]


def _tag(wanted: Wanted, place: str) -> str:
    return hashlib.blake2s(f"{wanted.seed} {place}".encode(), digest_size=4).hexdigest()
