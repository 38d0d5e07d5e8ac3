"""What Plaid's error answers mean to us.

The specification says to go by `error_code`, not by the HTTP status; a code that is not listed here
goes by its `error_type`, and what has neither (a gateway's page) by its status. Plaid's prose
(`error_message`) is not repeated: it may change, and it may quote what was sent. `request_id` finds
it in Plaid's dashboard. Codes: https://plaid.com/docs/errors/
"""

from __future__ import annotations

import re

import msgspec

from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import ConnectorError, FatalError, NeedsUser, RateLimited, TransientError

MUTATION = "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"
NOT_READY = "PRODUCT_NOT_READY"

_WORD = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_FIRST_SERVER_ERROR = 500

_KIND_OF_CODE: dict[str, type[ConnectorError]] = {
    MUTATION: TransientError,
    NOT_READY: TransientError,
    # Of type ITEM_ERROR or INSTITUTION_ERROR, but nothing that its type's remedy could mend.
    "ITEM_CONCURRENTLY_DELETED": FatalError,
    "ITEM_NOT_SUPPORTED": FatalError,
    "MFA_NOT_SUPPORTED": FatalError,
    "PRODUCTS_NOT_SUPPORTED": FatalError,
    "PRODUCT_NOT_ENABLED": FatalError,
    "INSTITUTION_NO_LONGER_SUPPORTED": FatalError,
    "INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT": FatalError,
    "INSTITUTION_REGISTRATION_REQUIRED": FatalError,
    "UNAUTHORIZED_INSTITUTION": FatalError,
    # Of type INVALID_INPUT or INVALID_REQUEST, but what is missing is the owner's consent.
    "ADDITIONAL_CONSENT_REQUIRED": NeedsUser,
    "ITEM_NOT_FOUND": NeedsUser,
    "USER_ACCOUNT_REVOKED": NeedsUser,
    "USER_PERMISSION_REVOKED": NeedsUser,
}
_KIND_OF_TYPE: dict[str, type[ConnectorError]] = {
    "RATE_LIMIT_EXCEEDED": RateLimited,
    "API_ERROR": TransientError,
    "INSTITUTION_ERROR": TransientError,
    "ITEM_ERROR": NeedsUser,
    "OAUTH_ERROR": NeedsUser,
    "USER_ERROR": NeedsUser,
    "INVALID_REQUEST": FatalError,
    "INVALID_INPUT": FatalError,
    "SANDBOX_ERROR": FatalError,
}
_REMEDY: dict[type[ConnectorError], str] = {
    RateLimited: "waiting before the next request",
    TransientError: "trying again later",
    NeedsUser: "the account's owner must mend it through Plaid Link (update mode)",
    FatalError: "check client_id, secret, access_token and base_url against Plaid's dashboard",
}


class PlaidError(msgspec.Struct, frozen=True):
    """The members of the specification's error object that we read."""

    error_type: str | None = None
    error_code: str | None = None
    request_id: str | None = None


def refusal(path: str, answer: Answer) -> ConnectorError:
    """The error that an answer with a status other than 2xx stands for, to be raised by the caller."""
    try:
        said = msgspec.json.decode(answer.body, type=PlaidError)
    except msgspec.DecodeError:
        said = PlaidError()
    code, kind = _word(said.error_code), _kind(said, answer.status)
    words = ", ".join(
        filter(None, (_word(said.error_type), f"HTTP {answer.status}", _request(said.request_id)))
    )
    message = f"Plaid refused {path}: {code or 'no error code'} ({words}); {_REMEDY[kind]}"
    if issubclass(kind, TransientError):
        return kind(message, code=code, retry_after=answer.retry_after)
    return kind(message, code=code)


def item_refusal(said: PlaidError) -> NeedsUser:
    """The error that an Item carries in itself, as `/item/get` shows it."""
    code = _word(said.error_code) or "ITEM_ERROR"
    return NeedsUser(f"Plaid cannot reach the Item: {code}; {_REMEDY[NeedsUser]}", code=code)


def _kind(said: PlaidError, status: int) -> type[ConnectorError]:
    if status == _TOO_MANY_REQUESTS:
        return RateLimited
    by_code = _KIND_OF_CODE.get(said.error_code or "")
    by_type = _KIND_OF_TYPE.get(said.error_type or "")
    passing = status >= _FIRST_SERVER_ERROR or status == _REQUEST_TIMEOUT
    return by_code or by_type or (TransientError if passing else FatalError)


def _word(text: str | None) -> str:
    """A code as Plaid writes them, or nothing: free text does not reach a log through here."""
    return text if text is not None and _WORD.fullmatch(text) else ""


def _request(request_id: str | None) -> str:
    word = _word(request_id)
    return f"request {word}" if word else ""
