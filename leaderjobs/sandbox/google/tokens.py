"""Google's token endpoint on loopback: what a sandbox of one of its APIs holds to give and check tokens.

A service account's assertion is verified with the key that this process has made; a refresh token by being
the one it gave out. Tokens live by the sandbox's clock.
"""

from __future__ import annotations

import base64
import functools
import random
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from leaderjobs import clock
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google.answers import GoogleRefusal
from leaderjobs.sandbox.settable_clock import SettableClock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PATH = "/token"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What an assertion names, wherever it is sent."""
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_SECONDS = 3600
MOST_SKEW_SECONDS = 600


class GoogleTokens:
    """One service account and one user's grant; the sandbox's lock guards it."""

    def __init__(self, seed: int, until: SettableClock, *, scopes: tuple[str, ...]) -> None:
        """Tokens expire by `until`; a service account gets the scopes it asks for, the user has `scopes`."""
        drawn = random.Random(f"{seed}/tokens")
        self.client_id = f"{drawn.getrandbits(48)}.apps.googleusercontent.com"
        self.client_secret = f"GOCSPX-{drawn.getrandbits(120):030x}"
        self.refresh_token = f"1//{drawn.getrandbits(160):040x}"
        self.client_email = f"leaderjobs@sandbox-{seed}.iam.gserviceaccount.com"
        self._key_id = f"{drawn.getrandbits(160):040x}"
        self._drawn = drawn
        self._clock = until
        self._scopes = frozenset(scopes)
        self._live: dict[str, tuple[float, frozenset[str]]] = {}
        self._revoked = False
        self.issued = 0
        """Tokens given out so far."""

    def key_file(self, url: str) -> str:
        """The service account's key as its JSON file, for a sandbox at `url`."""
        return msgspec.json.encode(
            {
                "type": "service_account",
                "project_id": "sandbox",
                "private_key_id": self._key_id,
                "private_key": _pem(),
                "client_email": self.client_email,
                "token_uri": url + PATH,
            }
        ).decode()

    def secrets(self) -> tuple[str, ...]:
        """All that must be shown nowhere, the tokens given out so far included."""
        return (self.client_secret, self.refresh_token, *_pem().splitlines()[1:-1], *self._live)

    def expire(self) -> None:
        """No token that was given out is good any more."""
        self._live = dict.fromkeys(self._live, (0.0, frozenset()))

    def revoke(self, *, revoked: bool = True) -> None:
        """Nobody gets a token any more, and none is good; or (`revoked=False`) new ones are given out."""
        self._revoked = revoked
        self.expire()

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """As Google's endpoint: a token, or `{"error": …}` with 400, 401, 429 or 5xx."""
        for fault in faults:
            if (struck := _struck(fault)) is not None:
                return struck
        asked = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
        match asked.get("grant_type"):
            case _ if self._revoked:
                return _error(400, "invalid_grant", "Token has been expired or revoked.")
            case grant if grant == JWT_GRANT:
                claims = self._claims(asked.get("assertion", ""))
                if claims is None:
                    return _error(400, "invalid_grant", "Invalid JWT Signature.")
                return self._grant(frozenset(str(claims.get("scope", "")).split()))
            case "refresh_token":
                return self._exchange(asked)
            case _:
                return _error(400, "unsupported_grant_type", "Invalid grant_type")

    def demand(self, headers: Message, scopes: frozenset[str]) -> None:
        """GoogleRefusal for a request whose token is none of ours, has expired, or has none of `scopes`."""
        kind, _, token = (headers.get("Authorization") or "").partition(" ")
        until, granted = self._live.get(token, (0.0, frozenset()))
        if kind != "Bearer" or self._clock.now() >= until:
            text = "Request had invalid authentication credentials."
            raise GoogleRefusal(401, "UNAUTHENTICATED", text, "ACCESS_TOKEN_EXPIRED")
        if not granted & scopes:
            text = "Request had insufficient authentication scopes."
            raise GoogleRefusal(403, "PERMISSION_DENIED", text, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")

    def _exchange(self, asked: dict[str, str]) -> Reply:
        if (asked.get("client_id"), asked.get("client_secret")) != (self.client_id, self.client_secret):
            return _error(401, "invalid_client", "The OAuth client was not found.")
        if asked.get("refresh_token") != self.refresh_token:
            return _error(400, "invalid_grant", "Bad Request")
        return self._grant(self._scopes)

    def _grant(self, scopes: frozenset[str]) -> Reply:
        token = f"ya29.{self._drawn.getrandbits(256):064x}"
        self._live[token] = (self._clock.now() + LIFETIME_SECONDS, scopes)
        self.issued += 1
        return Reply(
            200,
            msgspec.json.encode(
                {
                    "access_token": token,
                    "expires_in": LIFETIME_SECONDS,
                    "scope": " ".join(sorted(scopes)),
                    "token_type": "Bearer",
                }
            ),
        )

    def _claims(self, assertion: str) -> dict[str, Any] | None:
        """What an assertion says, once it is signed with our key, for us, and of this hour."""
        try:
            head, body, signature = assertion.split(".")
            header, claims = (
                msgspec.json.decode(_decoded(part), type=dict[str, Any]) for part in (head, body)
            )
            _verify(f"{head}.{body}".encode(), _decoded(signature))
        except (ValueError, msgspec.DecodeError):
            return None
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            return None
        right = (
            (header.get("alg"), header.get("kid")) == ("RS256", self._key_id)
            and (claims.get("iss"), claims.get("aud")) == (self.client_email, AUDIENCE)
            and 0 < expires - issued <= LIFETIME_SECONDS
            and abs(issued - clock.now().timestamp()) < MOST_SKEW_SECONDS
        )
        return claims if right else None


def _struck(fault: Fault) -> Reply | None:
    """ERROR: `error_code` is OAuth's word."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            reply = _error(429, "rate_limit_exceeded", "Rate limit exceeded")
        case FaultKind.SERVER_ERROR:
            reply = _error(fault.status or 503, "internal_failure", "Backend error")
        case FaultKind.ERROR:
            reply = _error(fault.status or 400, fault.error_code, "as asked for")
        case FaultKind.SHAPELESS:
            reply = Reply(200, b"{}")
        case _:
            return None
    return reply


def _error(status: int, word: str, text: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": word, "error_description": text}))


@functools.cache
def _key() -> RSAPrivateKey:
    """Made once in a process: it takes a moment, and none is to be found in the source."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem() -> str:
    from cryptography.hazmat.primitives import serialization

    return (
        _key()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def _verify(signed: bytes, signature: bytes) -> None:
    """ValueError for a signature that is not our key's."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        _key().public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise ValueError("not our signature") from None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
