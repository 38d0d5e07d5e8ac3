"""What Stripe's answers mean to an operation and to a read.

An answer to a send is sorted by whether the request was executed, and that is not the status alone:

| answer | told | why |
|---|---|---|
| 402 | declined | executed, and the answer is no |
| 429, 409, `Stripe-Should-Retry: true` | refused | limits, locks and keys are looked at before the work |
| 401, 403, `api_key_expired`… | refused, hold | likewise; nothing of the connection can succeed |
| 400 `idempotency_error` | stuck | below |
| 400 for a parameter's form (`parameter_…`) | declined | the request can never be executed |
| any other 400 and 404 | mismatch | the target is not as it must be, perhaps because it has acted |
| 3xx, 5xx, no error of Stripe's | unknown | nothing can be known |
| 5xx again for our key, or not to be retried | stuck | Stripe repeats it, whatever became of the request |

`idempotency_error` means that our key was used before with other parameters or at another endpoint. Every
send of an effect is the same to the byte, so somebody else sent that request, or our ledger is not the one
that the key came from. It may have acted, and Stripe will say the same for ever: a person has to look.

`Stripe-Should-Retry: true` is not obeyed where the answer is a stored one: asking again only repeats it.

Stripe's prose is repeated for cards only, where it is written for the customer; elsewhere it may quote what
was sent. Codes: https://docs.stripe.com/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leaderjobs.connectors.documents import at, parsed, table, text
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import (
    ConnectorError,
    FatalError,
    Forbidden,
    RateLimited,
    TransientError,
    Unauthenticated,
)
from leaderjobs.model.effect import Told, Verdict

NEEDS_CUSTOMER = "needs_customer"
"""Our code for a payment that only the customer can complete."""
MISSING = "resource_missing"

_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")
_OF_THE_CUSTOMER = frozenset(
    {
        "authentication_required",
        "authentication_not_handled",
        "invoice_payment_intent_requires_action",
        "payment_intent_action_required",
    }
)
_OF_THE_CONFIGURATION = frozenset(
    {
        "account_invalid",
        "api_key_expired",
        "platform_account_required",
        "platform_api_key_expired",
        "secret_key_required",
    }
)
_OF_THE_FORM = frozenset(
    {
        "amount_too_small",
        "invalid_characters",
        "parameters_exclusive",
        "payment_method_currency_mismatch",
        "url_invalid",
    }
)


@dataclass(frozen=True, slots=True)
class StripeError:
    """The members of Stripe's error object that we read; words only, but for the message."""

    kind: str
    code: str
    decline_code: str
    param: str
    message: str

    @property
    def word(self) -> str:
        """The most telling of its codes."""
        return self.decline_code or self.code or self.kind


def said(answer: Answer) -> StripeError | None:
    """Stripe's error object; None where the answer comes from something in between."""
    error = table(table(parsed(answer.body)).get("error"))
    kind = _word(error.get("type"))
    if not kind:
        return None
    return StripeError(
        kind,
        _word(error.get("code")),
        _word(error.get("decline_code")),
        _word(error.get("param")),
        text(error.get("message")),
    )


def verdict(
    answer: Answer,
    told: Told,
    code: str,
    message: str,
    *,
    remote_id: str = "",
    facts: Mapping[str, object] | None = None,
    hold: bool = False,
) -> Verdict:
    """A verdict with what Stripe's headers add to it."""
    return Verdict(
        told,
        code,
        message,
        remote_id,
        facts or {},
        status=answer.status,
        replayed=_replayed(answer),
        should_retry=_advice(answer),
        request_id=_word(answer.headers.get("request-id")),
        retry_after=answer.retry_after,
        hold=hold,
    )


def refusal(answer: Answer) -> Verdict:
    """What an answer to a send other than 2xx means; the module's table."""
    error = said(answer)
    told, hold = _told(answer, error)
    code = f"http_{answer.status}" if error is None else error.word
    if error is not None and {error.code, error.decline_code} & _OF_THE_CUSTOMER:
        code = NEEDS_CUSTOMER
    return verdict(answer, told, code, _sentence(answer, told, error), hold=hold)


def unavailable(answer: Answer) -> Verdict:
    """A look-up that brought no answer to go by."""
    error = said(answer)
    code = f"http_{answer.status}" if error is None else error.word
    return verdict(
        answer,
        Told.UNAVAILABLE,
        code,
        _sentence(answer, Told.UNAVAILABLE, error),
        hold=_holds(answer, error),
    )


def failure(path: str, answer: Answer, *, stream: str = "") -> ConnectorError:
    """The error that an answer to a read other than 2xx stands for, to be raised by the caller.

    `stream` is what the read was for, where it was for one.
    """
    error = said(answer)
    code = f"http_{answer.status}" if error is None else error.word
    where = f"stream {stream}: {path}" if stream else path
    message = f"{where}: {_sentence(answer, Told.UNAVAILABLE, error)}"
    if answer.status == 429:
        limit = _word(answer.headers.get("stripe-rate-limited-reason"))
        message += f"; limit {limit}" if limit else ""
        return RateLimited(message, code=code, retry_after=answer.retry_after)
    if answer.status >= 500 or _advice(answer) or answer.status == 409:
        return TransientError(message, code=code, retry_after=answer.retry_after)
    if not _holds(answer, error):
        return FatalError(message, code=code)
    if answer.status == 403:
        message += f"; the key may not read {path}: allow it, and check api_key and account"
        return Forbidden(f"{message} against Stripe's dashboard", code=code)
    return Unauthenticated(f"{message}; check api_key and account against Stripe's dashboard", code=code)


def _told(answer: Answer, error: StripeError | None) -> tuple[Told, bool]:
    """The row of the table, and whether the connection must wait for a person."""
    status = answer.status
    if status == 429:
        return Told.REFUSED, False
    if status >= 500 and (_replayed(answer) or _advice(answer) is False):
        return Told.STUCK, False
    if error is None or not 400 <= status < 500:
        return Told.UNKNOWN, False
    if _holds(answer, error):
        return Told.REFUSED, True
    if status == 409 or (_advice(answer) and not _replayed(answer)):
        return Told.REFUSED, False
    if error.kind == "idempotency_error":
        return Told.STUCK, False
    if status == 402:
        return Told.DECLINED, False
    of_the_form = error.code in _OF_THE_FORM or error.code.startswith("parameter_")
    return (Told.DECLINED if of_the_form else Told.MISMATCH), False


def _holds(answer: Answer, error: StripeError | None) -> bool:
    return error is not None and (answer.status in {401, 403} or error.code in _OF_THE_CONFIGURATION)


_DOING = {
    Told.REFUSED: "Stripe turned it away",
    Told.STUCK: "Stripe does not say what became of it",
    Told.DECLINED: "Stripe declined",
    Told.MISMATCH: "Stripe could not act on it as it is",
    Told.UNKNOWN: "the answer does not tell what became of it",
    Told.UNAVAILABLE: "Stripe did not tell",
}


def _sentence(answer: Answer, told: Told, error: StripeError | None) -> str:
    if error is None:
        return f"{_DOING[told]}: HTTP {answer.status}"
    words = ", ".join(filter(None, (f"HTTP {answer.status}", error.param and f"param {error.param}")))
    prose = f": {error.message}" if error.kind == "card_error" and error.message else ""
    return f"{_DOING[told]}: {error.word} ({words}){prose}"


def _replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotent-replayed", "").strip().lower() == "true"


def _advice(answer: Answer) -> bool | None:
    return {"true": True, "false": False}.get(answer.headers.get("stripe-should-retry", "").strip().lower())


def _word(value: object) -> str:
    """A code or name as Stripe writes them, or nothing: free text does not reach a log through here."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def missing(answer: Answer) -> bool:
    """Whether the object that was asked for is not there (404 for a path, 400 for a parameter)."""
    error = said(answer)
    return answer.status in {400, 404} and error is not None and error.code == MISSING


def object_in(answer: Answer) -> Mapping[str, object]:
    """The object of a 2xx answer; an empty one for anything else."""
    return table(parsed(answer.body)) if 200 <= answer.status < 300 else {}


def decline_of(intent: object) -> str:
    """The code of a payment intent's last failure."""
    error = at(intent, "last_payment_error")
    return _word(at(error, "decline_code")) or _word(at(error, "code")) or "payment_failed"
