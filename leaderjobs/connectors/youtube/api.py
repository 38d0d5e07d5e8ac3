"""Asking YouTube's two APIs: credentials, the day's units, and what an answer must look like.

A request of the Data API costs a unit (all that we send do), whatever is answered, so it is counted before it
is sent, under the key's or client's name and the day in California, where Google renews it at midnight. When
YouTube itself says that the quota is used up, somebody else has used it: then the counter is filled, so that
every connection with this key waits until midnight. Reports are another API with a quota of its own.

An API key goes into a header: an address ends up in logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.base import ReadContext
from leaderjobs.connectors.credentials import header_word, revealed
from leaderjobs.connectors.google.auth import GoogleCredentials
from leaderjobs.connectors.google.days import california_day, midnight_after
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.youtube.errors import refusal
from leaderjobs.connectors.youtube.settings import YouTubeSettings
from leaderjobs.errors import ConfigError, FatalError, QuotaExhausted, TransientError
from leaderjobs.model.quota import Quota
from leaderjobs.values import Rate

SCOPES = (
    "https://www.googleapis.com/auth/youtube.readonly",
    "https://www.googleapis.com/auth/yt-analytics.readonly",
)
DATA = "/youtube/v3/"
REPORTS = "/v2/reports"
RATE = Rate(600, timedelta(minutes=1))
"""Far below Google's limit per minute, which every project has another of."""
Shape = TypeVar("Shape")


class YouTubeApi:
    """One connection's requests; one thread at a time, `close` from any."""

    def __init__(self, connection: str, options: YouTubeSettings, paces: Paces) -> None:
        """Open no socket."""
        from leaderjobs.connectors.http import HttpClient

        key, timeout = options.api_key, options.timeout
        self._key = key
        self._grant = None if key else GoogleCredentials(options.google, SCOPES, timeout=timeout)
        self._client_id = options.client_id
        self._units = options.daily_quota - options.quota_reserve
        self._data = HttpClient(options.base_url, timeout=timeout)
        self._reports = HttpClient(options.analytics_base_url, timeout=timeout)
        self._pace = paces.of(connection, "youtube", RATE)

    def get(
        self, path: str, query: Mapping[str, object], shape: type[Shape], context: ReadContext
    ) -> tuple[Shape, bytes]:
        """The answer, decoded and as it came; sent again while nothing answers it, and counted each time."""
        return until_answered(lambda: self._ask(path, query, shape, context), self._pace, context)

    def ask_once(self, path: str, query: Mapping[str, object], shape: type[Shape]) -> Shape:
        """The answer to one request outside of any read, which nothing counts."""
        return self._ask(path, query, shape, None)[0]

    def close(self) -> None:
        """Cut a request that is out; safe to call twice and from any thread."""
        self._data.close()
        self._reports.close()
        if self._grant is not None:
            self._grant.close()

    def _ask(
        self, path: str, query: Mapping[str, object], shape: type[Shape], context: ReadContext | None
    ) -> tuple[Shape, bytes]:
        where = f"{path}?{urlencode(query)}"

        def send(headers: Mapping[str, str]) -> Answer:
            if path == REPORTS:
                return self._reports.fetch("GET", where, b"", headers)
            if context is not None:
                context.spend(self._quota(), 1)
            return self._data.fetch("GET", where, b"", headers)

        def again() -> None:
            if context is not None:
                self._pace.take(context)

        answer = send(self._key_header()) if self._grant is None else self._grant.authorized(send, again)
        if 200 <= answer.status < 300:
            return decoded(path, answer.body, shape), answer.body
        quota = self._quota()
        error = refusal(path, answer, quota.resets_at)
        if isinstance(error, QuotaExhausted) and path != REPORTS and context is not None:
            context.observe(quota, quota.limit)
        raise error

    def _quota(self) -> Quota:
        """The units of today, counted over all connections with the same key or client."""
        day = california_day(clock.now())
        shared = hashlib.sha256(revealed(self._key or self._client_id).encode()).hexdigest()[:12]
        return Quota(f"youtube:{shared}:{day.isoformat()}", self._units, midnight_after(day))

    def _key_header(self) -> dict[str, str]:
        try:
            return {"X-Goog-Api-Key": header_word(self._key, "api_key")} if self._key else {}
        except ConfigError as error:
            raise FatalError(str(error)) from None


def decoded(path: str, body: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    """The members we need; what is not JSON came from something in between, so nothing was answered."""
    try:
        str(body, "utf-8")
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise FatalError(f"YouTube's answer to {path} is out of contract: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError(f"{path} was answered with something that is not JSON", code=NO_ANSWER) from None
