"""The credentials of a REST connection at work: read anew for every request, kept nowhere but in memory."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.credentials import header_word, header_words
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.connectors.rest.auth_settings import RestAuth
from leaderjobs.connectors.rest.errors import refusal
from leaderjobs.errors import ConnectorError, FatalError, TransientError, Unauthenticated
from leaderjobs.values import Secret

LEAST_LIFE = timedelta(seconds=30)
"""A token that lives no longer than this is not used again."""
DEFAULT_LIFE = timedelta(minutes=5)
MOST_LIFE = timedelta(days=1)
LEAST_HIDDEN_CHARS = 6
"""Of a secret that is looked for in what an API sends; shorter ones are in every other word."""

_TELLING = re.compile("auth|cookie|key|password|secret|session|token", re.IGNORECASE)
"""Names of headers that carry credentials."""
_WORD = re.compile(r"[a-z_]{1,40}")
_TOKEN = re.compile(r"[!-~]{1,8000}")


class Credentials:
    """Headers and query of every request. Any thread."""

    def __init__(self, headers: Mapping[str, Secret], auth: RestAuth | None, timeout: timedelta) -> None:
        """Nothing is read or asked yet."""
        self._headers = headers
        self._auth = auth
        self._tokens = (
            _Tokens(auth, timeout) if auth is not None and auth.kind == "oauth_client_credentials" else None
        )

    def headers(self) -> dict[str, str]:
        """ConfigError where a secret cannot be had; what asking for a token raises."""
        found = {name: header_words(secret, name) for name, secret in self._headers.items()}
        auth = self._auth
        if auth is None or auth.kind == "query":
            return found
        if self._tokens is not None:
            return {**found, "Authorization": f"Bearer {self._tokens.current()}"}
        if auth.token is not None:
            return {**found, "Authorization": f"Bearer {header_word(auth.token, 'auth.token')}"}
        if auth.username is not None:
            pair = f"{auth.username.reveal()}:{_revealed(auth.password)}"
            return {**found, "Authorization": f"Basic {_base64(pair)}"}
        return {**found, auth.name: header_words(auth.value, "auth.value")} if auth.value else found

    def query(self) -> dict[str, str]:
        """The parameter that carries the credential, where one does."""
        auth = self._auth
        return {auth.name: _revealed(auth.value)} if auth is not None and auth.kind == "query" else {}

    def refused(self) -> bool:
        """After a 401: whether the next request has other credentials."""
        if self._tokens is not None:
            self._tokens.forget()
        return self._tokens is not None

    def words(self) -> frozenset[str]:
        """Everything that must stay in here, as far as it is known now."""
        auth = self._auth
        # The others say what is wanted, as Accept does, and may well stand in a URL.
        secrets = [secret for name, secret in self._headers.items() if _TELLING.search(name)]
        if auth is not None:
            secrets += [each for each in (auth.token, auth.password, auth.value, auth.client_secret) if each]
        found = {secret.reveal() for secret in secrets}
        found |= {text.rpartition(" ")[2] for text in found}
        found |= self._tokens.words() if self._tokens is not None else set()
        return frozenset(word for word in found if len(word) >= LEAST_HIDDEN_CHARS)

    def close(self) -> None:
        """Cut off a request for a token; safe to call twice."""
        if self._tokens is not None:
            self._tokens.close()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: int | float | str | None = None


class _TokenError(msgspec.Struct):
    error: str = ""


class _Tokens:
    """OAuth 2.0 client credentials (RFC 6749 §4.4)."""

    def __init__(self, auth: RestAuth, timeout: timedelta) -> None:
        from leaderjobs.connectors.http import HttpClient

        parts = urlsplit(auth.token_url)
        self._auth = auth
        self._path = parts.path or "/"
        self._http = HttpClient(f"{parts.scheme}://{parts.netloc}", timeout=timeout)
        self._lock = threading.Lock()
        self._token = ""
        self._old = ""
        self._until = 0.0

    def current(self) -> str:
        """The token in use, or a new one where it is about to expire."""
        with self._lock:
            if not self._token or clock.elapsed() >= self._until:
                token, life = self._ask()
                self._token, self._until = token, clock.elapsed() + (life - LEAST_LIFE).total_seconds()
            return self._token

    def forget(self) -> None:
        """Drop the token in use."""
        with self._lock:
            self._old, self._token = self._token or self._old, ""

    def words(self) -> set[str]:
        return {self._token, self._old}

    def close(self) -> None:
        self._http.close()

    def _ask(self) -> tuple[str, timedelta]:
        auth = self._auth
        client, secret = _revealed(auth.client_id), _revealed(auth.client_secret)
        fields = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if auth.client_auth == "basic":
            headers["Authorization"] = f"Basic {_base64(f'{quote_plus(client)}:{quote_plus(secret)}')}"
        else:
            fields |= {"client_id": client, "client_secret": secret}
        body = urlencode({name: value for name, value in fields.items() if value}).encode()
        try:
            answer = self._http.fetch("POST", self._path, body, headers)
        except TransientError as error:
            # Of the request that the token was for, nothing has left.
            raise TransientError(str(error), code=NOT_SENT, retry_after=error.retry_after) from None
        if not 200 <= answer.status < 300:
            raise _refused(self._path, answer)
        return _decoded(self._path, answer)


def _refused(path: str, answer: Answer) -> ConnectorError:
    try:
        said = msgspec.json.decode(answer.body, type=_TokenError).error
    except msgspec.DecodeError:
        said = ""
    word = said if _WORD.fullmatch(said) else ""
    if answer.status == 401 or word in {"invalid_client", "unauthorized_client", "invalid_grant"}:
        told = word or f"HTTP {answer.status}"
        return Unauthenticated(f"{path} gives no token: {told}; check client_id and client_secret", code=word)
    return refusal(path, answer)


def _decoded(path: str, answer: Answer) -> tuple[str, timedelta]:
    try:
        found = msgspec.json.decode(answer.body, type=_TokenAnswer)
    except msgspec.ValidationError:
        raise FatalError(f"{path} answered without an access_token; check token_url") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError(f"{path} was answered with something that is not JSON", code=NO_ANSWER) from None
    if _TOKEN.fullmatch(found.access_token) is None:
        raise FatalError(f"{path} answered with an access_token that no header can carry")
    return found.access_token, _life(found.expires_in)


def _life(expires_in: float | str | None) -> timedelta:
    """Seconds; some write them as text, some leave them out."""
    try:
        seconds = DEFAULT_LIFE.total_seconds() if expires_in is None else float(expires_in)
        return timedelta(seconds=min(max(seconds, 0), MOST_LIFE.total_seconds()))
    except ValueError:
        return DEFAULT_LIFE


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
