"""Stripe: one account's objects, and what can be done with them, as `stripe_operation.API_VERSION` has it.

Every send goes out over a connection of its own, unpaced: reads keep to a fraction of Stripe's limit (100
a second for a live account, 25 in a sandbox) so that payments have the rest. `pull` says how streams
are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from leaderjobs.connectors.base import Connector, Movement, Operation, ReadContext
from leaderjobs.connectors.credentials import header_word
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.stripe.errors import failure
from leaderjobs.connectors.stripe.movements import Movements
from leaderjobs.connectors.stripe.operation import API_VERSION, get
from leaderjobs.connectors.stripe.operations import OPERATIONS, CreateRefund, PayInvoice
from leaderjobs.connectors.stripe.pull import Pull
from leaderjobs.connectors.stripe.streams import SOURCES
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import ConfigError, FatalError
from leaderjobs.model.batch import Batch
from leaderjobs.model.effect import Request
from leaderjobs.model.marker import Cursor
from leaderjobs.values import Duration, Rate, Secret

MOST_TIMEOUT = timedelta(seconds=80)
"""After so long Stripe's own libraries give a request up."""
MOST_PAGE_SIZE = 100
BALANCE_PATH = "/v1/balance"
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{1,100}")


class StripeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "stripe"`."""

    api_key: Secret
    account: str | None = None
    """The connected account to act for, `acct_…`; without it the key's own."""
    base_url: str = "https://api.stripe.com"
    timeout: Duration = Duration(seconds=8)
    """Of one request, from the connect to the last byte."""
    page_size: int = MOST_PAGE_SIZE
    rate_limit: Rate = Rate(20, timedelta(seconds=1))
    """Of reads; operations are not held back."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        check_base_url(self.base_url)
        if self.account is not None and _ACCOUNT.fullmatch(self.account) is None:
            raise ValueError("account: allowed: an account's id, acct_…")
        if not timedelta(0) < self.timeout <= MOST_TIMEOUT:
            raise ValueError('timeout: allowed: more than "0s", up to "80s"')
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")


class StripeConnector(Connector):
    """One account; its key is read anew for every request."""

    name: ClassVar[str] = "stripe"
    settings: ClassVar[type[msgspec.Struct]] = StripeSettings
    streams = tuple(source.stream for source in SOURCES)

    def __init__(self, connection: str, options: StripeSettings, paces: Paces) -> None:
        """`paces` are those of the process."""
        from leaderjobs.connectors.http import HttpClient

        self.connection = connection
        self._options = options
        self._http = HttpClient(options.base_url, timeout=options.timeout)
        self._pace = paces.of(connection, "reads", options.rate_limit)
        self._operations = {kind.name: kind(options.timeout) for kind in OPERATIONS}

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of `operations`."""
        return self._operations

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says; `pull` says how."""
        source = next((found for found in SOURCES if found.stream.name == stream), None)
        if source is None:
            names = ", ".join(found.name for found in self.streams)
            raise FatalError(f"stripe has no stream {stream!r}; it has {names}")
        return Pull(source, self._get, self._pace, context, self._options.page_size).read(cursor)

    def check(self) -> None:
        """The account's balance; a restricted key has to be allowed to read that."""
        try:
            self._read(BALANCE_PATH)
        except ConfigError as error:
            raise FatalError(str(error)) from None

    def close(self) -> None:
        """Cut off what is out; safe to call twice."""
        self._http.close()

    def exchange(self, request: Request, *, timeout: timedelta, guard: Callable[[], None]) -> Answer:
        """As the contract says; ConfigError, and nothing was sent, when the key cannot be had."""
        return self._http.exchange(
            request.method,
            request.path,
            request.body,
            self._headers(request.headers),
            timeout=timeout,
            guard=guard,
        )

    def movements(self, since: datetime, context: ReadContext) -> Iterator[Movement]:
        """Payments of invoices and refunds."""
        return Movements(self._read, self._pace, context).since(since)

    @property
    def reconciles(self) -> frozenset[str]:
        """Not payment intents: that one was confirmed, and not paid through an invoice, no list tells."""
        return frozenset({PayInvoice.name, CreateRefund.name})

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        headers = {
            "Stripe-Version": API_VERSION,
            **own,
            "Authorization": f"Bearer {header_word(self._options.api_key, 'api_key')}",
        }
        if self._options.account is not None:
            headers["Stripe-Account"] = self._options.account
        return headers

    def _get(self, path: str) -> Answer:
        """Over the kept connection; the answer, whatever its status."""
        try:
            return self._http.fetch("GET", path, b"", self._headers({}))
        except ConfigError as error:
            raise FatalError(str(error)) from None

    def _read(self, path: str) -> Answer:
        """A 2xx answer; the errors of `Connector.read` for every other."""
        answer = self.exchange(get(path), timeout=self._options.timeout, guard=_nothing)
        if not 200 <= answer.status < 300:
            raise failure(path.partition("?")[0], answer)
        return answer


def _nothing() -> None:
    """A read needs no leave: a cut ends it."""
