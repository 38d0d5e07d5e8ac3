"""Plaid: the accounts and transactions of one Item, as its OpenAPI (2020-09-14) describes them.

The pages of `/transactions/sync` from the first to the one with `has_more = false` are ONE update. Plaid
sends a pending transaction's removal and its posted successor on different pages, and changes made
while we page invalidate pages that we hold, so an update is either complete or worth nothing:

    page, has_more      -> STAGE    marker {first, next, page}: a successor goes on at `next`
    page, not has_more  -> APPLY    marker {first = next = the cursor after the update}
    error ANSWER        -> RESTART  marker {first = next = the cursor the update began with}

A mutation during the paging begins again at once, a few times in a row; any other error answer is
raised after the RESTART. A request that was NOT answered is no word of Plaid's on the update: the same
page is asked for again, and when that stays without an answer the staged pages are kept.

An empty `next_cursor` means that Plaid has not yet fetched anything. It is never stored: it would read
as "from the beginning" later, when it means "you know nothing yet".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, TypeVar

import msgspec

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.credentials import header_word, revealed
from leaderjobs.connectors.outcome import NO_ANSWER, UNANSWERED
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.plaid.errors import MUTATION, NOT_READY, PlaidError, item_refusal, refusal
from leaderjobs.connectors.plaid.streams import ACCOUNTS, TRANSACTIONS
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import ConfigError, ConnectorError, FatalError, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.values import Duration, Rate, Secret

API_VERSION = "2020-09-14"
SYNC_PATH = "/transactions/sync"
ACCOUNTS_PATH = "/accounts/get"
ITEM_PATH = "/item/get"
MOST_PAGE_SIZE = 500
MOST_DAYS = 730
MOST_RESTARTS = 5
MOST_PAGES = 100_000
MOST_CURSOR_CHARS = 1024
MOST_TIMEOUT = timedelta(minutes=10)
ACCOUNTS_RATE = Rate(15, timedelta(minutes=1))
Shape = TypeVar("Shape")


class PlaidSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "plaid"`; one connection is one Item."""

    client_id: Secret
    secret: Secret
    access_token: Secret
    base_url: str = "https://production.plaid.com"
    page_size: int = MOST_PAGE_SIZE
    rate_limit: Rate = Rate(50, timedelta(minutes=1))
    """Of `/transactions/sync`; Plaid's own limit for one Item."""
    days_requested: int | None = None
    """Days of history that Plaid fetches from the bank; only its first request for an Item heeds it."""
    timeout: Duration = Duration(seconds=30)
    """Of one request, from the connect to the last byte."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        check_base_url(self.base_url)
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")
        if self.days_requested is not None and not 1 <= self.days_requested <= MOST_DAYS:
            raise ValueError(f"days_requested: allowed: 1 to {MOST_DAYS}")
        if not timedelta(0) < self.timeout <= MOST_TIMEOUT:
            raise ValueError('timeout: allowed: more than "0s", up to "10m"')


class _Transaction(msgspec.Struct, gc=False):
    transaction_id: str


class _Update(msgspec.Struct):
    """One page of `/transactions/sync`; decoding it proves that every row has its key."""

    added: list[_Transaction]
    modified: list[_Transaction]
    removed: list[_Transaction]
    next_cursor: str
    has_more: bool

    @property
    def rows(self) -> int:
        return len(self.added) + len(self.modified) + len(self.removed)


class _Account(msgspec.Struct, gc=False):
    account_id: str


class _Accounts(msgspec.Struct):
    accounts: list[_Account]


class _Item(msgspec.Struct):
    error: PlaidError | None = None


class _ItemAnswer(msgspec.Struct):
    item: _Item


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the updates we are: `first` began the update, `next` is to be asked for, `page` are staged."""

    first: str = ""
    next: str = ""
    page: int = 0

    @classmethod
    def parse(cls, cursor: Cursor | None) -> Place:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return cls()
        match (cursor.get("first"), cursor.get("next"), cursor.get("page", 0)):
            case (str() as first, str() as following, int() as page) if page >= 0:
                return cls(first, following, page)
        raise FatalError(
            f"the marker holds {sorted(cursor)}, not a place in Plaid's updates; "
            "run the leaderjobs version that wrote it"
        )

    def staged(self, following: str) -> Place:
        """After a page with more to come."""
        return Place(self.first, following, self.page + 1)

    def restarted(self) -> Place:
        """Back where the update began."""
        return Place(self.first, self.first)

    def cursor(self) -> Cursor:
        """For the marker; `page` is there only while an update is under way."""
        under_way: Cursor = {"page": self.page} if self.page else {}
        return {"first": self.first, "next": self.next, **under_way}


class PlaidConnector(Connector):
    """One Item; its three credentials are read anew for every request."""

    name: ClassVar[str] = "plaid"
    settings: ClassVar[type[msgspec.Struct]] = PlaidSettings
    streams = (ACCOUNTS, TRANSACTIONS)

    def __init__(self, connection: str, options: PlaidSettings, paces: Paces) -> None:
        """`paces` are those of the process."""
        from leaderjobs.connectors.http import HttpClient

        self.connection = connection
        self._options = options
        self._http = HttpClient(options.base_url, timeout=options.timeout)
        self._pace = {
            path: paces.of(connection, path, rate)
            for path, rate in ((SYNC_PATH, options.rate_limit), (ACCOUNTS_PATH, ACCOUNTS_RATE))
        }

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says; accounts are one full page each time, transactions a chain of updates."""
        if stream == ACCOUNTS.name:
            return self._accounts(context)
        if stream == TRANSACTIONS.name:
            return self._transactions(Place.parse(cursor), context)
        names = ", ".join(found.name for found in self.streams)
        raise FatalError(f"plaid has no stream {stream!r}; it has {names}")

    def check(self) -> None:
        """`/item/get`: proves the credentials and shows an Item that waits for its owner."""
        found, _ = self._send(ITEM_PATH, {}, _ItemAnswer)
        if found.item.error is not None:
            raise item_refusal(found.item.error)

    def close(self) -> None:
        """As the contract says: a request that is out ends at once with Interrupted."""
        self._http.close()

    def _accounts(self, context: ReadContext) -> Iterator[Batch]:
        page, body = self._ask(ACCOUNTS_PATH, {}, _Accounts, context)
        yield Batch(ACCOUNTS.name, body, ("accounts",), None, {}, Landing.REPLACE, len(page.accounts))

    def _transactions(self, place: Place, context: ReadContext) -> Iterator[Batch]:
        restarts = 0
        while True:
            try:
                page, body = self._page(place, context)
            except ConnectorError as error:
                if error.code in UNANSWERED:
                    raise
                failure = error
            else:
                if page.has_more:
                    place = place.staged(page.next_cursor)
                    yield _batch(body, page.rows, place, Landing.STAGE)
                    continue
                if page.rows or place.page or page.next_cursor != place.next:
                    complete = Place(page.next_cursor, page.next_cursor)
                    yield _batch(body, page.rows, complete, Landing.APPLY)
                return
            if place.page:
                place = place.restarted()
                yield _batch(b"{}", 0, place, Landing.RESTART)
            if failure.code != MUTATION or restarts == MOST_RESTARTS:
                raise failure
            restarts += 1

    def _page(self, place: Place, context: ReadContext) -> tuple[_Update, bytes]:
        """The page at `place`; errors also for answers from which there is no going on."""
        if place.page >= MOST_PAGES:
            raise FatalError(f"Plaid's update has not ended after {MOST_PAGES} pages; raise page_size")
        fields: dict[str, object] = {"count": self._options.page_size}
        if place.next:
            fields["cursor"] = place.next
        elif self._options.days_requested is not None:
            fields["options"] = {"days_requested": self._options.days_requested}
        page, body = self._ask(SYNC_PATH, fields, _Update, context)
        if not page.next_cursor:
            raise TransientError("Plaid has not fetched this Item's transactions yet", code=NOT_READY)
        if len(page.next_cursor) > MOST_CURSOR_CHARS:
            raise FatalError(f"Plaid sent a cursor of more than {MOST_CURSOR_CHARS} characters")
        if page.has_more and page.next_cursor == place.next:
            raise FatalError("Plaid says there is more, but its next cursor is the one it was asked for")
        return page, body

    def _ask(
        self, path: str, fields: dict[str, object], shape: type[Shape], context: ReadContext
    ) -> tuple[Shape, bytes]:
        return until_answered(lambda: self._send(path, fields, shape), self._pace[path], context)

    def _send(self, path: str, fields: dict[str, object], shape: type[Shape]) -> tuple[Shape, bytes]:
        options = self._options
        headers = {
            "PLAID-CLIENT-ID": _header(options.client_id, "client_id"),
            "PLAID-SECRET": _header(options.secret, "secret"),
            "Plaid-Version": API_VERSION,
        }
        body = msgspec.json.encode({"access_token": revealed(options.access_token), **fields})
        answer = self._http.post(path, body, headers)
        if not 200 <= answer.status < 300:
            raise refusal(path, answer)
        return _decode(path, answer.body, shape), answer.body


def _batch(body: bytes, rows: int, place: Place, landing: Landing) -> Batch:
    return Batch(TRANSACTIONS.name, body, ("added", "modified"), "removed", place.cursor(), landing, rows)


def _decode(path: str, body: bytes, shape: type[Shape]) -> Shape:
    """The members we need; what is not JSON came from something in between, so nothing was answered."""
    try:
        str(body, "utf-8")
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise FatalError(f"Plaid's answer to {path} is out of contract: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError(f"{path} was answered with something that is not JSON", code=NO_ANSWER) from None


def _header(secret: Secret, name: str) -> str:
    try:
        return header_word(secret, name)
    except ConfigError as error:
        raise FatalError(str(error)) from None
