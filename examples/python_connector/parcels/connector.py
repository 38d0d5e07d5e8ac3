"""The parcels of a carrier whose API numbers every change: `GET /v1/parcels?after=N&limit=M`.

    {"parcels": [{"id": "P1", …}, …], "deleted": [{"id": "P2"}, …], "last": 117, "more": true}

`last` is the number of the last change on the page, and all that a later request needs to know. So it is the
cursor, a page is a batch, and the body goes to Postgres as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlencode

import msgspec

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.credentials import header_word
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import ConfigError, FatalError, Forbidden, RateLimited, TransientError, Unauthenticated
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Column, ColumnType, CursorKind, Stream
from leaderjobs.values import Duration, Rate, Secret

MOST_PAGE_SIZE = 500
PARCELS = Stream(
    name="parcels",
    key=("id",),
    comment="Parcels of the account; one that was cancelled before its pick-up is deleted",
    columns=(
        Column("status", ColumnType.TEXT, ("status",), "announced, moving, delivered", indexed=True),
        Column("grams", ColumnType.NUMERIC, ("grams",), "Weight as the carrier measured it"),
        Column("postage", ColumnType.NUMERIC, ("postage",), "In euros, VAT included"),
        Column("town", ColumnType.TEXT, ("address", "town")),
        Column("announced_at", ColumnType.TIMESTAMP, ("announced_at",)),
    ),
    cursor=CursorKind.CHANGES,
    cost="One request for every page of changes",
)


class ParcelsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector`."""

    token: Secret
    base_url: str = "https://api.carrier.example"
    page_size: int = MOST_PAGE_SIZE
    rate_limit: Rate = Rate(10, timedelta(seconds=1))
    timeout: Duration = Duration(seconds=30)
    """Of one request, from the connect to the last byte."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed: leaderjobs adds file, line and value."""
        check_base_url(self.base_url)
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")


class _Row(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    """What we need of a page; decoding it proves that every row has its key."""

    parcels: list[_Row]
    deleted: list[_Row]
    last: int
    more: bool


class ParcelsConnector(Connector):
    """One account at the carrier."""

    name: ClassVar[str] = "parcels"
    settings: ClassVar[type[msgspec.Struct]] = ParcelsSettings
    streams = (PARCELS,)

    def __init__(self, connection: str, options: ParcelsSettings, paces: Paces) -> None:
        """Opens no socket; `paces` outlive us, so that the rate holds from one job to the next."""
        # Here, for `leaderjobs --help` shall not wait for an HTTP library.
        from leaderjobs.connectors.http import HttpClient  # noqa: PLC0415

        self._options = options
        self._http = HttpClient(options.base_url, timeout=options.timeout)
        self._pace = paces.of(connection, "parcels", options.rate_limit)

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """Pages from the cursor on; an empty one is that of a stream that has been reset."""
        if stream != PARCELS.name:
            raise FatalError(f"parcels has no stream {stream!r}; it has {PARCELS.name}")
        return self._parcels(_place(cursor), context)

    def check(self) -> None:
        """One row is enough to prove the token."""
        self._ask(0, 1)

    def close(self) -> None:
        """A request that is out ends at once."""
        self._http.close()

    def _parcels(self, after: int, context: ReadContext) -> Iterator[Batch]:
        while True:
            page, body = self._page(after, context)
            rows = len(page.parcels) + len(page.deleted)
            if page.more and page.last <= after:
                raise FatalError(
                    f"the carrier says there is more after change {after}, and gives nothing newer"
                )
            if page.last != after:
                cursor = {"after": page.last}
                yield Batch(PARCELS.name, body, ("parcels",), "deleted", cursor, Landing.UPSERT, rows)
            if not page.more:
                return
            after = page.last

    def _page(self, after: int, context: ReadContext) -> tuple[_Page, bytes]:
        # It asks `context.check()` before each request, and sends one again only where nothing answered.
        return until_answered(lambda: self._ask(after, self._options.page_size), self._pace, context)

    def _ask(self, after: int, limit: int) -> tuple[_Page, bytes]:
        path = f"/v1/parcels?{urlencode({'after': after, 'limit': limit})}"
        try:
            token = header_word(self._options.token, "token")
        except ConfigError as error:
            raise FatalError(str(error)) from None
        answer = self._http.fetch("GET", path, b"", {"Authorization": f"Bearer {token}"})
        _judge(answer)
        try:
            return msgspec.json.decode(answer.body, type=_Page), answer.body
        except msgspec.ValidationError as error:
            raise FatalError(f"the carrier's answer is out of contract: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Not the carrier's: something in between has answered.
            raise TransientError("the carrier's answer is not JSON", code=NO_ANSWER) from None


def _place(cursor: Cursor | None) -> int:
    match dict(cursor or {"after": 0}):
        case {"after": int() as after, **rest} if not rest and after >= 0:
            return after
    raise FatalError(f"the marker holds {sorted(cursor or {})}, not the number of a change")


def _judge(answer: Answer) -> None:
    """The kind of an error says what becomes of the job: see the tree in leaderjobs.errors."""
    said = f"the carrier answered {answer.status}"
    match answer.status:
        case 200:
            return
        case 401:
            raise Unauthenticated(f"{said}: the token is not accepted; put another one in its place")
        case 403:
            raise Forbidden(f"{said}: the token may not see parcels; give it the role of a reader")
        case 429:
            raise RateLimited(said, retry_after=answer.retry_after)
        case status if status >= 500:
            raise TransientError(said, retry_after=answer.retry_after)
        case _:
            raise FatalError(said)
