"""The requests of REST streams: paced, with credentials, and answered or not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import msgspec

from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.rest import records
from leaderjobs.connectors.rest.auth import Credentials
from leaderjobs.connectors.rest.errors import refusal
from leaderjobs.connectors.rest.settings import RestSettings
from leaderjobs.errors import ConfigError, FatalError, TransientError

_NO_CONTENT = 204


@dataclass(frozen=True, slots=True)
class Asked:
    """One page's request, complete but for the credentials."""

    method: str
    address: str
    """Path and query, from the origin on."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    retryable: Collection[int] = ()
    absent: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to it."""

    body: bytes
    document: msgspec.Raw | None
    """None: the API says that there is nothing."""
    headers: Mapping[str, str]
    url: str


class RestClient:
    """Of one connection; used by one thread at a time, closed by any."""

    def __init__(
        self, connection: str, options: RestSettings, paces: Paces, credentials: Credentials
    ) -> None:
        """Opens no socket."""
        from leaderjobs.connectors.http import HttpClient

        parts = urlsplit(options.base_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.base = parts.path.rstrip("/")
        """The part of base_url that paths begin with."""
        self._credentials = credentials
        # Of the origin, and not of base_url: the next page's URL may lie beside it.
        self._http = HttpClient(self.origin, timeout=options.timeout)
        self._pace = paces.of(connection, "streams", options.rate_limit)

    def ask(self, asked: Asked, context: ReadContext) -> Told:
        """The answer to a request that changes nothing; any but a success is raised."""
        return until_answered(lambda: self.send(asked, context), self._pace, context)

    def send(self, asked: Asked, context: ReadContext | None = None) -> Told:
        """The same, once; outside of any read it is not paced."""
        path = asked.address.partition("?")[0]
        answer = self._fetch(asked)
        if answer.status == 401 and self._credentials.refused():
            if context is not None:
                self._pace.take(context)
            answer = self._fetch(asked)
        if answer.status in asked.absent or answer.status == _NO_CONTENT:
            return Told(b"", None, answer.headers, self.origin + asked.address)
        if not 200 <= answer.status < 300:
            raise refusal(path, answer, retryable=asked.retryable)
        try:
            document = records.document(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # From something in between; so nothing was answered.
            raise TransientError(
                f"{path} was answered with something that is not JSON", code=NO_ANSWER
            ) from None
        return Told(answer.body, document, answer.headers, self.origin + asked.address)

    def probe(self, path: str) -> None:
        """GET a path for its status alone."""
        address = self.base + path
        answer = self._fetch(Asked("GET", address, headers={"Accept": "application/json"}))
        if not 200 <= answer.status < 300:
            raise refusal(address.partition("?")[0], answer)

    def words(self) -> frozenset[str]:
        """What may stand in no marker."""
        try:
            return self._credentials.words()
        except ConfigError as error:
            raise FatalError(str(error)) from None

    def close(self) -> None:
        """As the contract says."""
        self._http.close()

    def _fetch(self, asked: Asked) -> Answer:
        try:
            own, query = self._credentials.headers(), self._credentials.query()
        except ConfigError as error:
            raise FatalError(str(error)) from None
        address = asked.address
        if query:
            address += ("&" if "?" in address else "?") + urlencode(query)
        return self._http.fetch(asked.method, address, asked.body, {**asked.headers, **own})
