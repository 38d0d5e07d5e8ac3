"""Access to Google's APIs for one connection: a service account's key, or an OAuth refresh token.

google-auth signs the assertion and writes the form; everything else is ours. It is imported here only, when
the first token is needed (0.15 s). Its own retries would sleep where the end of a term cannot wake them,
so the transport judges an answer itself and raises: google-auth only ever sees a granted token.

A token is kept in memory, renewed before it expires and when the API has refused it. Credentials are read
anew for every renewal, so a rotated key file needs no restart.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.credentials import revealed
from leaderjobs.connectors.documents import parsed, table, text
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import (
    ConfigError,
    ConnectorError,
    FatalError,
    Interrupted,
    NeedsUser,
    RateLimited,
    TransientError,
    Unauthenticated,
)
from leaderjobs.values import Secret

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
EARLY = timedelta(minutes=5)
"""A token is renewed so long before it expires, or at half of its life where that is short."""
MOST_LIFETIME = timedelta(days=1)
USUAL_LIFETIME = timedelta(hours=1)
"""Of a token that does not say how long it lives."""
_UNAUTHORIZED = 401
_TOKEN = re.compile(r"[!-~]{1,8192}")
_WORD = re.compile(r"[a-z_]{1,80}")


class GoogleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Credentials, shared by the settings of Google's connectors: one of the two kinds, or none."""

    service_account: Secret | None = None
    """The content of the JSON key file, as Google's console gives it."""
    client_id: Secret | None = None
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    token_uri: str = TOKEN_URI
    """Where a refresh token is exchanged; a service account's key names its own."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        _check_token_uri(self.token_uri, "token_uri")
        given = [self.client_id, self.client_secret, self.refresh_token]
        if any(given) and not all(given):
            raise ValueError("client_id, client_secret and refresh_token belong together: give all three")
        if any(given) and self.service_account is not None:
            raise ValueError("give service_account, or client_id, client_secret and refresh_token; not both")

    @property
    def has_credentials(self) -> bool:
        """Whether either kind is given."""
        return self.service_account is not None or self.refresh_token is not None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float
    """On the deadline clock."""


class GoogleCredentials:
    """The tokens of one connection. Any thread."""

    def __init__(self, settings: GoogleSettings, scopes: tuple[str, ...], *, timeout: timedelta) -> None:
        """Open no socket; `timeout` bounds one request for a token. ConfigError without google-auth."""
        _require_google_auth()
        self._settings = settings
        self._scopes = scopes
        self._timeout = timeout
        self._renewing = threading.Lock()
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._transport: _Transport | None = None
        self._closed = False

    def headers(self) -> dict[str, str]:
        """The header that authorises a request, after a renewal where one is due.

        NeedsUser where the grant is gone, Unauthenticated where the credentials are refused, TransientError
        where the token endpoint fails or is not reached, Interrupted once `close` was called.
        """
        with self._renewing:
            token = self._token
            if token is None or clock.elapsed() >= token.renew_at:
                token = self._token = self._renewed()
        return {"Authorization": f"Bearer {token.value}"}

    def forget(self) -> None:
        """The API has refused the token: the next `headers` gets another."""
        with self._renewing:
            self._token = None

    def authorized(
        self, send: Callable[[Mapping[str, str]], Answer], again: Callable[[], None] = lambda: None
    ) -> Answer:
        """The answer to `send(headers)`; a 401 is answered with another token, once, after `again()`."""
        answer = send(self.headers())
        if answer.status == _UNAUTHORIZED:
            self.forget()
            again()
            answer = send(self.headers())
        return answer

    def close(self) -> None:
        """Cut a request for a token that is out and refuse the next; safe to call twice, any thread."""
        with self._lock:
            self._closed = True
            transport = self._transport
        if transport is not None:
            transport.close()

    def _renewed(self) -> _Token:
        transport = _Transport(self._timeout)
        with self._lock:
            if self._closed:
                raise Interrupted("no token was asked for: the connection is closed")
            self._transport = transport
        try:
            self._refresh(transport)
        finally:
            with self._lock:
                self._transport = None
            transport.close()
        if transport.token is None:
            raise FatalError("google-auth asked for no token; leaderjobs does not know this version of it")
        return transport.token

    def _refresh(self, transport: _Transport) -> None:
        """Have google-auth write the request and hand it to `transport`."""
        settings = self._settings
        if settings.service_account is None:
            from google.oauth2.credentials import Credentials

            made = Credentials(  # type: ignore[no-untyped-call] # google-auth has no annotations
                token=None,
                token_uri=settings.token_uri,
                client_id=revealed(settings.client_id),
                client_secret=revealed(settings.client_secret),
                refresh_token=revealed(settings.refresh_token),
            )
            made.refresh(transport)  # type: ignore[no-untyped-call] # as above
            return
        from google.oauth2 import service_account

        key = _key_file(settings.service_account)
        try:
            signing = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call] # as above
                key, scopes=self._scopes
            )
        except ValueError:  # Its text may hold the key.
            raise FatalError(
                f"service_account ({settings.service_account}): its private_key is not a PEM key"
            ) from None
        signing.refresh(transport)


class _Granted(msgspec.Struct):
    """What a token endpoint answers with."""

    access_token: str
    expires_in: int | None = None


class _Reply:
    """An answer in the shape that google-auth reads."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.body


class _Transport:
    """google-auth's way to the token endpoint: one request, bounded, cut by `close`, without redirects."""

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._close: Callable[[], None] | None = None
        self._closed = False
        self.token: _Token | None = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _Reply:
        """Send it; what is not a granted token is raised from here."""
        from leaderjobs.connectors.http import HttpClient

        parts = urlsplit(url)
        http = HttpClient(f"{parts.scheme}://{parts.netloc}", timeout=self._timeout)
        with self._lock:
            self._close = http.close
            if self._closed:
                http.close()
        answer = http.fetch(method, parts.path or "/", body, headers or {})
        if answer.status != 200:
            raise _refusal(answer)
        self.token = _granted(answer)
        return _Reply(answer)

    def close(self) -> None:
        """Cut the request; any thread."""
        with self._lock:
            self._closed = True
            close = self._close
        if close is not None:
            close()


def _granted(answer: Answer) -> _Token:
    try:
        said = msgspec.json.decode(answer.body, type=_Granted, strict=False)
    except msgspec.ValidationError as error:
        raise FatalError(f"Google's token endpoint answered out of contract: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError(
            "Google's token endpoint was answered with something that is not JSON", code=NO_ANSWER
        ) from None
    if _TOKEN.fullmatch(said.access_token) is None:
        raise FatalError("Google's token endpoint gave a token that no header can carry")
    usual = USUAL_LIFETIME.total_seconds()
    lifetime = min(max(said.expires_in or usual, 0), MOST_LIFETIME.total_seconds())
    early = min(EARLY.total_seconds(), lifetime / 2)
    return _Token(said.access_token, clock.elapsed() + lifetime - early)


def _refusal(answer: Answer) -> ConnectorError:
    """The error that another status than 200 stands for (RFC 6749 §5.2: `error` is a word)."""
    said = table(parsed(answer.body))
    word = text(said.get("error"))
    code = word if _WORD.fullmatch(word) else ""
    told = f"Google's token endpoint refused: {code or 'no error code'} (HTTP {answer.status})"
    if answer.status == 429:
        return RateLimited(f"{told}; waiting", code=code, retry_after=answer.retry_after)
    if answer.status >= 500 or answer.status == 408:
        return TransientError(f"{told}; trying again later", code=code, retry_after=answer.retry_after)
    if code == "invalid_grant":
        return NeedsUser(
            f"{told}; consent was withdrawn, the refresh token has expired, the key was deleted, or this "
            "machine's clock is wrong: grant access again",
            code=code,
        )
    return Unauthenticated(
        f"{told}; check service_account, or client_id, client_secret and refresh_token", code=code
    )


def _key_file(secret: Secret) -> dict[str, str]:
    """The members of a key file that are used, once it is one and may be followed to its token_uri."""
    found = table(parsed(revealed(secret).encode()))
    names = ("client_email", "private_key", "private_key_id", "token_uri")
    key = {name: value for name in names if isinstance(value := found.get(name), str) and value}
    if "client_email" not in key or "private_key" not in key:
        raise FatalError(
            f"service_account ({secret}) is not a service account's key; give the content of the JSON file "
            "that Google's console offers under Keys"
        )
    key.setdefault("token_uri", TOKEN_URI)
    try:
        _check_token_uri(key["token_uri"], f"service_account ({secret}): token_uri")
    except ValueError as error:
        raise FatalError(str(error)) from None
    return key


def _check_token_uri(uri: str, name: str) -> None:
    """As base_url: a key file from elsewhere must not send the assertion over a plain connection."""
    try:
        check_base_url(uri)
    except ValueError as error:
        raise ValueError(str(error).replace("base_url", name, 1)) from None


def _require_google_auth() -> None:
    """Look whether it is installed, without the time that importing it takes."""
    try:
        found = importlib.util.find_spec("google.oauth2")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError("Google's credentials need google-auth; run: pip install 'leaderjobs[google]'")
