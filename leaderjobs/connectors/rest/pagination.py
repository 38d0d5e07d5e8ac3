"""How a listing goes on: what to ask for next, or that there is nothing more.

A spot is a place in a listing from which any process can go on. What makes it move is the API's own word
(a cursor, a URL) or our counting; one that does not move is an error, never a request that repeats itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus, urlencode, urljoin, urlsplit

from msgspec import Raw

from leaderjobs.connectors.documents import whole
from leaderjobs.connectors.rest import records
from leaderjobs.connectors.rest.stream_settings import RestPagination
from leaderjobs.errors import FatalError

MOST_TOKEN_CHARS = 2000
"""Of a cursor or URL; it is kept in the marker."""
REFUSED = "pagination"
"""Code of the errors of a listing that does not go on as declared."""

Token = str | int | None
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PARAMETERS = {"page_number": "page", "offset": "offset"}
_PARAMETER = r"""\s*;\s*([A-Za-z0-9!#$&+.^_`|~*-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+)))?"""
_LINK = re.compile(rf"<([^<>]*)>((?:{_PARAMETER})*)")
_LINK_PARAMETER = re.compile(_PARAMETER)
_ADDRESS = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True)
class Spot:
    """The page to be asked for, and what was met before it."""

    page: Token = None
    """Its number, offset, cursor, or path and query; None: the first one."""
    pages: int = 0
    seen: int = 0
    """Rows before it."""
    print: str = ""
    """Of the page before it; empty where that had no rows."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    document: Raw | None
    """None where there was nothing to read, which is no rows and no more."""
    rows: list[Raw]
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    """The absolute URL that gave it."""


class Pagination:
    """One declaration, at work."""

    def __init__(self, declared: RestPagination, stream: str, secrets: Callable[[], Collection[str]]) -> None:
        """`secrets` gives the words that no marker may hold; a URL loses the parameters that carry one."""
        self._declared = declared
        self._stream = stream
        self._secrets = secrets

    @property
    def opaque(self) -> bool:
        """Whether where we are is the API's own word, which it may refuse one day."""
        return self._declared.kind in {"cursor", "link_header", "next_url"}

    def address(self, spot: Spot) -> str | None:
        """The page's path and query, where the API gave them whole."""
        whole_address = self._declared.kind in {"link_header", "next_url"} and isinstance(spot.page, str)
        return str(spot.page) if whole_address else None

    def fields(self, spot: Spot) -> dict[str, str | int]:
        """What to put into the query or body (`into`) of the request, by name or dotted path."""
        declared = self._declared
        found: dict[str, str | int] = {}
        if declared.size_parameter and declared.page_size is not None:
            found[declared.size_parameter] = declared.page_size
        name = declared.parameter or _PARAMETERS.get(declared.kind, "")
        match declared.kind:
            case "page_number" | "offset":
                found[name] = self._place(spot)
            case "cursor" if spot.page is not None:
                found[name] = spot.page
        return found

    def total(self, page: Page) -> int | None:
        """How many rows the API says there are."""
        if not self._declared.total or page.document is None:
            return None
        return _whole(records.value(page.document, self._declared.total))

    def following(self, spot: Spot, page: Page, print_: str) -> Spot | None:
        """Where to go on after the page at `spot`; None: it was the last. FatalError where it cannot be."""
        if page.rows and print_ == spot.print:
            raise self._refused("two pages in a row are the same; check the pagination's parameter")
        token = None if page.document is None else self._next(spot, page)
        if token is None:
            return None
        if token == spot.page:
            raise self._refused("the next page is the one that was asked for")
        return Spot(token, spot.pages + 1, spot.seen + len(page.rows), print_ if page.rows else "")

    def _next(self, spot: Spot, page: Page) -> Token:
        match self._declared.kind:
            case "page_number" | "offset":
                return self._counted(spot, page)
            case "cursor":
                return self._cursor(page)
            case "link_header":
                return self._same_origin(page, next_link(page.headers.get("link", "")))
            case "next_url":
                if self._has_more(page) is False:
                    return None
                found = self._found(page, self._declared.next)
                if found is not None and not isinstance(found, str):
                    raise self._refused(f"{self._declared.next} is no URL")
                return self._same_origin(page, found or "")
            case _:
                return None

    def _place(self, spot: Spot) -> int:
        if isinstance(spot.page, int):
            return spot.page
        if self._declared.kind == "offset":
            return 0
        return 1 if self._declared.first is None else self._declared.first

    def _counted(self, spot: Spot, page: Page) -> Token:
        declared, here = self._declared, self._place(spot)
        if declared.kind == "offset":
            # What is asked for may be more than a page may hold, so that only what came counts.
            following = here + (len(page.rows) or declared.page_size or 0)
        else:
            following = here + 1
        more = self._has_more(page)
        if more is not None:
            return following if more else None
        if not page.rows or (declared.short_page_ends and len(page.rows) < (declared.page_size or 0)):
            return None
        if declared.total_pages:
            pages = _whole(self._found(page, declared.total_pages))
            if pages is None:
                raise self._refused(f"{declared.total_pages} is no number of pages")
            return following if spot.pages + 1 < pages else None
        if declared.total:
            total = self.total(page)
            if total is None:
                raise self._refused(f"{declared.total} is no number of records")
            return following if spot.seen + len(page.rows) < total else None
        return following

    def _cursor(self, page: Page) -> Token:
        declared = self._declared
        if self._has_more(page) is False:
            return None
        if declared.header:
            found: object = page.headers.get(declared.header.lower())
        elif declared.next:
            found = self._found(page, declared.next)
        else:
            short = declared.short_page_ends and len(page.rows) < (declared.page_size or 0)
            if not page.rows or short:
                return None
            found = records.value(page.rows[-1], declared.last)
            if found is None:
                raise self._refused(f"the last record has no {declared.last}")
        if found is None or found == "" or found is False:
            if self._has_more(page):
                raise self._refused("there is more, but no cursor to ask for it")
            return None
        if isinstance(found, bool) or not isinstance(found, str | int) or len(str(found)) > MOST_TOKEN_CHARS:
            raise self._refused(
                f"the cursor is no text or whole number of up to {MOST_TOKEN_CHARS} characters"
            )
        if any(secret in str(found) for secret in self._secrets()):
            raise self._refused("the cursor holds a credential, which a marker must not")
        return found

    def _has_more(self, page: Page) -> bool | None:
        if not self._declared.has_more:
            return None
        found = self._found(page, self._declared.has_more)
        if not isinstance(found, bool):
            raise self._refused(f"{self._declared.has_more} is neither true nor false")
        return found

    def _found(self, page: Page, path: str) -> object:
        return None if page.document is None else records.value(page.document, path)

    def _same_origin(self, page: Page, found: str) -> Token:
        """The URL's path and query; credentials go to no other place than base_url's."""
        if not found:
            return None
        try:
            target = urlsplit(urljoin(page.address, found))
            same = _origin(target.geturl()) == _origin(page.address)
        except ValueError:
            raise self._refused("the next page's URL cannot be read") from None
        if not same or target.username is not None or target.password is not None:
            raise self._refused(
                "the next page's URL leaves the origin of base_url; "
                "set base_url to the address that the API itself uses"
            )
        secrets = self._secrets()
        pairs = parse_qsl(target.query, keep_blank_values=True)
        kept = [pair for pair in pairs if not any(secret in pair[1] for secret in secrets)]
        query = target.query if len(kept) == len(pairs) else urlencode(kept)
        address = target.path + (f"?{query}" if query else "")
        if _ADDRESS.fullmatch(address) is None or address.startswith("//"):
            raise self._refused("the next page's URL cannot be written")
        if len(address) > MOST_TOKEN_CHARS:
            raise self._refused(f"the next page's URL has more than {MOST_TOKEN_CHARS} characters")
        if any(secret in unquote_plus(address) for secret in secrets):
            raise self._refused("the next page's URL holds a credential, which a marker must not")
        return address

    def _refused(self, why: str) -> FatalError:
        return FatalError(f"stream {self._stream}: {why}", code=REFUSED)


def next_link(header: str) -> str:
    """The target of `rel="next"` in a Link header (RFC 8288); empty where there is none.

    >>> next_link('</a?page=1>; rel="prev", </a?page=3>; rel="next"')
    '/a?page=3'
    """
    for link in _LINK.finditer(header):
        for name, quoted, plain in _LINK_PARAMETER.findall(link[2]):
            if name.lower() == "rel" and "next" in (quoted or plain).lower().split():
                return link[1]
    return ""


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _whole(found: object) -> int | None:
    """Some APIs write numbers as text."""
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 19:
        return int(found)
    return whole(found)
